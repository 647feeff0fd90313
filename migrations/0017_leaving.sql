-- What a person decides about her own number (bars, caps), the clock of a leaving through an agent
-- (代客退订), and which notices were given. All of it belongs to one holder: the number's epoch.

-- Dated, and open while `ends_at` is null. A bar is set by the person or by staff on her recorded
-- wish; only she lifts it.
CREATE TABLE number_bar (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    epoch integer NOT NULL,
    scope text NOT NULL CONSTRAINT number_bar_scope CHECK (scope IN ('all', 'sp', 'category')),
    target text NOT NULL,           -- '' for all, an SP's id, a category
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    set_by text NOT NULL,
    reason text,                    -- what staff were told
    lifted_by text,
    CONSTRAINT number_bar_target CHECK ((scope = 'all') = (target = '')),
    CONSTRAINT number_bar_range CHECK (ends_at >= starts_at),
    CONSTRAINT number_bar_staff_say_why CHECK (set_by LIKE 'subscriber:%' OR reason IS NOT NULL),
    CONSTRAINT number_bar_lifted_by_her CHECK (
        CASE WHEN ends_at IS NULL THEN lifted_by IS NULL ELSE lifted_by LIKE 'subscriber:%' END),
    PRIMARY KEY (msisdn, id)
);
CREATE UNIQUE INDEX number_bar_once ON number_bar (msisdn, epoch, scope, target)
    WHERE ends_at IS NULL;
GRANT SELECT, INSERT ON number_bar TO spms_app;
GRANT UPDATE (ends_at, lifted_by) ON number_bar TO spms_app;

-- The cap in force at t is the latest of its scope with starts_at <= t; null is the operator's.
CREATE TABLE number_cap (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    epoch integer NOT NULL,
    scope text NOT NULL CONSTRAINT number_cap_scope
        CHECK (scope IN ('total', 'each_service', 'service')),
    service_id uuid,
    limit_fen bigint CONSTRAINT number_cap_limit CHECK (limit_fen BETWEEN 0 AND 1000000),
    starts_at timestamptz NOT NULL,
    set_by text NOT NULL CONSTRAINT number_cap_set_by_her CHECK (set_by LIKE 'subscriber:%'),
    CONSTRAINT number_cap_service CHECK ((scope = 'service') = (service_id IS NOT NULL)),
    PRIMARY KEY (msisdn, id)
);
CREATE INDEX number_cap_as_of ON number_cap (msisdn, epoch, starts_at DESC, id DESC);
GRANT SELECT, INSERT ON number_cap TO spms_app;

-- An agent's look at a number in order to leave for its holder: written before anything is shown.
CREATE TABLE proxy_lookup (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    looked_by text NOT NULL,
    reason text NOT NULL,
    ticket text NOT NULL,           -- the call's or complaint's reference
    at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (msisdn, id)
);
CREATE INDEX proxy_lookup_id ON proxy_lookup (id);
GRANT SELECT, INSERT ON proxy_lookup TO spms_app;

-- What must follow a leaving through an agent, each with its 12 h clock.
CREATE TABLE leaving_duty (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    sp_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT leaving_duty_kind CHECK (kind IN ('sp_told', 'welcome_revoked')),
    lookup_id uuid,                 -- null: left without a lookup of its own
    started_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    met_at timestamptz,
    met_by text,
    breached_at timestamptz,        -- the clock ran out first; stays, also when it is met later
    CONSTRAINT leaving_duty_clock CHECK (due_at > started_at),
    CONSTRAINT leaving_duty_met CHECK ((met_at IS NULL) = (met_by IS NULL)),
    CONSTRAINT leaving_duty_breach_is_late
        CHECK (breached_at IS NULL OR breached_at >= due_at AND (met_at IS NULL OR met_at >= due_at)),
    PRIMARY KEY (msisdn, id)
);
CREATE UNIQUE INDEX leaving_duty_once ON leaving_duty (msisdn, subscription_id, kind);
CREATE INDEX leaving_duty_id ON leaving_duty (id);
CREATE INDEX leaving_duty_of_sp ON leaving_duty (sp_id, id);
CREATE INDEX leaving_duty_open ON leaving_duty (due_at) WHERE met_at IS NULL;
CREATE INDEX leaving_duty_late ON leaving_duty (due_at)
    WHERE breached_at IS NULL AND (met_at IS NULL OR met_at >= due_at);
GRANT SELECT, INSERT ON leaving_duty TO spms_app;
GRANT UPDATE (met_at, met_by, breached_at) ON leaving_duty TO spms_app;

-- A notice is given once: the row is written with the message, and the key knows what it is about.
CREATE TABLE subscriber_notice (
    msisdn text COLLATE "C" NOT NULL,
    kind text NOT NULL CONSTRAINT subscriber_notice_kind
        CHECK (kind IN ('receipt', 'renewal', 'spending', 'unusual_bill')),
    about_id text NOT NULL,         -- charge; relation and month; holder, month and step
    at timestamptz NOT NULL,
    PRIMARY KEY (msisdn, kind, about_id)
);
GRANT SELECT, INSERT ON subscriber_notice TO spms_app;
