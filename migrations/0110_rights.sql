-- What an SP may apply for by its points: high prices and promotion are measures like the others.
ALTER TABLE restriction DROP CONSTRAINT restriction_measure;
ALTER TABLE restriction ADD CONSTRAINT restriction_measure CHECK (measure IN
    ('no_new_services', 'no_high_prices', 'no_promotion', 'no_new_subscriptions', 'shielded',
     'settlement_held', 'settlement_cut', 'offline'));

-- 联合推广: an SP asks that the operator promotes a service of its own for a time.
CREATE TABLE promotion (
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL,
    text text NOT NULL,
    begins_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    state text NOT NULL CONSTRAINT promotion_state CHECK (state IN ('asked', 'approved', 'rejected')),
    asked_at timestamptz NOT NULL,
    asked_by text NOT NULL,
    decided_at timestamptz,
    decided_by text,
    reason text,
    CONSTRAINT promotion_range CHECK (begins_at >= asked_at AND ends_at > begins_at),
    CONSTRAINT promotion_decided CHECK
        ((state = 'asked') = (decided_at IS NULL) AND (state = 'asked') = (decided_by IS NULL)),
    CONSTRAINT promotion_two_people CHECK (decided_by <> asked_by)
);
CREATE UNIQUE INDEX promotion_one_open ON promotion (service_id) WHERE state = 'asked';
CREATE INDEX promotion_of ON promotion (service_id, id);
CREATE INDEX promotion_running ON promotion (ends_at) WHERE state = 'approved';
GRANT SELECT, INSERT ON promotion TO spms_app;
GRANT UPDATE (state, decided_at, decided_by, reason) ON promotion TO spms_app;
