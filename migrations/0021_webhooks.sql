-- What SPs are told: events in a feed with positions, and webhooks that carry them.

-- In which order things happened to one relation: its row is held when the number is drawn, so a
-- later event of it has the greater one. Between relations it says nothing about who committed first.
ALTER TABLE subscription_event ADD COLUMN seq bigint GENERATED ALWAYS AS IDENTITY;
CREATE INDEX subscription_event_seq ON subscription_event (seq);

-- How far every event of a relation has been told: where the search for untold ones begins. It
-- moves only past numbers which no transaction can still commit (see subscriptions/telling.py).
CREATE TABLE subscription_telling (
    only_one boolean PRIMARY KEY DEFAULT true CONSTRAINT subscription_telling_only_one CHECK (only_one),
    settled_seq bigint NOT NULL,
    watched_seq bigint NOT NULL,
    watched_xid xid8 NOT NULL,
    CONSTRAINT subscription_telling_range CHECK (settled_seq <= watched_seq)
);
-- What happened before there was a feed is not told.
INSERT INTO subscription_telling (settled_seq, watched_seq, watched_xid)
SELECT COALESCE(max(seq), 0), COALESCE(max(seq), 0), '0' FROM subscription_event;
GRANT SELECT ON subscription_telling TO spms_app;
GRANT UPDATE (settled_seq, watched_seq, watched_xid) ON subscription_telling TO spms_app;

-- One thing that an SP is told, written in the transaction of whatever happened or derived from it
-- after its commit. No person's number is in here.
CREATE TABLE partner_event (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    position bigint,                -- in the SP's feed: 1, 2, 3 …; given after the commit, by one at a time
    type text NOT NULL CONSTRAINT partner_event_type CHECK (type ~ '^[a-z_]+(\.[a-z_]+)+$'),
    subject text NOT NULL,          -- what it is about: told in order per subject
    occurred_at timestamptz NOT NULL,
    data jsonb NOT NULL
);
CREATE UNIQUE INDEX partner_event_position ON partner_event (sp_id, position);
CREATE INDEX partner_event_unnumbered ON partner_event (seq) WHERE position IS NULL;
CREATE INDEX partner_event_time ON partner_event (sp_id, occurred_at);
GRANT SELECT, INSERT ON partner_event TO spms_app;
GRANT UPDATE (position) ON partner_event TO spms_app;

CREATE TABLE event_feed_head (
    sp_id uuid PRIMARY KEY,
    position bigint NOT NULL
);
GRANT SELECT, INSERT ON event_feed_head TO spms_app;
GRANT UPDATE (position) ON event_feed_head TO spms_app;

CREATE TABLE webhook_endpoint (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    url text NOT NULL,
    types text[] NOT NULL,          -- empty: all
    state text NOT NULL CONSTRAINT webhook_endpoint_state
        CHECK (state IN ('enabled', 'paused', 'disabled', 'closed')),
    state_at timestamptz NOT NULL,
    state_reason text,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    failing_since timestamptz,
    succeeded_at timestamptz,
    resume_at timestamptz           -- it asked for rest until then (Retry-After)
);
CREATE INDEX webhook_endpoint_of ON webhook_endpoint (sp_id, id);
GRANT SELECT, INSERT ON webhook_endpoint TO spms_app;
GRANT UPDATE (state, state_at, state_reason, failing_since, succeeded_at, resume_at)
    ON webhook_endpoint TO spms_app;

-- The secret itself is nowhere: it is derived from this id and the instance's secret.
CREATE TABLE webhook_secret (
    id uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz
);
CREATE INDEX webhook_secret_of ON webhook_secret (endpoint_id, id);
GRANT SELECT, INSERT ON webhook_secret TO spms_app;
GRANT UPDATE (expires_at) ON webhook_secret TO spms_app;

-- One event for one endpoint, and how far it has come.
CREATE TABLE webhook_delivery (
    endpoint_id uuid NOT NULL,
    position bigint NOT NULL,
    sp_id uuid NOT NULL,
    subject text NOT NULL,
    state text NOT NULL CONSTRAINT webhook_delivery_state
        CHECK (state IN ('waiting', 'sending', 'delivered', 'given_up')),
    due_at timestamptz NOT NULL,    -- while sending: when the sender's lease ends
    lease uuid,
    tries integer NOT NULL DEFAULT 0,
    round_at timestamptz NOT NULL,  -- when this round of tries began
    replays integer NOT NULL DEFAULT 0,
    done_at timestamptz,
    CONSTRAINT webhook_delivery_lease CHECK ((state = 'sending') = (lease IS NOT NULL)),
    PRIMARY KEY (endpoint_id, position)
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (endpoint_id, due_at, position)
    WHERE state IN ('waiting', 'sending');
CREATE INDEX webhook_delivery_order ON webhook_delivery (endpoint_id, subject, position)
    WHERE state IN ('waiting', 'sending');
GRANT SELECT, INSERT ON webhook_delivery TO spms_app;
GRANT UPDATE (state, due_at, lease, tries, round_at, replays, done_at) ON webhook_delivery TO spms_app;

CREATE TABLE webhook_attempt (
    id uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL,
    position bigint NOT NULL,
    at timestamptz NOT NULL,
    result text NOT NULL,           -- 'delivered', or what went wrong, as a closed code
    http_status integer,
    duration_ms integer NOT NULL,
    response_start text             -- a short beginning of the answer, long numbers blanked
        CONSTRAINT webhook_attempt_response_short CHECK (length(response_start) <= 256)
);
CREATE INDEX webhook_attempt_of ON webhook_attempt (endpoint_id, id);
GRANT SELECT, INSERT ON webhook_attempt TO spms_app;
