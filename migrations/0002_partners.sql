-- Service providers: who they are, how they can be reached, what holds them back.

CREATE TABLE sp (
    id uuid PRIMARY KEY,
    code text NOT NULL CONSTRAINT sp_code_form CHECK (code ~ '^[0-9]{6}$'),
    name text NOT NULL,
    name_key text NOT NULL,         -- what the name looks like: look-alikes collide here
    licence_no text NOT NULL,
    responsible_name text NOT NULL,
    responsible_mobile text,        -- canonical MSISDN; obligatory before activation
    status text NOT NULL CONSTRAINT sp_status
        CHECK (status IN ('applied', 'in_review', 'active', 'rejected', 'closed')),
    applied_at timestamptz NOT NULL,
    activated_at timestamptz
);
CREATE UNIQUE INDEX sp_code ON sp (code);
CREATE UNIQUE INDEX sp_licence ON sp (licence_no) WHERE status NOT IN ('rejected', 'closed');
CREATE UNIQUE INDEX sp_name_key ON sp (name_key) WHERE status NOT IN ('rejected', 'closed');
CREATE INDEX sp_waiting ON sp (applied_at) WHERE status = 'applied';
GRANT SELECT, INSERT ON sp TO spms_app;
GRANT UPDATE (status, activated_at, responsible_name, responsible_mobile) ON sp TO spms_app;

CREATE TABLE sp_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sp_id uuid NOT NULL,
    action text NOT NULL,
    from_status text,
    to_status text NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    reason text
);
CREATE INDEX sp_event_of ON sp_event (sp_id, id);
GRANT SELECT, INSERT ON sp_event TO spms_app;

CREATE TABLE sp_hotline (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    number text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    CONSTRAINT sp_hotline_range CHECK (valid_to >= valid_from)
);
CREATE INDEX sp_hotline_of ON sp_hotline (sp_id, valid_from);
CREATE UNIQUE INDEX sp_hotline_open ON sp_hotline (sp_id, number) WHERE valid_to IS NULL;
GRANT SELECT, INSERT ON sp_hotline TO spms_app;
GRANT UPDATE (valid_to) ON sp_hotline TO spms_app;

CREATE TABLE contact_change (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    hotlines text[] NOT NULL,
    responsible_name text NOT NULL,
    responsible_mobile text NOT NULL,
    state text NOT NULL CONSTRAINT contact_change_state
        CHECK (state IN ('requested', 'approved', 'rejected')),
    requested_at timestamptz NOT NULL,
    requested_by text NOT NULL,
    decided_at timestamptz,
    decided_by text,
    reason text,
    CONSTRAINT contact_change_two_people CHECK (decided_by <> requested_by)
);
CREATE UNIQUE INDEX contact_change_one_open ON contact_change (sp_id) WHERE state = 'requested';
CREATE INDEX contact_change_of ON contact_change (sp_id, id);
CREATE INDEX contact_change_waiting ON contact_change (id) WHERE state = 'requested';
GRANT SELECT, INSERT ON contact_change TO spms_app;
GRANT UPDATE (state, decided_at, decided_by, reason) ON contact_change TO spms_app;

-- Restrictions hold at the same time, each with its own cause; the effective state is their OR.
CREATE TABLE restriction (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    service_id uuid,                -- null: the whole SP
    measure text NOT NULL CONSTRAINT restriction_measure CHECK (measure IN
        ('no_new_services', 'no_new_subscriptions', 'shielded', 'settlement_held', 'offline')),
    cause_kind text NOT NULL,       -- 'breach', 'officer'
    cause_id text NOT NULL,
    reason text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,            -- null: until lifted
    imposed_by text NOT NULL,
    lifted_by text,
    lift_reason text,
    CONSTRAINT restriction_range CHECK (ends_at >= starts_at)
);
CREATE INDEX restriction_of ON restriction (sp_id, id);
-- One cause restricts one thing once; after it was lifted, the same cause may restrict anew.
CREATE UNIQUE INDEX restriction_cause ON restriction
    (cause_kind, cause_id, measure, sp_id, COALESCE(service_id, '00000000-0000-0000-0000-000000000000'::uuid))
    WHERE lifted_by IS NULL;
GRANT SELECT, INSERT ON restriction TO spms_app;
GRANT UPDATE (ends_at, lifted_by, lift_reason) ON restriction TO spms_app;
