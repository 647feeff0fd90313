-- Foreign keys of 0104. A round needs the one before it; a first round needs none.
ALTER TABLE claim DROP CONSTRAINT claim_charge;
ALTER TABLE claim ADD CONSTRAINT claim_charge FOREIGN KEY (msisdn, charge_at, charge_id) REFERENCES charge_record (msisdn, charged_at, id);
ALTER TABLE claim ADD CONSTRAINT claim_round_before FOREIGN KEY (msisdn, charge_id, before_round) REFERENCES claim (msisdn, charge_id, round);
