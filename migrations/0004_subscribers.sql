-- Numbers and their dated events. A new owner is a new epoch: nothing of the old one is theirs.

-- Each number as it is after the latest of its events, whenever that became known.
CREATE TABLE number (
    msisdn text COLLATE "C" PRIMARY KEY
        CONSTRAINT number_form CHECK (msisdn ~ '^861[3-9][0-9]{9}$'),
    epoch integer NOT NULL,
    state text NOT NULL CONSTRAINT number_state
        CHECK (state IN ('active', 'suspended', 'terminated')),
    state_since timestamptz NOT NULL,
    epoch_since timestamptz NOT NULL,
    language text NOT NULL DEFAULT 'zh' CONSTRAINT number_language CHECK (language IN ('zh', 'en'))
);
GRANT SELECT, INSERT, UPDATE ON number TO spms_app;

CREATE TABLE number_event (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT number_event_kind CHECK (kind IN
        ('activated', 'suspended', 'resumed', 'terminated', 'number_changed', 'transferred')),
    reason text NOT NULL,           -- closed list in spms.subscribers.model
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    actor text NOT NULL,
    -- What follows from this event and all before it. An event that becomes known late corrects
    -- these two, and only these two, for the events after it; the audit log says so.
    state_after text NOT NULL CONSTRAINT number_event_state
        CHECK (state_after IN ('active', 'suspended', 'terminated')),
    epoch_after integer NOT NULL CONSTRAINT number_event_epoch CHECK (epoch_after > 0),
    PRIMARY KEY (msisdn, id)
);
-- The state at t is that of the latest event with effective_at <= t.
CREATE UNIQUE INDEX number_event_as_of ON number_event (msisdn, effective_at DESC);
GRANT SELECT, INSERT ON number_event TO spms_app;
GRANT UPDATE (state_after, epoch_after) ON number_event TO spms_app;
