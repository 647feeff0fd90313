-- Foreign keys of the columns before, by name and last.

-- A relation takes over from one of the same number and the same service.
ALTER TABLE subscription ADD CONSTRAINT subscription_of_service UNIQUE (msisdn, id, service_id);
ALTER TABLE subscription ADD CONSTRAINT subscription_follows
    FOREIGN KEY (msisdn, follows_id, service_id) REFERENCES subscription (msisdn, id, service_id);
