-- Spot checks of hotlines: a plan committed beforehand, calls as evidence, a verdict.

CREATE TABLE inspection_plan (
    id uuid PRIMARY KEY,
    day date,                       -- the business day of the daily plan; null: an officer drew it
    drawn_at timestamptz NOT NULL,
    drawn_by text NOT NULL,
    seed text NOT NULL,
    seed_sha256 text NOT NULL,      -- published at once; the seed itself when the plan is done
    candidates integer NOT NULL,    -- hotlines in force, among which the items were drawn
    rulebook_version integer NOT NULL,
    finished_at timestamptz
);
CREATE INDEX inspection_plan_list ON inspection_plan (drawn_at, id);
CREATE UNIQUE INDEX inspection_plan_daily ON inspection_plan (day) WHERE day IS NOT NULL;
GRANT SELECT, INSERT ON inspection_plan TO spms_app;
GRANT UPDATE (finished_at) ON inspection_plan TO spms_app;

CREATE TABLE inspection_item (
    id uuid PRIMARY KEY,
    plan_id uuid NOT NULL,
    sp_id uuid NOT NULL,
    hotline text NOT NULL,
    state text NOT NULL CONSTRAINT inspection_item_state CHECK (state IN ('open', 'judged')),
    verdict text CONSTRAINT inspection_item_verdict
        CHECK (verdict IN ('reachable', 'unreachable', 'number_changed', 'inconclusive')),
    reason text CONSTRAINT inspection_item_reason CHECK (reason IN
        ('answered', 'retests_failed', 'change_confirmed', 'attempts_used', 'withdrawn')),
    judged_at timestamptz,
    CONSTRAINT inspection_item_judged CHECK (
        (state = 'judged') = (verdict IS NOT NULL)
        AND (verdict IS NULL) = (reason IS NULL)
        AND (verdict IS NULL) = (judged_at IS NULL))
);
CREATE UNIQUE INDEX inspection_item_once ON inspection_item (plan_id, sp_id, hotline);
CREATE INDEX inspection_item_open ON inspection_item (plan_id) WHERE state = 'open';
CREATE INDEX inspection_item_of ON inspection_item (sp_id, id);
GRANT SELECT, INSERT ON inspection_item TO spms_app;
GRANT UPDATE (state, verdict, reason, judged_at) ON inspection_item TO spms_app;

-- The row is committed before the INVITE leaves; a crash in between leaves `unknown`, no redial.
CREATE TABLE hotline_call (
    item_id uuid NOT NULL,
    attempt_no integer NOT NULL CONSTRAINT hotline_call_attempt CHECK (attempt_no BETWEEN 1 AND 20),
    number text NOT NULL,
    due_at timestamptz NOT NULL,
    state text NOT NULL CONSTRAINT hotline_call_state
        CHECK (state IN ('due', 'placing', 'finished', 'unknown', 'dropped')),
    call_id text,                   -- on the wire: nothing in it tells a test call from another
    caller text,
    placed_at timestamptz,
    lease_until timestamptz,        -- by the database's clock: about machines, not about business
    ended_at timestamptz,
    outcome text CONSTRAINT hotline_call_outcome CHECK (outcome IN
        ('answered', 'busy', 'no_answer', 'number_changed', 'unallocated', 'rejected',
         'congestion', 'own_failure', 'protocol_error', 'unclear')),
    sip_code integer,
    q850_cause integer,
    ring_ms bigint,
    redirected_to text,             -- told by the line with a 3xx or 410; never called
    hung_up_by_line boolean,
    audio_packets integer,
    trace jsonb,
    PRIMARY KEY (item_id, attempt_no),
    CONSTRAINT hotline_call_placed CHECK (
        state IN ('due', 'dropped')
        OR (call_id IS NOT NULL AND caller IS NOT NULL AND placed_at IS NOT NULL
            AND lease_until IS NOT NULL)),
    CONSTRAINT hotline_call_finished CHECK ((state = 'finished') = (outcome IS NOT NULL))
);
-- An item has one call ahead of it or under way, and a number never two of ours at a time: the
-- second would find it busy with the first.
CREATE UNIQUE INDEX hotline_call_one_open ON hotline_call (item_id)
    WHERE state IN ('due', 'placing');
CREATE UNIQUE INDEX hotline_call_one_line ON hotline_call (number) WHERE state = 'placing';
CREATE UNIQUE INDEX hotline_call_id ON hotline_call (call_id);
CREATE INDEX hotline_call_due ON hotline_call (due_at) WHERE state = 'due';
CREATE INDEX hotline_call_lease ON hotline_call (lease_until) WHERE state = 'placing';
CREATE INDEX hotline_call_of_number ON hotline_call (number, placed_at);
GRANT SELECT, INSERT ON hotline_call TO spms_app;
GRANT UPDATE (state, due_at, call_id, caller, placed_at, lease_until, ended_at, outcome, sip_code,
              q850_cause, ring_ms, redirected_to, hung_up_by_line, audio_packets, trace)
    ON hotline_call TO spms_app;

-- How the sandbox's hotlines behave when called. Empty in production.
CREATE TABLE sandbox_line (
    number text PRIMARY KEY,
    behaviour text NOT NULL CONSTRAINT sandbox_line_behaviour CHECK (behaviour IN
        ('answer', 'busy', 'no_answer', 'changed', 'unallocated', 'flaky', 'congestion')),
    connect_percent integer NOT NULL DEFAULT 70
        CONSTRAINT sandbox_line_connects CHECK (connect_percent BETWEEN 0 AND 100),
    new_number text,
    set_at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON sandbox_line TO spms_app;
GRANT UPDATE (behaviour, connect_percent, new_number, set_at) ON sandbox_line TO spms_app;
