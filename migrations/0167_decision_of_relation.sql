-- A charge cites the decision about the very relation that licenses it: the leaves of the index by which
-- decisions are looked up have the relation now, instead of the service, which follows from it (0165).

ALTER TABLE reservation DROP CONSTRAINT reservation_decision;
ALTER TABLE authorisation DROP CONSTRAINT authorisation_pkey;
ALTER TABLE authorisation ADD CONSTRAINT authorisation_pkey PRIMARY KEY (msisdn, decided_at, id)
    INCLUDE (subscription_id, purpose, allowed);
ALTER TABLE reservation ADD CONSTRAINT reservation_decision
    FOREIGN KEY (msisdn, reserved_at, id) REFERENCES authorisation (msisdn, decided_at, id);
