-- Decisions (鉴权): what was asked, what was answered, and every fact that decided it.

CREATE TABLE authorisation (
    msisdn text COLLATE "C" NOT NULL,
    decided_at timestamptz NOT NULL,
    id uuid NOT NULL,               -- time-ordered: decisions about one number follow one another
    purpose text NOT NULL CONSTRAINT authorisation_purpose CHECK (purpose IN ('charge', 'message')),
    sp_id uuid NOT NULL,
    service_id uuid,                -- null: no such service
    service_code text NOT NULL,
    access_number text,
    price_fen bigint NOT NULL,
    allowed boolean NOT NULL,
    reasons text[] NOT NULL,        -- closed list; empty when allowed
    subscription_id uuid,
    rulebook_version integer NOT NULL,
    facts jsonb NOT NULL,           -- the inputs, with their versions
    requested_by text NOT NULL,
    CONSTRAINT authorisation_reasons CHECK (allowed = (cardinality(reasons) = 0)),
    -- An allowed charge names the service and the relation that licenses it.
    CONSTRAINT authorisation_allowed_has_relation
        CHECK (NOT allowed OR (service_id IS NOT NULL AND subscription_id IS NOT NULL)),
    PRIMARY KEY (msisdn, decided_at, id)
) PARTITION BY RANGE (decided_at);
CREATE INDEX authorisation_id ON authorisation (id);
CREATE INDEX authorisation_of_sp ON authorisation (sp_id, id);
-- What a number's month has come to: read with every decision, without touching the table.
CREATE INDEX authorisation_spend ON authorisation (msisdn, decided_at)
    INCLUDE (service_id, price_fen, id) WHERE allowed AND purpose = 'charge';
GRANT SELECT, INSERT ON authorisation TO spms_app;

-- An order of an on-demand service licenses one charge; the key says so.
CREATE TABLE order_use (
    msisdn text COLLATE "C" NOT NULL,
    subscription_id uuid NOT NULL,
    authorisation_id uuid NOT NULL,
    used_at timestamptz NOT NULL,
    PRIMARY KEY (msisdn, subscription_id)
);
GRANT SELECT, INSERT ON order_use TO spms_app;
