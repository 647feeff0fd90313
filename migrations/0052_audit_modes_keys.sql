ALTER TABLE charge_suspicion ADD CONSTRAINT charge_suspicion_charge FOREIGN KEY (msisdn, charged_at, charge_id) REFERENCES charge_record (msisdn, charged_at, id);
ALTER TABLE charge_suspicion ADD CONSTRAINT charge_suspicion_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE charge_observation ADD CONSTRAINT charge_observation_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
