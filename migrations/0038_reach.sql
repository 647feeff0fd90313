-- Proof of service beyond reach: how soon hotlines answer, month by month, and once a quarter
-- whether the responsible person's mobile is alive.

ALTER TABLE inspection_item
    ADD COLUMN kind text NOT NULL DEFAULT 'hotline'
        CONSTRAINT inspection_item_kind CHECK (kind IN ('hotline', 'responsible')),
    ADD COLUMN quarter date;        -- of a responsible person's item: first day of the quarter
ALTER TABLE inspection_item ADD CONSTRAINT inspection_item_quarter
    CHECK ((kind = 'responsible') = (quarter IS NOT NULL));
CREATE UNIQUE INDEX inspection_item_once_a_quarter ON inspection_item (sp_id, quarter)
    WHERE quarter IS NOT NULL;
CREATE INDEX inspection_item_judged_at ON inspection_item (judged_at) WHERE state = 'judged';
ALTER TABLE inspection_item DROP CONSTRAINT inspection_item_verdict;
ALTER TABLE inspection_item ADD CONSTRAINT inspection_item_verdict CHECK (verdict IN
    ('reachable', 'unreachable', 'number_changed', 'inconclusive', 'dead'));
ALTER TABLE inspection_item DROP CONSTRAINT inspection_item_reason;
ALTER TABLE inspection_item ADD CONSTRAINT inspection_item_reason CHECK (reason IN
    ('answered', 'retests_failed', 'change_confirmed', 'attempts_used', 'withdrawn',
     'change_requested', 'number_dead'));
ALTER TABLE hotline_finding DROP CONSTRAINT hotline_finding_verdict;
ALTER TABLE hotline_finding ADD CONSTRAINT hotline_finding_verdict
    CHECK (verdict IN ('unreachable', 'number_changed', 'dead'));

-- An SP's month, written once when it is over. The rulebook's figures stand beside what they made
-- of it.
CREATE TABLE service_proof (
    sp_id uuid NOT NULL,
    month date NOT NULL,
    lines integer NOT NULL,         -- hotlines that were judged in the month
    lines_answered integer NOT NULL,    -- of them, with at least one answered call
    working_calls integer NOT NULL, -- telling calls in working hours
    working_answered integer NOT NULL,
    other_calls integer NOT NULL,   -- telling calls outside them
    other_answered integer NOT NULL,
    answered integer NOT NULL,      -- of lines not found bad: answered calls, the 100 %
    in_time integer NOT NULL,       -- of these, answered within answer_seconds
    answer_seconds integer NOT NULL,
    answer_percent integer NOT NULL,
    too_slow boolean NOT NULL,      -- a finding
    summed_at timestamptz NOT NULL,
    PRIMARY KEY (sp_id, month),
    CONSTRAINT service_proof_month CHECK (extract(day FROM month) = 1),
    CONSTRAINT service_proof_counts CHECK (
        0 <= in_time AND in_time <= answered AND lines_answered <= lines
        AND working_answered <= working_calls AND other_answered <= other_calls)
);
CREATE INDEX service_proof_list ON service_proof (month, sp_id);
GRANT SELECT, INSERT ON service_proof TO spms_app;
ALTER TABLE service_proof ADD CONSTRAINT service_proof_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
