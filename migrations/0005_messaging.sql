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
CREATE INDEX message_in_pending ON message_in (received_at) WHERE handled_at IS NULL;
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
    lease_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    link text,
    link_message_id text,
    sent_at timestamptz,
    delivered_at timestamptz,
    error text,
    PRIMARY KEY (msisdn, queued_at, id)
) PARTITION BY RANGE (queued_at);
CREATE INDEX message_out_due ON message_out (due_at) WHERE state IN ('queued', 'sending');
CREATE INDEX message_out_receipt ON message_out (link, link_message_id);
CREATE INDEX message_out_kind ON message_out (msisdn, kind, queued_at);
GRANT SELECT, INSERT ON message_out TO spms_app;
GRANT UPDATE (state, due_at, lease_until, attempts, link, link_message_id, sent_at, delivered_at, error)
    ON message_out TO spms_app;

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
    direction text NOT NULL CONSTRAINT sandbox_sms_direction CHECK (direction IN ('to_phone', 'from_phone')),
    other text NOT NULL,
    text text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (msisdn, id)
);
GRANT SELECT, INSERT ON sandbox_sms TO spms_app;
