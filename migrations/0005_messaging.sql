-- SMS as rows: nothing is sent before its row is committed, nothing is acknowledged before it is.

CREATE TABLE message_in (
    msisdn text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL,
    id uuid NOT NULL,
    called text NOT NULL,           -- the number it was sent to
    text text,                      -- null: could not be decoded
    raw bytea NOT NULL,
    link text NOT NULL,
    link_message_id text NOT NULL,
    handled_at timestamptz,
    reading text,                   -- how it was understood (spms.messaging.reading)
    outcome text,                   -- what came of it
    PRIMARY KEY (msisdn, received_at, id)
) PARTITION BY RANGE (received_at);
-- What waits to be handled: the oldest of all, and whether a number has an older one.
CREATE INDEX message_in_pending ON message_in (received_at, id) WHERE handled_at IS NULL;
CREATE INDEX message_in_pending_number ON message_in (msisdn, received_at, id)
    WHERE handled_at IS NULL;
GRANT SELECT, INSERT ON message_in TO spms_app;
GRANT UPDATE (handled_at, reading, outcome) ON message_in TO spms_app;

-- A message that the link delivers twice is one message.
CREATE TABLE message_in_key (
    link text NOT NULL,
    link_message_id text NOT NULL,
    msisdn text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL,
    message_id uuid NOT NULL,
    PRIMARY KEY (link, link_message_id)
);
GRANT SELECT, INSERT ON message_in_key TO spms_app;

CREATE TABLE message_out (
    msisdn text COLLATE "C" NOT NULL,
    queued_at timestamptz NOT NULL,
    id uuid NOT NULL,
    sender text NOT NULL,           -- the number shown on the handset
    text text NOT NULL,
    kind text NOT NULL,             -- closed list in spms.messaging.model
    about_kind text NOT NULL,
    about_id text NOT NULL,
    state text NOT NULL CONSTRAINT message_out_state
        CHECK (state IN ('queued', 'sending', 'sent', 'delivered', 'failed', 'unknown')),
    due_at timestamptz NOT NULL,
    lease_until timestamptz,        -- nobody touches it before: being sent, or tried again then
    -- How often it may have reached the network. Never more than twice: that is this constraint.
    attempts integer NOT NULL DEFAULT 0 CONSTRAINT message_out_at_most_twice
        CHECK (attempts BETWEEN 0 AND 2),
    link text,
    link_message_id text,
    sent_at timestamptz,
    delivered_at timestamptz,
    error text,
    PRIMARY KEY (msisdn, queued_at, id)
) PARTITION BY RANGE (queued_at);
CREATE INDEX message_out_due ON message_out ((coalesce(lease_until, due_at)), id)
    WHERE state IN ('queued', 'sending', 'unknown');
CREATE INDEX message_out_receipt ON message_out (link, link_message_id);
CREATE INDEX message_out_kind ON message_out (msisdn, kind, queued_at);
GRANT SELECT, INSERT ON message_out TO spms_app;
GRANT UPDATE (state, lease_until, attempts, link, link_message_id, sent_at, delivered_at, error)
    ON message_out TO spms_app;

-- Delivery receipts; a fast network sends one before we have recorded what it is about.
CREATE TABLE message_receipt (
    link text NOT NULL,
    link_message_id text NOT NULL,
    delivered boolean NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (link, link_message_id)
);
GRANT SELECT, INSERT, DELETE ON message_receipt TO spms_app;

CREATE TABLE one_time_code (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    code_hmac bytea NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    tries integer NOT NULL DEFAULT 0 CONSTRAINT one_time_code_tries CHECK (tries <= 5),
    used_at timestamptz,
    PRIMARY KEY (msisdn, id)
);
CREATE INDEX one_time_code_recent ON one_time_code (msisdn, issued_at);
GRANT SELECT, INSERT ON one_time_code TO spms_app;
GRANT UPDATE (tries, used_at) ON one_time_code TO spms_app;

-- Who asked for a code, known number or not: a limit for known ones only would tell them apart.
CREATE TABLE one_time_code_request (
    msisdn_hmac bytea NOT NULL,
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (msisdn_hmac, id)
);
CREATE INDEX one_time_code_request_age ON one_time_code_request (at);
GRANT SELECT, INSERT, DELETE ON one_time_code_request TO spms_app;

-- The sandbox handset: demonstration phones and what their screens show.
CREATE TABLE sandbox_phone (
    msisdn text COLLATE "C" PRIMARY KEY,
    label text NOT NULL,
    reachable boolean NOT NULL DEFAULT true
);
GRANT SELECT, INSERT, UPDATE ON sandbox_phone TO spms_app;

CREATE TABLE sandbox_sms (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,    -- in the order in which one phone's screen shows it
    direction text NOT NULL CONSTRAINT sandbox_sms_direction
        CHECK (direction IN ('to_phone', 'from_phone')),
    other text NOT NULL,
    text text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (msisdn, id)
);
CREATE INDEX sandbox_sms_screen ON sandbox_sms (msisdn, seq);
GRANT SELECT, INSERT ON sandbox_sms TO spms_app;
