-- What an SP may send: agreed numbers of messages, and texts approved for a service.

-- Agreed with an SP from an instant on; null: nothing agreed about that. Versions are only ever added.
CREATE TABLE sp_quota (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    version integer NOT NULL,
    per_second bigint CONSTRAINT sp_quota_per_second CHECK (per_second >= 0),
    per_day bigint CONSTRAINT sp_quota_per_day CHECK (per_day >= 0),
    per_month bigint CONSTRAINT sp_quota_per_month CHECK (per_month >= 0),
    effective_from timestamptz NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT sp_quota_not_backdated CHECK (effective_from >= created_at)
);
CREATE UNIQUE INDEX sp_quota_version ON sp_quota (sp_id, version);
CREATE UNIQUE INDEX sp_quota_from ON sp_quota (sp_id, effective_from);
GRANT SELECT, INSERT ON sp_quota TO spms_app;

-- What an SP with a quota was allowed to send: one row for each of its months. A decision that would
-- add to it names the turn it has read.
CREATE TABLE sp_quota_use (
    sp_id uuid NOT NULL,
    month date NOT NULL,            -- first day of the business month
    by_day bigint[] NOT NULL,       -- of each day of the month
    second timestamptz,             -- the last second in which anything was allowed
    in_second bigint NOT NULL,      -- and how much in it
    turn bigint NOT NULL,
    CONSTRAINT sp_quota_use_days CHECK (cardinality(by_day) = 31),
    CONSTRAINT sp_quota_use_not_negative CHECK (0 <= ALL (by_day) AND in_second >= 0),
    PRIMARY KEY (sp_id, month)
) WITH (fillfactor = 50);
GRANT SELECT, INSERT ON sp_quota_use TO spms_app;
GRANT UPDATE (by_day, second, in_second, turn) ON sp_quota_use TO spms_app;

-- A text that a service may send; `{}` stands for what differs from person to person. As soon as one
-- is approved the service sends nothing else.
CREATE TABLE message_template (
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL,
    version integer NOT NULL,
    wording text NOT NULL,
    state text NOT NULL CONSTRAINT message_template_state
        CHECK (state IN ('drafted', 'approved', 'rejected')),
    drafted_at timestamptz NOT NULL,
    drafted_by text NOT NULL,
    decided_at timestamptz,
    decided_by text,
    reason text,
    retired_at timestamptz,
    retired_by text,
    CONSTRAINT message_template_two_people CHECK (decided_by <> drafted_by),
    CONSTRAINT message_template_decided CHECK ((state = 'drafted') = (decided_at IS NULL)
                                               AND (decided_at IS NULL) = (decided_by IS NULL)),
    CONSTRAINT message_template_retired CHECK ((retired_at IS NULL) = (retired_by IS NULL)
        AND (retired_at IS NULL OR (state = 'approved' AND retired_at >= decided_at)))
);
CREATE UNIQUE INDEX message_template_version ON message_template (service_id, version);
CREATE INDEX message_template_waiting ON message_template (id) WHERE state = 'drafted';
GRANT SELECT, INSERT ON message_template TO spms_app;
GRANT UPDATE (state, decided_at, decided_by, reason, retired_at, retired_by)
    ON message_template TO spms_app;

-- A decision rests on both: see migration 0034.
CREATE CONSTRAINT TRIGGER sp_quota_mark AFTER INSERT OR UPDATE OR DELETE ON sp_quota
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mark_standing();
CREATE CONSTRAINT TRIGGER message_template_mark AFTER INSERT OR UPDATE OR DELETE ON message_template
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mark_standing();
