-- What is taken back reaches billing as a payout does: an instruction with an id for ever, leased,
-- sent, and asked about when its answer was lost. It names the credit that it takes back, once.
ALTER TABLE payout ADD COLUMN takes_back uuid;
CREATE UNIQUE INDEX payout_taken_back_once ON payout (msisdn, takes_back)
    WHERE takes_back IS NOT NULL;
