-- Spot checks in depth: a plan whose whole document is committed to, verdicts after as many calls
-- as they take, one finding until it is cured, evidence chained per number, objections.

ALTER TABLE inspection_plan
    ADD COLUMN start text NOT NULL DEFAULT 'now'
        CONSTRAINT inspection_plan_start CHECK (start IN ('spread', 'now')),
    ADD COLUMN plan_sha256 text,    -- of the document; published at once
    ADD COLUMN document text;       -- the plan as it was drawn; shown when the plan is done

ALTER TABLE inspection_item
    ADD COLUMN caller_offset integer NOT NULL DEFAULT 0,    -- where in the pool the callers begin
    ADD COLUMN same_as uuid;        -- the item whose finding this one only found again
ALTER TABLE inspection_item DROP CONSTRAINT inspection_item_reason;
ALTER TABLE inspection_item ADD CONSTRAINT inspection_item_reason CHECK (reason IN
    ('answered', 'retests_failed', 'change_confirmed', 'attempts_used', 'withdrawn',
     'change_requested'));
CREATE INDEX inspection_item_of_line ON inspection_item (sp_id, hotline) WHERE state = 'open';
GRANT UPDATE (same_as) ON inspection_item TO spms_app;

ALTER TABLE hotline_call
    ADD COLUMN answered_at timestamptz,
    ADD COLUMN media jsonb,         -- what was heard before and after the answer, in figures
    ADD COLUMN other_party boolean NOT NULL DEFAULT false;
ALTER TABLE hotline_call DROP CONSTRAINT hotline_call_attempt;
ALTER TABLE hotline_call ADD CONSTRAINT hotline_call_attempt CHECK (attempt_no BETWEEN 1 AND 200);
GRANT UPDATE (answered_at, media, other_party) ON hotline_call TO spms_app;

-- What a call came to, word for word, each linked to the one before it of the same number. Added
-- to only: a call that is changed or left out afterwards breaks the chain.
CREATE TABLE hotline_evidence (
    number text NOT NULL,
    position integer NOT NULL CONSTRAINT hotline_evidence_position CHECK (position >= 1),
    item_id uuid NOT NULL,
    attempt_no integer NOT NULL,
    evidence text NOT NULL,         -- canonical JSON
    previous_sha256 text NOT NULL,
    sha256 text NOT NULL,           -- of previous_sha256, a line feed, and the evidence
    PRIMARY KEY (number, position)
);
CREATE UNIQUE INDEX hotline_evidence_once ON hotline_evidence (item_id, attempt_no);
GRANT SELECT, INSERT ON hotline_evidence TO spms_app;

-- A line that was found bad stays one finding until it is cured or ought to have been.
CREATE TABLE hotline_finding (
    item_id uuid PRIMARY KEY,       -- the item that found it
    sp_id uuid NOT NULL,
    hotline text NOT NULL,
    verdict text NOT NULL CONSTRAINT hotline_finding_verdict
        CHECK (verdict IN ('unreachable', 'number_changed')),
    found_at timestamptz NOT NULL,
    cure_by timestamptz NOT NULL,
    closed_at timestamptz,
    closed_because text CONSTRAINT hotline_finding_because
        CHECK (closed_because IN ('cured', 'overdue', 'objection')),
    CONSTRAINT hotline_finding_closed CHECK ((closed_at IS NULL) = (closed_because IS NULL))
);
CREATE UNIQUE INDEX hotline_finding_one_open ON hotline_finding (sp_id, hotline)
    WHERE closed_at IS NULL;
GRANT SELECT, INSERT ON hotline_finding TO spms_app;
GRANT UPDATE (closed_at, closed_because) ON hotline_finding TO spms_app;

-- An SP says why a verdict is wrong; an officer who did not draw the plan decides.
CREATE TABLE inspection_objection (
    item_id uuid PRIMARY KEY,       -- one item, one objection
    sp_id uuid NOT NULL,
    statement text NOT NULL,
    opened_at timestamptz NOT NULL,
    opened_by text NOT NULL,
    sustained boolean,
    decided_at timestamptz,
    decided_by text,
    reason text,
    CONSTRAINT inspection_objection_decided CHECK (
        (sustained IS NULL) = (decided_at IS NULL)
        AND (sustained IS NULL) = (decided_by IS NULL)
        AND (sustained IS NULL) = (reason IS NULL)),
    CONSTRAINT inspection_objection_two_people CHECK (decided_by <> opened_by)
);
CREATE INDEX inspection_objection_waiting ON inspection_objection (opened_at, item_id)
    WHERE decided_at IS NULL;
GRANT SELECT, INSERT ON inspection_objection TO spms_app;
GRANT UPDATE (sustained, decided_at, decided_by, reason) ON inspection_objection TO spms_app;

-- The code a hotline plays in touch tones (DTMF) when it answers: proof of who answered.
CREATE TABLE hotline_greeting (
    sp_id uuid NOT NULL,
    hotline text NOT NULL,
    code text NOT NULL CONSTRAINT hotline_greeting_code CHECK (code ~ '^[0-9A-D*#]{4,12}$'),
    set_at timestamptz NOT NULL,
    set_by text NOT NULL,
    PRIMARY KEY (sp_id, hotline, set_at)
);
GRANT SELECT, INSERT ON hotline_greeting TO spms_app;
