ALTER TABLE message_out_part ADD CONSTRAINT message_out_part_message FOREIGN KEY (msisdn, queued_at, message_id) REFERENCES message_out (msisdn, queued_at, id);
