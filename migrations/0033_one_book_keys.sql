-- Foreign keys of what was added to the book.

ALTER TABLE payout_resolution ADD CONSTRAINT payout_resolution_of FOREIGN KEY (msisdn, payout_id) REFERENCES payout (msisdn, id);
