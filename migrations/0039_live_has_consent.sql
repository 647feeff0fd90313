-- No relation is live without its consent, whoever writes the status: a key, not a habit.
-- The column says of which consent a live relation lives; it is null for every other relation.

ALTER TABLE subscription ADD COLUMN consented_id uuid
    GENERATED ALWAYS AS (CASE WHEN status IN ('active', 'suspended') THEN id END) STORED;
-- Each names the other, so the check waits for the end of the transaction.
ALTER TABLE subscription ADD CONSTRAINT subscription_live_has_consent
    FOREIGN KEY (msisdn, consented_id) REFERENCES consent (msisdn, subscription_id)
    DEFERRABLE INITIALLY DEFERRED;
