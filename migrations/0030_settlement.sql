-- Settlement: months counted once, statements in revisions, locks as a chain of hashes per SP,
-- holds, late corrections, payments, and reconciliation three ways. See docs/settlement.md.

-- A month that is being settled. Charges belong to the first month that ends after they were made
-- and was not cut off before they came; advances to the month in whose window they were booked.
CREATE TABLE settlement_month (
    month date PRIMARY KEY CONSTRAINT settlement_month_first CHECK (extract(day FROM month) = 1),
    from_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    cut_off_before timestamptz NOT NULL,    -- the cut-off of the month before
    cut_off_at timestamptz NOT NULL,
    rulebook_version integer NOT NULL,
    opened_at timestamptz NOT NULL,
    -- How far the work has come: the recovery point. `done_until` is the last SP of a stage that
    -- goes from SP to SP.
    stage text NOT NULL CONSTRAINT settlement_month_stage CHECK (stage IN (
        'count_charges', 'count_controlled', 'count_advances', 'count_messages', 'look_silent',
        'look_heavy', 'look_arrears', 'draw', 'send', 'sent')),
    done_until uuid,
    CONSTRAINT settlement_month_range CHECK
        (from_at < until_at AND until_at <= cut_off_at AND cut_off_before < cut_off_at)
);
GRANT SELECT, INSERT ON settlement_month TO spms_app;
GRANT UPDATE (stage, done_until) ON settlement_month TO spms_app;

-- What was counted, once and for all: a month's statements rest on these and not on a new count.
CREATE TABLE settlement_figure (
    month date NOT NULL,
    sp_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT settlement_figure_kind CHECK (kind IN
        ('charged', 'late', 'controlled', 'advanced', 'mt', 'mo')),
    records bigint NOT NULL,
    amount_fen bigint NOT NULL,
    CONSTRAINT settlement_figure_amount CHECK (records >= 0 AND amount_fen >= 0),
    PRIMARY KEY (month, sp_id, kind)
);
GRANT SELECT, INSERT ON settlement_figure TO spms_app;

-- What looks wrong about a month's charges. A flagged one holds the settlement until it is cleared.
CREATE TABLE settlement_report (
    month date NOT NULL,
    sp_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT settlement_report_kind CHECK (kind IN
        ('silent_users', 'self_consumption', 'arrears')),
    part bigint NOT NULL,           -- numbers (silent users), else fen
    whole bigint NOT NULL,
    numbers bigint NOT NULL,
    share_bp integer NOT NULL,
    threshold_bp integer NOT NULL,
    flagged boolean NOT NULL,
    CONSTRAINT settlement_report_part CHECK (part BETWEEN 0 AND whole),
    PRIMARY KEY (month, sp_id, kind)
);
GRANT SELECT, INSERT ON settlement_report TO spms_app;

CREATE TABLE settlement (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    month date NOT NULL,
    state text NOT NULL CONSTRAINT settlement_state CHECK (state IN
        ('draft', 'sent', 'disputed', 'confirmed', 'locked', 'paid')),
    revision integer NOT NULL CONSTRAINT settlement_revision_no CHECK (revision > 0),
    payable_fen bigint NOT NULL CONSTRAINT settlement_payable CHECK (payable_fen >= 0),
    object_until timestamptz,
    confirmed_at timestamptz,
    pay_month date,                 -- in whose payment it is: that of the month it was locked in
    CONSTRAINT settlement_sent CHECK ((state = 'draft') = (object_until IS NULL)),
    CONSTRAINT settlement_confirmed
        CHECK ((state IN ('confirmed', 'locked', 'paid')) = (confirmed_at IS NOT NULL)),
    CONSTRAINT settlement_locked CHECK ((state IN ('locked', 'paid')) = (pay_month IS NOT NULL))
);
CREATE UNIQUE INDEX settlement_once ON settlement (sp_id, month);
CREATE INDEX settlement_of_month ON settlement (month, sp_id);
CREATE INDEX settlement_silent ON settlement (object_until) WHERE state = 'sent';
CREATE INDEX settlement_to_lock ON settlement (month, sp_id) WHERE state = 'confirmed';
CREATE INDEX settlement_to_pay ON settlement (pay_month, sp_id) WHERE pay_month IS NOT NULL;
GRANT SELECT, INSERT ON settlement TO spms_app;
GRANT UPDATE (state, revision, payable_fen, object_until, confirmed_at, pay_month) ON settlement TO spms_app;

