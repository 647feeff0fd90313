-- What the audit does not refund by itself. A rule in mode `review` leaves a suspicion for a person
-- to decide; one in mode `observe` only counts, in one row for each batch that landed.

CREATE TABLE charge_suspicion (
    msisdn text COLLATE "C" NOT NULL,
    charge_id uuid NOT NULL,
    kind text NOT NULL,             -- closed list in spms.charging.model
    id uuid NOT NULL,
    charged_at timestamptz NOT NULL,
    sp_id uuid NOT NULL,
    due_fen bigint NOT NULL CONSTRAINT charge_suspicion_due CHECK (due_fen >= 0),
    detail jsonb NOT NULL,
    found_at timestamptz NOT NULL,
    found_by text NOT NULL,
    state text NOT NULL DEFAULT 'open'
        CONSTRAINT charge_suspicion_state CHECK (state IN ('open', 'upheld', 'dismissed')),
    decided_at timestamptz,
    decided_by text,
    reason text,
    CONSTRAINT charge_suspicion_decided
        CHECK ((state = 'open') = (decided_at IS NULL)
               AND (decided_at IS NULL) = (decided_by IS NULL)
               AND (decided_at IS NULL) = (reason IS NULL)),
    PRIMARY KEY (msisdn, charge_id, kind)
);
CREATE INDEX charge_suspicion_id ON charge_suspicion (id);
CREATE INDEX charge_suspicion_open ON charge_suspicion (found_at, id) WHERE state = 'open';
GRANT SELECT, INSERT ON charge_suspicion TO spms_app;
GRANT UPDATE (state, decided_at, decided_by, reason) ON charge_suspicion TO spms_app;

CREATE TABLE charge_observation (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    charges bigint NOT NULL CONSTRAINT charge_observation_charges CHECK (charges > 0),
    fen bigint NOT NULL,
    examples uuid[] NOT NULL        -- a few of the charges
);
CREATE INDEX charge_observation_of ON charge_observation (at, sp_id, kind);
GRANT SELECT, INSERT ON charge_observation TO spms_app;
