-- Spot checks of hotlines: a plan committed beforehand, calls as evidence, a verdict.

CREATE TABLE inspection_plan (
    id uuid PRIMARY KEY,
    drawn_at timestamptz NOT NULL,
    drawn_by text NOT NULL,
    seed text NOT NULL,
    seed_sha256 text NOT NULL,      -- published at once; the seed itself when the plan is done
    rulebook_version integer NOT NULL,
    finished_at timestamptz
);
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
    judged_at timestamptz,
    CONSTRAINT inspection_item_judged CHECK ((state = 'judged') = (verdict IS NOT NULL))
);
CREATE UNIQUE INDEX inspection_item_once ON inspection_item (plan_id, sp_id, hotline);
CREATE INDEX inspection_item_open ON inspection_item (state) WHERE state = 'open';
CREATE INDEX inspection_item_of ON inspection_item (sp_id, id);
GRANT SELECT, INSERT ON inspection_item TO spms_app;
GRANT UPDATE (state, verdict, judged_at) ON inspection_item TO spms_app;

-- The row is committed before the INVITE leaves; a crash in between leaves `unknown`, no redial.
CREATE TABLE hotline_call (
    item_id uuid NOT NULL,
    attempt_no integer NOT NULL CONSTRAINT hotline_call_attempt CHECK (attempt_no BETWEEN 1 AND 20),
    due_at timestamptz NOT NULL,
    state text NOT NULL CONSTRAINT hotline_call_state
        CHECK (state IN ('due', 'placing', 'finished', 'unknown')),
    call_id text,
    caller text,
    placed_at timestamptz,
    ended_at timestamptz,
    outcome text,
    sip_code integer,
    q850_cause integer,
    ring_ms bigint,
    trace jsonb,
    PRIMARY KEY (item_id, attempt_no)
);
CREATE INDEX hotline_call_due ON hotline_call (due_at) WHERE state IN ('due', 'placing');
GRANT SELECT, INSERT ON hotline_call TO spms_app;
GRANT UPDATE (state, call_id, caller, placed_at, ended_at, outcome, sip_code, q850_cause, ring_ms, trace)
    ON hotline_call TO spms_app;