-- Each statement ever drawn, as it was: the exact text is what is hashed, shown and agreed to.
CREATE TABLE settlement_statement (
    settlement_id uuid NOT NULL,
    revision integer NOT NULL,
    sp_id uuid NOT NULL,
    follows bytea NOT NULL,         -- the lock of the SP's statement before; empty for the first
    body text NOT NULL,             -- canonical JSON
    sha256 bytea NOT NULL,
    payable_fen bigint NOT NULL,
    carried jsonb NOT NULL,
    drawn_at timestamptz NOT NULL,
    CONSTRAINT settlement_statement_hash CHECK (sha256 = sha256(follows || convert_to(body, 'UTF8'))),
    PRIMARY KEY (settlement_id, revision)
);
GRANT SELECT, INSERT ON settlement_statement TO spms_app;
CREATE TABLE settlement_step (
    settlement_id uuid NOT NULL,
    revision integer NOT NULL,
    step_no integer NOT NULL,
    kind text NOT NULL,
    arising_fen bigint NOT NULL,
    brought_fen bigint NOT NULL,
    taken_fen bigint NOT NULL,
    carried_fen bigint NOT NULL,
    left_fen bigint NOT NULL,
    inputs jsonb NOT NULL,
    CONSTRAINT settlement_step_amounts
        CHECK (LEAST(arising_fen, brought_fen, taken_fen, carried_fen, left_fen) >= 0),
    PRIMARY KEY (settlement_id, revision, step_no)
);
GRANT SELECT, INSERT ON settlement_step TO spms_app;

CREATE TABLE settlement_event (
    settlement_id uuid NOT NULL,
    id uuid NOT NULL,
    action text NOT NULL,
    from_state text,
    to_state text NOT NULL,
    revision integer NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    reason text,
    PRIMARY KEY (settlement_id, id)
);
GRANT SELECT, INSERT ON settlement_event TO spms_app;

-- Locked: never changed, and nothing that a lock took is taken again. `follows` makes each SP's
-- locks one chain without a fork.
CREATE TABLE settlement_lock (
    settlement_id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    month date NOT NULL,
    revision integer NOT NULL,
    follows bytea NOT NULL,
    sha256 bytea NOT NULL,
    payable_fen bigint NOT NULL,
    carried jsonb NOT NULL,
    entry_id uuid,                  -- in the book; null when nothing moved
    locked_at timestamptz NOT NULL,
    locked_by text NOT NULL
);
CREATE UNIQUE INDEX settlement_lock_chain ON settlement_lock (sp_id, follows);
CREATE UNIQUE INDEX settlement_lock_month ON settlement_lock (sp_id, month);
GRANT SELECT, INSERT ON settlement_lock TO spms_app;
-- One breach cuts once, one correction is taken once.
CREATE TABLE settlement_use (
    kind text NOT NULL CONSTRAINT settlement_use_kind CHECK (kind IN ('breach', 'adjustment')),
    source_id uuid NOT NULL,
    settlement_id uuid NOT NULL,
    PRIMARY KEY (kind, source_id)
);
GRANT SELECT, INSERT ON settlement_use TO spms_app;

CREATE TABLE settlement_objection (
    id uuid PRIMARY KEY,
    settlement_id uuid NOT NULL,
    revision integer NOT NULL,
    statement text NOT NULL,
    lines jsonb NOT NULL,
    opened_at timestamptz NOT NULL,
    opened_by text NOT NULL,
    decision text CONSTRAINT settlement_objection_decision CHECK (decision IN ('redrawn', 'rejected')),
    decided_at timestamptz,
    decided_by text,
    reason text,
    CONSTRAINT settlement_objection_decided CHECK ((decision IS NULL) = (decided_at IS NULL)),
    CONSTRAINT settlement_objection_two_people CHECK (decided_by <> opened_by)
);
CREATE UNIQUE INDEX settlement_objection_once ON settlement_objection (settlement_id, revision);
GRANT SELECT, INSERT ON settlement_objection TO spms_app;
GRANT UPDATE (decision, decided_at, decided_by, reason) ON settlement_objection TO spms_app;

