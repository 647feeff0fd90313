-- Foreign keys of 0108.
ALTER TABLE payout ADD CONSTRAINT payout_takes_back FOREIGN KEY (msisdn, takes_back) REFERENCES payout (msisdn, id);
