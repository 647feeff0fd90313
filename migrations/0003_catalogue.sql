-- What may be sold: access numbers, services, append-only tariff versions, approved notices.

CREATE TABLE access_number (
    number text PRIMARY KEY,
    sp_id uuid NOT NULL,
    assigned_at timestamptz NOT NULL,
    assigned_by text NOT NULL
);
GRANT SELECT, INSERT ON access_number TO spms_app;

CREATE TABLE service (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    code text NOT NULL CONSTRAINT service_code_form CHECK (code ~ '^[0-9]{4,8}$'),
    name text NOT NULL,
    kind text NOT NULL CONSTRAINT service_kind CHECK (kind IN ('monthly', 'on_demand')),
    category text NOT NULL,
    access_number text NOT NULL,
    keyword text NOT NULL,          -- upper case, NFKC: what a person texts to order
    status text NOT NULL CONSTRAINT service_status
        CHECK (status IN ('draft', 'online', 'offline', 'withdrawn')),
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX service_code ON service (code);
CREATE UNIQUE INDEX service_keyword ON service (access_number, keyword) WHERE status <> 'withdrawn';
CREATE INDEX service_of ON service (sp_id, code);
CREATE UNIQUE INDEX service_and_sp ON service (id, sp_id);
GRANT SELECT, INSERT ON service TO spms_app;
GRANT UPDATE (status) ON service TO spms_app;

CREATE TABLE service_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_id uuid NOT NULL,
    action text NOT NULL,
    from_status text,
    to_status text NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    reason text
);
CREATE INDEX service_event_of ON service_event (service_id, id);
GRANT SELECT, INSERT ON service_event TO spms_app;

-- In force at t: the version with the latest effective_from <= t. Versions are only ever added.
CREATE TABLE tariff (
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL,
    version integer NOT NULL,
    price_fen bigint NOT NULL CONSTRAINT tariff_price CHECK (price_fen BETWEEN 1 AND 1000000),
    effective_from timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    CONSTRAINT tariff_not_backdated CHECK (effective_from >= created_at)
);
CREATE UNIQUE INDEX tariff_version ON tariff (service_id, version);
CREATE UNIQUE INDEX tariff_from ON tariff (service_id, effective_from);
GRANT SELECT, INSERT ON tariff TO spms_app;

-- What a person is told before paying. Sold only while approved, at the tariff it names.
CREATE TABLE notice (
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL,
    tariff_id uuid NOT NULL,
    version integer NOT NULL,
    sp_name text NOT NULL,
    service_name text NOT NULL,
    price_fen bigint NOT NULL,
    period text NOT NULL CONSTRAINT notice_period CHECK (period IN ('month', 'use')),
    hotline text NOT NULL,
    leave_command text NOT NULL,
    state text NOT NULL CONSTRAINT notice_state CHECK (state IN ('drafted', 'approved', 'rejected')),
    drafted_at timestamptz NOT NULL,
    drafted_by text NOT NULL,
    decided_at timestamptz,
    decided_by text,
    reason text,
    CONSTRAINT notice_two_people CHECK (decided_by <> drafted_by)
);
CREATE UNIQUE INDEX notice_version ON notice (service_id, version);
CREATE UNIQUE INDEX notice_one_open ON notice (tariff_id) WHERE state = 'drafted';
CREATE INDEX notice_in_use ON notice (tariff_id, version) WHERE state = 'approved';
CREATE INDEX notice_waiting ON notice (id) WHERE state = 'drafted';
GRANT SELECT, INSERT ON notice TO spms_app;
GRANT UPDATE (state, decided_at, decided_by, reason) ON notice TO spms_app;