CREATE TABLE settlement_hold (
    id uuid PRIMARY KEY,
    settlement_id uuid NOT NULL,
    cause text NOT NULL CONSTRAINT settlement_hold_cause CHECK (cause IN
        ('silent_users', 'self_consumption', 'arrears', 'officer')),
    reason text NOT NULL,
    placed_at timestamptz NOT NULL,
    placed_by text NOT NULL,
    cleared_at timestamptz,
    cleared_by text,
    clear_reason text,
    CONSTRAINT settlement_hold_cleared CHECK ((cleared_at IS NULL) = (cleared_by IS NULL)
        AND (cleared_at IS NULL) = (clear_reason IS NULL)),
    CONSTRAINT settlement_hold_two_people CHECK (cleared_by <> placed_by)
);
-- A report holds a settlement once; whoever cleared it is not asked again.
CREATE UNIQUE INDEX settlement_hold_report ON settlement_hold (settlement_id, cause)
    WHERE cause <> 'officer';
CREATE UNIQUE INDEX settlement_hold_officer ON settlement_hold (settlement_id)
    WHERE cause = 'officer' AND cleared_at IS NULL;
CREATE INDEX settlement_hold_open ON settlement_hold (settlement_id) WHERE cleared_at IS NULL;
GRANT SELECT, INSERT ON settlement_hold TO spms_app;
GRANT UPDATE (cleared_at, cleared_by, clear_reason) ON settlement_hold TO spms_app;

-- Late corrections and fines: they go into the next statement that is drawn, never into a locked one.
CREATE TABLE settlement_adjustment (
    id uuid PRIMARY KEY,
    sp_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT settlement_adjustment_kind CHECK (kind IN ('fine', 'debit', 'credit')),
    amount_fen bigint NOT NULL CONSTRAINT settlement_adjustment_amount CHECK (amount_fen > 0),
    about text NOT NULL,
    corrects uuid,                  -- the locked settlement that it puts right
    state text NOT NULL CONSTRAINT settlement_adjustment_state
        CHECK (state IN ('proposed', 'approved', 'declined')),
    proposed_at timestamptz NOT NULL,
    proposed_by text NOT NULL,
    decided_at timestamptz,
    decided_by text,
    CONSTRAINT settlement_adjustment_two_people CHECK (decided_by <> proposed_by),
    CONSTRAINT settlement_adjustment_decided CHECK ((state = 'proposed') = (decided_at IS NULL)
        AND (state = 'proposed') = (decided_by IS NULL))
);
CREATE INDEX settlement_adjustment_of ON settlement_adjustment (sp_id, proposed_at, id);
CREATE INDEX settlement_adjustment_recent ON settlement_adjustment (proposed_at, id);
GRANT SELECT, INSERT ON settlement_adjustment TO spms_app;
GRANT UPDATE (state, decided_at, decided_by) ON settlement_adjustment TO spms_app;

-- What one calendar month pays: the approval sheet of the 24th, the file of the 26th.
CREATE TABLE settlement_payout (
    month date PRIMARY KEY CONSTRAINT settlement_payout_first CHECK (extract(day FROM month) = 1),
    made_at timestamptz NOT NULL,
    made_by text NOT NULL,
    approved_at timestamptz,
    approved_by text,
    to_finance_at timestamptz,
    CONSTRAINT settlement_payout_two_people CHECK (approved_by <> made_by),
    CONSTRAINT settlement_payout_approved CHECK ((approved_at IS NULL) = (approved_by IS NULL)
        AND (to_finance_at IS NULL OR approved_at IS NOT NULL))
);
GRANT SELECT, INSERT ON settlement_payout TO spms_app;
GRANT UPDATE (approved_at, approved_by, to_finance_at) ON settlement_payout TO spms_app;
CREATE TABLE settlement_payment (
    settlement_id uuid PRIMARY KEY,
    reference text NOT NULL,        -- the bank's
    amount_fen bigint NOT NULL CONSTRAINT settlement_payment_amount CHECK (amount_fen > 0),
    paid_at timestamptz NOT NULL,
    entered_by text NOT NULL
);
GRANT SELECT, INSERT ON settlement_payment TO spms_app;

