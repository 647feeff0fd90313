-- Claims, refunds and the journal. One charge is refunded once, whatever the entrance.

CREATE TABLE claim (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    charge_id uuid NOT NULL,
    charged_at timestamptz NOT NULL,
    sp_id uuid NOT NULL,
    source text NOT NULL CONSTRAINT claim_source
        CHECK (source IN ('audit', 'subscriber', 'agent')),
    reason text NOT NULL,           -- the finding that decided, or what the claimant said
    state text NOT NULL CONSTRAINT claim_state CHECK (state IN ('refunded', 'stands')),
    charged_fen bigint NOT NULL,
    due_fen bigint NOT NULL,
    turn integer,                   -- of the claims that found this charge right: which one
    opened_at timestamptz NOT NULL,
    opened_by text NOT NULL,
    CONSTRAINT claim_due CHECK (due_fen BETWEEN 0 AND charged_fen),
    -- The state follows from the money: a difference is refunded, no difference stands.
    CONSTRAINT claim_refunds_the_difference CHECK ((state = 'refunded') = (due_fen < charged_fen)),
    CONSTRAINT claim_stands_in_turn
        CHECK ((state = 'stands') = (turn IS NOT NULL) AND turn BETWEEN 1 AND 5),
    PRIMARY KEY (msisdn, id)
);
-- At most one claim refunds a charge; at most five find it right.
CREATE UNIQUE INDEX claim_refunded_once ON claim (msisdn, charge_id) WHERE state = 'refunded';
CREATE UNIQUE INDEX claim_stands_once_a_turn ON claim (msisdn, charge_id, turn)
    WHERE state = 'stands';
CREATE INDEX claim_of_sp ON claim (sp_id, opened_at, id);
CREATE INDEX claim_recent ON claim (opened_at, id);
GRANT SELECT, INSERT ON claim TO spms_app;

CREATE TABLE refund (
    msisdn text COLLATE "C" NOT NULL,
    charge_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT refund_kind CHECK (kind IN ('principal', 'compensation')),
    claim_id uuid NOT NULL,
    sp_id uuid NOT NULL,
    amount_fen bigint NOT NULL CONSTRAINT refund_amount CHECK (amount_fen > 0),
    at timestamptz NOT NULL,
    PRIMARY KEY (msisdn, charge_id, kind)
);
GRANT SELECT, INSERT ON refund TO spms_app;

CREATE TABLE refund_total (
    msisdn text COLLATE "C" NOT NULL,
    charge_id uuid NOT NULL,
    charged_fen bigint NOT NULL CONSTRAINT refund_total_charged CHECK (charged_fen > 0),
    refunded_fen bigint NOT NULL,
    -- Never more than double what was charged, whatever else goes wrong.
    CONSTRAINT refund_total_at_most_double CHECK (refunded_fen BETWEEN 0 AND 2 * charged_fen),
    PRIMARY KEY (msisdn, charge_id)
);
GRANT SELECT, INSERT ON refund_total TO spms_app;
GRANT UPDATE (refunded_fen) ON refund_total TO spms_app;

-- Double entry: a posting takes from one account and gives to another, so it always balances.
CREATE TABLE posting (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    entry_id uuid NOT NULL,         -- postings of one business event
    debit text NOT NULL,
    credit text NOT NULL,
    sp_id uuid NOT NULL,
    amount_fen bigint NOT NULL CONSTRAINT posting_amount CHECK (amount_fen > 0),
    reason text NOT NULL,
    charge_id uuid NOT NULL,
    reverses uuid,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    CONSTRAINT posting_accounts CHECK (debit <> credit AND
        debit IN ('sp_receivable', 'subscriber_payable', 'goodwill') AND
        credit IN ('sp_receivable', 'subscriber_payable', 'goodwill')),
    PRIMARY KEY (msisdn, id)
);
CREATE UNIQUE INDEX posting_reversed_once ON posting (msisdn, reverses) WHERE reverses IS NOT NULL;
CREATE INDEX posting_sp ON posting (sp_id, at);
CREATE INDEX posting_charge ON posting (msisdn, charge_id);
GRANT SELECT, INSERT ON posting TO spms_app;
