-- Foreign keys of the tables before, by name and last.

-- A reservation is a recorded decision of its number.
ALTER TABLE reservation ADD CONSTRAINT reservation_decision
    FOREIGN KEY (msisdn, reserved_at, id) REFERENCES authorisation (msisdn, decided_at, id);
