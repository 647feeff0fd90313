-- Foreign keys of 0040, by name.
ALTER TABLE leave_wish ADD CONSTRAINT leave_wish_message FOREIGN KEY (msisdn, received_at, message_id) REFERENCES message_in (msisdn, received_at, id);
