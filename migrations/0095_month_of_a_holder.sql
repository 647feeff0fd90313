-- What a month has come to is one holder's: who gets a number begins with nothing, whatever its
-- former holder spent.
ALTER TABLE month_spend ADD COLUMN epoch integer NOT NULL DEFAULT 1;
UPDATE month_spend k SET epoch = n.epoch FROM number n WHERE n.msisdn = k.msisdn AND n.epoch <> 1;
ALTER TABLE month_spend ALTER COLUMN epoch DROP DEFAULT;
ALTER TABLE month_spend DROP CONSTRAINT month_spend_pkey;
ALTER TABLE month_spend ADD PRIMARY KEY (msisdn, month, epoch);
