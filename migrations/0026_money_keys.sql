-- Foreign keys of the book, by name and last.

-- A line belongs to an entry that counts it in. Deferred: entry and lines are one statement.
ALTER TABLE journal_entry ADD CONSTRAINT journal_entry_counts UNIQUE (msisdn, id, lines);
ALTER TABLE posting ADD CONSTRAINT posting_entry FOREIGN KEY (msisdn, entry_id, of_lines)
    REFERENCES journal_entry (msisdn, id, lines) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE verification ADD CONSTRAINT verification_charge FOREIGN KEY (msisdn, charged_at, charge_id) REFERENCES charge_record (msisdn, charged_at, id);
ALTER TABLE verification_event ADD CONSTRAINT verification_event_of FOREIGN KEY (msisdn, verification_id) REFERENCES verification (msisdn, id);
ALTER TABLE payout_query ADD CONSTRAINT payout_query_of FOREIGN KEY (msisdn, payout_id) REFERENCES payout (msisdn, id);
