-- Breaches and what follows: points, measures as dated restrictions, appeals.

CREATE TABLE breach (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    kind text NOT NULL,             -- closed catalogue in spms.penalties.catalogue
    grade text NOT NULL CONSTRAINT breach_grade CHECK (grade IN ('general', 'serious', 'grave')),
    points integer NOT NULL CONSTRAINT breach_points CHECK (points > 0),
    service_ids uuid[] NOT NULL,    -- the offending services
    source_kind text NOT NULL,      -- 'inspection', 'officer'
    source_id text NOT NULL,
    statement text NOT NULL,
    state text NOT NULL CONSTRAINT breach_state
        CHECK (state IN ('proposed', 'effective', 'dismissed', 'appealed', 'upheld', 'quashed')),
    found_at timestamptz NOT NULL,
    proposed_by text NOT NULL,
    decided_at timestamptz,
    decided_by text,
    appeal_by timestamptz,
    CONSTRAINT breach_two_people CHECK (decided_by <> proposed_by)
);
-- One finding is one breach, whoever reports it.
CREATE UNIQUE INDEX breach_once ON breach (source_kind, source_id, kind);
CREATE INDEX breach_of ON breach (sp_id, found_at);
GRANT SELECT, INSERT ON breach TO spms_app;
GRANT UPDATE (state, decided_at, decided_by, appeal_by) ON breach TO spms_app;

CREATE TABLE breach_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    breach_id uuid NOT NULL,
    action text NOT NULL,
    from_state text,
    to_state text NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    reason text
);
CREATE INDEX breach_event_of ON breach_event (breach_id, id);
GRANT SELECT, INSERT ON breach_event TO spms_app;

CREATE TABLE appeal (
    id uuid PRIMARY KEY,
    breach_id uuid NOT NULL,
    statement text NOT NULL,
    opened_at timestamptz NOT NULL,
    opened_by text NOT NULL,
    decision text CONSTRAINT appeal_decision CHECK (decision IN ('upheld', 'quashed')),
    decided_at timestamptz,
    decided_by text,
    reason text,
    CONSTRAINT appeal_two_people CHECK (decided_by <> opened_by)
);
CREATE UNIQUE INDEX appeal_once ON appeal (breach_id);
GRANT SELECT, INSERT ON appeal TO spms_app;
GRANT UPDATE (decision, decided_at, decided_by, reason) ON appeal TO spms_app;

-- The yearly balance is 100 minus the sum of these; a quashed breach adds a reversing entry.
CREATE TABLE point_entry (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    year integer NOT NULL,
    points integer NOT NULL CONSTRAINT point_entry_not_nothing CHECK (points <> 0),
    breach_id uuid NOT NULL,
    reverses uuid,
    at timestamptz NOT NULL
);
CREATE UNIQUE INDEX point_entry_once ON point_entry (breach_id) WHERE reverses IS NULL;
CREATE UNIQUE INDEX point_entry_reversed_once ON point_entry (reverses) WHERE reverses IS NOT NULL;
CREATE INDEX point_entry_balance ON point_entry (sp_id, year);
GRANT SELECT, INSERT ON point_entry TO spms_app;
