-- Consequences that hold: one finding is one breach until it is cured; notice, statement, appeal,
-- finality; fines; the published register; apologies; the bad-credit list. Slots that wait after a
-- failure, remember how far they came, and say when a person ran them.

ALTER TABLE job_slot
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    ADD COLUMN try_at timestamptz,  -- after a failure: not again before this, by the database's clock
    ADD COLUMN last_error text,
    ADD COLUMN position text,       -- of a job done in chunks: the last chunk that is committed
    ADD COLUMN by_hand text;        -- who ran it; null: the timetable

ALTER TABLE breach DROP CONSTRAINT breach_state;
ALTER TABLE breach
    ADD CONSTRAINT breach_state CHECK (state IN
        ('proposed', 'effective', 'dismissed', 'appealed', 'upheld', 'varied', 'quashed')),
    ADD COLUMN subject text NOT NULL DEFAULT '',    -- what it is about: a hotline, a month, a page
    ADD COLUMN answer_by timestamptz,   -- of the notice: until when nobody decides without the SP
    ADD COLUMN answered_at timestamptz,
    ADD COLUMN cure_by timestamptz,
    ADD COLUMN remedy text CONSTRAINT breach_remedy
        CHECK (remedy IN ('due', 'reported', 'closed', 'escalated', 'void')),
    ADD COLUMN final_at timestamptz,    -- from here on nobody appeals; money moves only after it
    ADD COLUMN caused_by uuid,          -- the breach that this one escalates or carries over
    -- Nothing is final while an appeal is open, and nothing is appealed once it is final.
    ADD CONSTRAINT breach_final
        CHECK (final_at IS NULL OR state IN ('effective', 'upheld', 'varied'));
GRANT UPDATE (grade, points, answered_at, cure_by, remedy, final_at) ON breach TO spms_app;
-- One finding is one breach until it is cured, whoever reports it.
CREATE UNIQUE INDEX breach_one_open ON breach (sp_id, kind, subject)
    WHERE subject <> '' AND (state = 'proposed' OR remedy IN ('due', 'reported'));
CREATE UNIQUE INDEX breach_escalated_once ON breach (caused_by) WHERE source_kind = 'escalation';
CREATE INDEX breach_caused ON breach (caused_by) WHERE caused_by IS NOT NULL;
CREATE INDEX breach_not_final ON breach (appeal_by) WHERE state = 'effective' AND final_at IS NULL;
CREATE INDEX breach_to_cure ON breach (cure_by) WHERE remedy = 'due';

-- Everybody who reported what is one breach.
CREATE TABLE breach_report (
    source_kind text NOT NULL,
    source_id text NOT NULL,
    kind text NOT NULL,
    breach_id uuid NOT NULL,
    at timestamptz NOT NULL,
    reported_by text NOT NULL,
    PRIMARY KEY (source_kind, source_id, kind)
);
CREATE INDEX breach_report_of ON breach_report (breach_id);
GRANT SELECT, INSERT ON breach_report TO spms_app;

ALTER TABLE appeal DROP CONSTRAINT appeal_decision;
ALTER TABLE appeal ADD CONSTRAINT appeal_decision
    CHECK (decision IN ('upheld', 'varied', 'quashed'));

CREATE TABLE fine (
    breach_id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    amount_fen bigint NOT NULL CONSTRAINT fine_amount CHECK (amount_fen > 0),
    -- 'suspended' falls due when the cure date passes, and is void when the breach is cured.
    state text NOT NULL CONSTRAINT fine_state
        CHECK (state IN ('due', 'suspended', 'collected', 'void')),
    imposed_at timestamptz NOT NULL,
    ended_at timestamptz,           -- collected, or void
    CONSTRAINT fine_ended CHECK ((ended_at IS NULL) = (state IN ('due', 'suspended')))
);
CREATE INDEX fine_due ON fine (breach_id) WHERE state = 'due';
GRANT SELECT, INSERT ON fine TO spms_app;
GRANT UPDATE (amount_fen, state, ended_at) ON fine TO spms_app;

CREATE TABLE register_entry (
    breach_id uuid PRIMARY KEY,
    audit_no bigint GENERATED ALWAYS AS IDENTITY,
    published_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX register_entry_no ON register_entry (audit_no);
GRANT SELECT, INSERT ON register_entry TO spms_app;

CREATE TABLE apology (
    breach_id uuid PRIMARY KEY,
    ordered_at timestamptz NOT NULL,
    done_at timestamptz
);
CREATE INDEX apology_open ON apology (breach_id) WHERE done_at IS NULL;
GRANT SELECT, INSERT ON apology TO spms_app;
GRANT UPDATE (done_at) ON apology TO spms_app;
-- One number hears one apology for one breach, whatever happens in between.
CREATE TABLE apology_letter (
    msisdn text COLLATE "C" NOT NULL,
    breach_id uuid NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (msisdn, breach_id)
);
GRANT SELECT, INSERT ON apology_letter TO spms_app;

ALTER TABLE restriction DROP CONSTRAINT restriction_measure;
ALTER TABLE restriction
    ADD COLUMN cut_percent integer,
    ADD CONSTRAINT restriction_measure CHECK (measure IN
        ('no_new_services', 'no_new_subscriptions', 'shielded', 'settlement_held',
         'settlement_cut', 'offline')),
    ADD CONSTRAINT restriction_cut CHECK ((measure = 'settlement_cut') = (cut_percent IS NOT NULL)
        AND cut_percent BETWEEN 1 AND 100);

-- 黑名单: whom the operator does not deal with for a time: licence, company and person.
CREATE TABLE bad_credit (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,            -- whose conduct brought it
    licence_key text NOT NULL,      -- the three as they look, so that look-alikes collide
    company_key text NOT NULL,
    person_key text NOT NULL,
    mobile text,                    -- the responsible person's, canonical
    cause_kind text NOT NULL,
    cause_id text NOT NULL,
    reason text NOT NULL,
    listed_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    listed_by text NOT NULL,
    removed_at timestamptz,
    removed_by text,
    remove_reason text,
    CONSTRAINT bad_credit_range CHECK (until_at > listed_at)
);
CREATE UNIQUE INDEX bad_credit_once ON bad_credit (cause_kind, cause_id) WHERE removed_at IS NULL;
CREATE INDEX bad_credit_licence ON bad_credit (licence_key) WHERE removed_at IS NULL;
CREATE INDEX bad_credit_company ON bad_credit (company_key) WHERE removed_at IS NULL;
CREATE INDEX bad_credit_person ON bad_credit (person_key) WHERE removed_at IS NULL;
GRANT SELECT, INSERT ON bad_credit TO spms_app;
GRANT UPDATE (removed_at, removed_by, remove_reason) ON bad_credit TO spms_app;
-- Two people may have one name: an officer looked and says that this SP's is another.
CREATE TABLE bad_credit_clearance (
    bad_credit_id uuid NOT NULL,
    sp_id uuid NOT NULL,
    at timestamptz NOT NULL,
    cleared_by text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (bad_credit_id, sp_id)
);
GRANT SELECT, INSERT ON bad_credit_clearance TO spms_app;

-- 联动: the SPs under which one company works in several provinces.
CREATE TABLE sp_link (
    sp_id uuid PRIMARY KEY,
    company text NOT NULL,
    province text NOT NULL,
    linked_at timestamptz NOT NULL,
    linked_by text NOT NULL
);
CREATE INDEX sp_link_company ON sp_link (company);
GRANT SELECT, INSERT ON sp_link TO spms_app;
