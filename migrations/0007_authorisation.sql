-- Decisions (鉴权): what was asked, what was answered, and every fact that decided it.

CREATE TABLE authorisation (
    msisdn text COLLATE "C" NOT NULL,
    decided_at timestamptz NOT NULL,
    id uuid NOT NULL,
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
    PRIMARY KEY (msisdn, decided_at, id)
) PARTITION BY RANGE (decided_at);
CREATE INDEX authorisation_id ON authorisation (id);
GRANT SELECT, INSERT ON authorisation TO spms_app;
