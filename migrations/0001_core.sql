-- What every room stands on: credentials and tokens, audit, outbox, idempotency, the rulebook's
-- versions, job slots. The application role gets rights table by table, never more than it needs.

CREATE TABLE instance (
    only_one boolean PRIMARY KEY DEFAULT true CONSTRAINT instance_only_one CHECK (only_one),
    -- Signs cursors and one-time codes, keys pseudonyms. 244 random bits.
    secret bytea NOT NULL,
    clock_offset_seconds bigint NOT NULL DEFAULT 0,
    city text CONSTRAINT instance_city CHECK (city IN ('playing', 'played', 'interrupted')),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO instance (secret)
VALUES (sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea));
GRANT SELECT ON instance TO spms_app;
GRANT UPDATE (clock_offset_seconds, city) ON instance TO spms_app;

CREATE TABLE credential (
    id uuid PRIMARY KEY,
    kind text NOT NULL CONSTRAINT credential_kind
        CHECK (kind IN ('staff', 'sp', 'network', 'subscriber')),
    subject text NOT NULL,          -- login, SP id, network element's name, MSISDN
    name text NOT NULL,             -- what audit rows show; never an MSISDN
    roles text[] NOT NULL,
    secret_hash text NOT NULL,      -- argon2id (passwords), sha256 (random secrets), '' (codes)
    epoch integer NOT NULL DEFAULT 0,   -- of a subscriber's number: a new owner is a new subject
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    revoked_at timestamptz,
    revoked_by text
);
CREATE UNIQUE INDEX credential_staff_login ON credential (kind, subject)
    WHERE kind IN ('staff', 'network') AND revoked_at IS NULL;
CREATE INDEX credential_subject ON credential (kind, subject);
GRANT SELECT, INSERT ON credential TO spms_app;
GRANT UPDATE (revoked_at, revoked_by) ON credential TO spms_app;

CREATE TABLE access_token (
    token_sha256 bytea PRIMARY KEY,
    credential_id uuid NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX access_token_expiry ON access_token (expires_at);
GRANT SELECT, INSERT, DELETE ON access_token TO spms_app;
GRANT UPDATE (revoked_at) ON access_token TO spms_app;

CREATE TABLE sign_in_failure (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    subject_hash bytea NOT NULL,    -- what was tried may be a person's number
    at timestamptz NOT NULL
);
CREATE INDEX sign_in_failure_recent ON sign_in_failure (kind, subject_hash, at);
GRANT SELECT, INSERT, DELETE ON sign_in_failure TO spms_app;

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    act text NOT NULL,
    about_kind text NOT NULL,
    about_id text NOT NULL,
    reason text,
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_about ON audit_log (about_kind, about_id, id);
GRANT SELECT, INSERT ON audit_log TO spms_app;

CREATE TABLE outbox (
    id uuid PRIMARY KEY,
    topic text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    done_at timestamptz,
    last_error text
);
CREATE INDEX outbox_due ON outbox (topic, due_at) WHERE done_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON outbox TO spms_app;

CREATE TABLE idempotency (
    actor text NOT NULL,
    key text NOT NULL,
    input_sha256 bytea NOT NULL,
    response bytea,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO spms_app;

CREATE TABLE rulebook (
    version integer PRIMARY KEY,
    effective_from timestamptz NOT NULL,
    rules jsonb NOT NULL,           -- section → overrides of the defaults in code
    reason text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL
);
INSERT INTO rulebook VALUES (1, '-infinity', '{}', 'the defaults', now(), 'migration');
GRANT SELECT, INSERT ON rulebook TO spms_app;

CREATE TABLE job_slot (
    job text NOT NULL,
    slot_at timestamptz NOT NULL,
    state text NOT NULL CONSTRAINT job_slot_state CHECK (state IN ('due', 'running', 'done', 'failed')),
    fence bigint NOT NULL DEFAULT 0,
    owner text,
    lease_until timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    outcome text,
    PRIMARY KEY (job, slot_at)
);
CREATE INDEX job_slot_open ON job_slot (job, slot_at) WHERE state IN ('due', 'running');
GRANT SELECT, INSERT, UPDATE, DELETE ON job_slot TO spms_app;

GRANT SELECT ON schema_migration TO spms_app;

-- Partitions are made by the owner's right through one narrow door: a known table, a whole month.
CREATE FUNCTION make_month_partition(parent text, month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    lower_edge timestamptz := (date_trunc('month', month::timestamp)) AT TIME ZONE 'Asia/Shanghai';
    upper_edge timestamptz := (date_trunc('month', month::timestamp) + interval '1 month')
        AT TIME ZONE 'Asia/Shanghai';
    child text := parent || '_' || to_char(month, 'YYYYMM');
BEGIN
    IF parent NOT IN ('message_in', 'message_out', 'authorisation', 'charge_record') THEN
        RAISE EXCEPTION 'not a table with month partitions: %', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('make_month_partition'));
    IF to_regclass(child) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                   child, parent, lower_edge, upper_edge);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION make_month_partition(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_month_partition(text, date) TO spms_app;
