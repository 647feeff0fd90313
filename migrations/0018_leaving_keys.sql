-- Foreign keys of 0017, by name.

ALTER TABLE number_bar ADD CONSTRAINT number_bar_number FOREIGN KEY (msisdn) REFERENCES number (msisdn);
ALTER TABLE number_cap ADD CONSTRAINT number_cap_number FOREIGN KEY (msisdn) REFERENCES number (msisdn);
ALTER TABLE number_cap ADD CONSTRAINT number_cap_of_service FOREIGN KEY (service_id) REFERENCES service (id);
ALTER TABLE leaving_duty ADD CONSTRAINT leaving_duty_subscription FOREIGN KEY (msisdn, subscription_id) REFERENCES subscription (msisdn, id);
ALTER TABLE leaving_duty ADD CONSTRAINT leaving_duty_lookup FOREIGN KEY (msisdn, lookup_id) REFERENCES proxy_lookup (msisdn, id);
ALTER TABLE leaving_duty ADD CONSTRAINT leaving_duty_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
