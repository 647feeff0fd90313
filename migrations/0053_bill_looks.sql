-- How often an agent may look at bills, kept by one conditional statement; and numbers nobody has a
-- reason to look at.

CREATE TABLE bill_quota (
    agent text NOT NULL,
    span text NOT NULL CONSTRAINT bill_quota_span CHECK (span IN ('hour', 'day')),
    starts_at timestamptz NOT NULL,
    used integer NOT NULL CONSTRAINT bill_quota_used CHECK (used > 0),
    PRIMARY KEY (agent, span, starts_at)
);
GRANT SELECT, INSERT ON bill_quota TO spms_app;
GRANT UPDATE (used) ON bill_quota TO spms_app;

CREATE TABLE canary_number (
    msisdn text COLLATE "C" PRIMARY KEY,
    added_at timestamptz NOT NULL,
    added_by text NOT NULL
);
GRANT SELECT, INSERT ON canary_number TO spms_app;

CREATE TABLE canary_touch (
    id uuid PRIMARY KEY,
    touched_by text NOT NULL,
    at timestamptz NOT NULL,
    reason text NOT NULL            -- what the agent gave
);
CREATE INDEX canary_touch_at ON canary_touch (at, id);
GRANT SELECT, INSERT ON canary_touch TO spms_app;
