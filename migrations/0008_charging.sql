-- Charge records as they reached us, each with its verdict. A wrong one is kept as it happened.

CREATE TABLE charge_file (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    owner text NOT NULL,            -- the party that sent it; the same bytes again are the same file
    sha256 bytea NOT NULL,          -- after decompression
    format text NOT NULL CONSTRAINT charge_file_format CHECK (format IN ('csv', 'ndjson')),
    state text NOT NULL CONSTRAINT charge_file_state
        CHECK (state IN ('landing', 'done')),
    -- Lines of data that are through; moved in the transaction that lands them.
    lines bigint NOT NULL DEFAULT 0,
    landed bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT charge_file_identity
        CHECK (landed + quarantined + duplicates = lines),
    CONSTRAINT charge_file_done_has_time CHECK ((state = 'done') = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX charge_file_once ON charge_file (owner, sha256);
GRANT SELECT, INSERT ON charge_file TO spms_app;
GRANT UPDATE (state, lines, landed, quarantined, duplicates, finished_at) ON charge_file TO spms_app;

CREATE TABLE charge_quarantine (
    id uuid PRIMARY KEY,
    file_id uuid,                   -- null: came by the API
    sp_id uuid NOT NULL,
    line_no bigint NOT NULL,        -- line of the file, or place in the batch, from 1
    reason text NOT NULL,           -- closed list in spms.charging.model
    raw bytea NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX charge_quarantine_of ON charge_quarantine (sp_id, id);
CREATE INDEX charge_quarantine_file ON charge_quarantine (file_id, line_no);
GRANT SELECT, INSERT ON charge_quarantine TO spms_app;

-- One record id of an SP is one charge for ever, whatever the month and the number.
CREATE TABLE charge_key (
    sp_id uuid NOT NULL,
    record_id text NOT NULL,
    content_sha256 bytea NOT NULL,
    charge_id uuid NOT NULL,
    PRIMARY KEY (sp_id, record_id)
);
GRANT SELECT, INSERT ON charge_key TO spms_app;

CREATE TABLE charge_record (
    msisdn text COLLATE "C" NOT NULL,
    charged_at timestamptz NOT NULL,
    id uuid NOT NULL,
    sp_id uuid NOT NULL,
    service_id uuid NOT NULL,
    record_id text NOT NULL,
    kind text NOT NULL CONSTRAINT charge_record_kind CHECK (kind IN ('monthly', 'on_demand')),
    price_fen bigint NOT NULL CONSTRAINT charge_record_price CHECK (price_fen BETWEEN 1 AND 1000000),
    delivery text NOT NULL CONSTRAINT charge_record_delivery
        CHECK (delivery IN ('delivered', 'failed', 'none')),
    file_id uuid,
    received_at timestamptz NOT NULL,
    consent_id uuid,                -- the subscription whose consent licenses it
    tariff_id uuid,
    authorisation_id uuid,
    findings text[] NOT NULL,       -- what was wrong when it landed; later ones in charge_finding
    due_fen bigint NOT NULL,
    rulebook_version integer NOT NULL,
    CONSTRAINT charge_record_due CHECK (due_fen BETWEEN 0 AND price_fen),
    -- Found right only with the consent it cites.
    CONSTRAINT charge_record_right_has_consent
        CHECK (cardinality(findings) > 0 OR consent_id IS NOT NULL),
    PRIMARY KEY (msisdn, charged_at, id)
) PARTITION BY RANGE (charged_at);
CREATE INDEX charge_record_sp ON charge_record (sp_id, charged_at, id);
CREATE INDEX charge_record_id ON charge_record (id);
GRANT SELECT, INSERT ON charge_record TO spms_app;

CREATE TABLE charge_finding (
    msisdn text COLLATE "C" NOT NULL,
    charge_id uuid NOT NULL,
    charged_at timestamptz NOT NULL,
    kind text NOT NULL,             -- closed list in spms.charging.model
    due_fen bigint NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    found_at timestamptz NOT NULL,
    found_by text NOT NULL,
    PRIMARY KEY (msisdn, charge_id, kind)
);
CREATE INDEX charge_finding_recent ON charge_finding (found_at);
GRANT SELECT, INSERT ON charge_finding TO spms_app;

-- Charges are judged again when a fact of their time is recorded late: found by when it was told.
CREATE INDEX number_event_told ON number_event USING brin (recorded_at);
CREATE INDEX subscription_event_told ON subscription_event USING brin (at);
