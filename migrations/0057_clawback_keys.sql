-- Foreign keys of 0056.
ALTER TABLE clawback ADD CONSTRAINT clawback_claim FOREIGN KEY (msisdn, claim_id) REFERENCES claim (msisdn, id);
ALTER TABLE clawback ADD CONSTRAINT clawback_entry FOREIGN KEY (msisdn, reversal_id) REFERENCES journal_entry (msisdn, id);