-- What the gateway says it delivered, and billing says it billed, by day and service. A later
-- report of the same day is a further revision; the latest counts.
CREATE TABLE reconciliation_count (
    source text NOT NULL CONSTRAINT reconciliation_count_source CHECK (source IN ('gateway', 'billing')),
    day date NOT NULL,
    service_id uuid NOT NULL,
    revision integer NOT NULL,
    records bigint NOT NULL,
    amount_fen bigint NOT NULL,
    told_at timestamptz NOT NULL,
    told_by text NOT NULL,
    CONSTRAINT reconciliation_count_amount CHECK (records >= 0 AND amount_fen >= 0),
    PRIMARY KEY (source, day, service_id, revision)
);
GRANT SELECT, INSERT ON reconciliation_count TO spms_app;
CREATE TABLE reconciliation_difference (
    id uuid PRIMARY KEY,
    month date NOT NULL,
    day date NOT NULL,
    service_id uuid NOT NULL,
    sp_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT reconciliation_difference_kind CHECK (kind IN
        ('charged_not_delivered', 'delivered_not_charged', 'charged_not_billed',
         'billed_not_charged', 'amount_differs')),
    owner text NOT NULL CONSTRAINT reconciliation_difference_owner CHECK (owner IN
        ('sp', 'gateway', 'billing')),
    delivered bigint,               -- null: that side has told nothing
    charged bigint NOT NULL,
    billed bigint,
    charged_fen bigint NOT NULL,
    billed_fen bigint,
    found_at timestamptz NOT NULL,
    state text NOT NULL CONSTRAINT reconciliation_difference_state
        CHECK (state IN ('open', 'explained', 'gone')),
    explanation text,
    explained_at timestamptz,
    explained_by text,
    CONSTRAINT reconciliation_difference_explained CHECK
        ((state = 'explained') = (explanation IS NOT NULL))
);
CREATE UNIQUE INDEX reconciliation_difference_once ON reconciliation_difference (day, service_id, kind);
CREATE INDEX reconciliation_difference_of ON reconciliation_difference (month, id);
GRANT SELECT, INSERT ON reconciliation_difference TO spms_app;
GRANT UPDATE (delivered, charged, billed, charged_fen, billed_fen, state, explanation, explained_at,
              explained_by) ON reconciliation_difference TO spms_app;

-- Late charges are found by when they came; rows land in that order.
CREATE INDEX charge_record_came ON charge_record USING brin (received_at);
-- A late correction in the SP's favour is the operator's share given up. The list is repeated in
-- spms/compensation/accounts.py, and a test compares the two.
ALTER TABLE posting DROP CONSTRAINT posting_accounts;
ALTER TABLE posting ADD CONSTRAINT posting_accounts CHECK (
    CASE WHEN reverses IS NULL THEN debit || '>' || credit ELSE credit || '>' || debit END IN (
        'sp_receivable>subscriber_payable', 'operator_share>subscriber_payable',
        'goodwill>subscriber_payable', 'subscriber_payable>subscriber_balance',
        'subscriber_balance>sp_payable', 'subscriber_balance>operator_share',
        'sp_payable>sp_receivable', 'operator_share>sp_receivable', 'deposits>sp_receivable',
        'bad_debt>sp_receivable', 'sp_payable>fines', 'deposits>fines', 'sp_receivable>fines',
        'sp_payable>operator_share', 'sp_payable>bad_debt', 'sp_payable>bank', 'bank>deposits',
        'deposits>bank', 'operator_share>sp_payable'));
