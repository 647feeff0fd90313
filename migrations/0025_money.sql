-- One book: entries over postings, chained by hash per number; refunds in rounds; claims that need
-- proof; payouts; disputed fees; mass corrections. See docs/money.md.

-- What a row of the chain is hashed from. Every field but the last has a closed form, so no two
-- entries share their bytes.
CREATE FUNCTION journal_link(
    prev bytea, msisdn text, seq bigint, id uuid, kind text, charge_id uuid, reverses uuid,
    amount_fen bigint, at timestamptz, lines text, actor text
) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(prev || convert_to(
        msisdn || '|' || seq || '|' || id || '|' || kind || '|' || COALESCE(charge_id::text, '') ||
        '|' || COALESCE(reverses::text, '') || '|' || amount_fen || '|' ||
        (extract(epoch FROM at AT TIME ZONE 'UTC') * 1000000)::bigint || '|' || lines || '|' ||
        actor, 'UTF8'))
$$;
CREATE FUNCTION journal_line(
    id uuid, debit text, credit text, sp_id uuid, amount_fen bigint, reason text, reverses uuid
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT id || ':' || debit || ':' || credit || ':' || COALESCE(sp_id::text, '') || ':' ||
           amount_fen || ':' || reason || ':' || COALESCE(reverses::text, '')
$$;

-- `msisdn` names the chain: a number, or `sp:` and the id of the SP for what concerns no number.
CREATE TABLE journal_entry (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    seq bigint NOT NULL CONSTRAINT journal_entry_seq CHECK (seq > 0),
    kind text NOT NULL CONSTRAINT journal_entry_kind CHECK (kind ~ '^[a-z_]+$'),
    charge_id uuid,
    reverses uuid,                  -- the entry that this one takes back
    lines smallint NOT NULL CONSTRAINT journal_entry_lines CHECK (lines > 0),
    amount_fen bigint NOT NULL CONSTRAINT journal_entry_amount CHECK (amount_fen > 0),
    at timestamptz NOT NULL,
    actor text NOT NULL,
    prev_sha256 bytea NOT NULL,
    sha256 bytea NOT NULL,
    PRIMARY KEY (msisdn, id),
    CONSTRAINT journal_entry_in_turn UNIQUE (msisdn, seq)
);
CREATE UNIQUE INDEX journal_entry_reversed_once ON journal_entry (msisdn, reverses)
    WHERE reverses IS NOT NULL;
GRANT SELECT, INSERT ON journal_entry TO spms_app;

-- The end of each chain: whoever appends holds this row.
CREATE TABLE journal_head (
    msisdn text COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL,
    sha256 bytea NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX journal_head_changed ON journal_head USING brin (at);
GRANT SELECT, INSERT ON journal_head TO spms_app;
GRANT UPDATE (seq, sha256, at) ON journal_head TO spms_app;

-- What was signed and handed out of the database about all heads together.
CREATE TABLE journal_anchor (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    chains bigint NOT NULL,
    entries bigint NOT NULL,
    root_sha256 bytea NOT NULL,     -- over all heads in the order of their keys
    public_key bytea NOT NULL,
    signature bytea NOT NULL,
    file_name text NOT NULL
);
CREATE INDEX journal_anchor_at ON journal_anchor (at);
GRANT SELECT, INSERT ON journal_anchor TO spms_app;

-- Postings become lines of an entry.
ALTER TABLE posting ADD COLUMN line_no smallint, ADD COLUMN of_lines smallint;
ALTER TABLE posting ALTER COLUMN charge_id DROP NOT NULL, ALTER COLUMN sp_id DROP NOT NULL;
UPDATE posting p SET line_no = l.line_no, of_lines = l.of_lines
  FROM (SELECT msisdn, id,
               row_number() OVER (PARTITION BY msisdn, entry_id ORDER BY reason DESC, id) AS line_no,
               count(*) OVER (PARTITION BY msisdn, entry_id) AS of_lines
          FROM posting) l
 WHERE l.msisdn = p.msisdn AND l.id = p.id;
WITH RECURSIVE old AS (
    SELECT msisdn, entry_id AS id, min(at) AS at, min(actor) AS actor, min(charge_id::text)::uuid AS charge_id,
           count(*) AS lines, sum(amount_fen)::bigint AS amount_fen,
           string_agg(journal_line(id, debit, credit, sp_id, amount_fen, reason, reverses), ','
                      ORDER BY line_no) AS text,
           row_number() OVER (PARTITION BY msisdn ORDER BY min(at), entry_id) AS seq
      FROM posting GROUP BY msisdn, entry_id
), chained AS (
    SELECT old.*, ''::bytea AS prev,
           journal_link(''::bytea, msisdn, seq, id, 'refund', charge_id, NULL, amount_fen, at, text, actor)
               AS sha
      FROM old WHERE seq = 1
    UNION ALL
    SELECT old.*, c.sha,
           journal_link(c.sha, old.msisdn, old.seq, old.id, 'refund', old.charge_id, NULL,
                        old.amount_fen, old.at, old.text, old.actor)
      FROM chained c JOIN old ON old.msisdn = c.msisdn AND old.seq = c.seq + 1
), entries AS (
    INSERT INTO journal_entry (msisdn, id, seq, kind, charge_id, lines, amount_fen, at, actor,
                               prev_sha256, sha256)
    SELECT msisdn, id, seq, 'refund', charge_id, lines, amount_fen, at, actor, prev, sha FROM chained
)
INSERT INTO journal_head (msisdn, seq, sha256, at)
SELECT DISTINCT ON (msisdn) msisdn, seq, sha, at FROM chained ORDER BY msisdn, seq DESC;
ALTER TABLE posting ALTER COLUMN line_no SET NOT NULL, ALTER COLUMN of_lines SET NOT NULL;
ALTER TABLE posting ADD CONSTRAINT posting_line CHECK (line_no BETWEEN 1 AND of_lines);
ALTER TABLE posting ADD CONSTRAINT posting_reason CHECK (reason ~ '^[a-z_]+$');
CREATE UNIQUE INDEX posting_line_once ON posting (msisdn, entry_id, line_no);
-- The permitted pairs, debit>credit; a reversal goes the other way round. The list is repeated in
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
        'deposits>bank'));

-- Each posting balances in itself: one amount, two accounts. What is left to hold is that an entry
-- is whole, and that can only be seen when its transaction ends.
CREATE FUNCTION journal_entry_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) <> NEW.lines OR COALESCE(sum(p.amount_fen), 0) <> NEW.amount_fen
          FROM public.posting p WHERE p.msisdn = NEW.msisdn AND p.entry_id = NEW.id) THEN
        RAISE EXCEPTION 'an entry does not have the lines or the amount it says'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_whole';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER journal_entry_whole AFTER INSERT ON journal_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION journal_entry_is_whole();

-- Days that are over, summed up: a cache that can be made again and compared.
CREATE TABLE balance_snapshot (
    sp_id uuid NOT NULL,
    account text NOT NULL,
    until_at timestamptz NOT NULL,  -- half-open: what was booked before this instant
    debit_fen bigint NOT NULL,
    credit_fen bigint NOT NULL,
    PRIMARY KEY (sp_id, account, until_at)
);
GRANT SELECT, INSERT ON balance_snapshot TO spms_app;

-- Refunds in rounds: a worse finding that comes later adds a round for what is missing.
ALTER TABLE claim ADD COLUMN round integer, ADD COLUMN cause text;
UPDATE claim SET round = 1 WHERE state = 'refunded';
ALTER TABLE claim ADD CONSTRAINT claim_round
    CHECK ((state = 'refunded') = (round IS NOT NULL) AND round > 0);
ALTER TABLE claim DROP CONSTRAINT claim_source, ADD CONSTRAINT claim_source
    CHECK (source IN ('audit', 'subscriber', 'agent', 'batch'));
DROP INDEX claim_refunded_once;
CREATE UNIQUE INDEX claim_refunded_once ON claim (msisdn, charge_id, round) WHERE state = 'refunded';
ALTER TABLE refund ADD COLUMN round integer NOT NULL DEFAULT 1,
    ADD COLUMN bearer text NOT NULL DEFAULT 'sp'
        CONSTRAINT refund_bearer CHECK (bearer IN ('sp', 'operator'));
ALTER TABLE refund ALTER COLUMN round DROP DEFAULT, ALTER COLUMN bearer DROP DEFAULT;
ALTER TABLE refund DROP CONSTRAINT refund_pkey;
ALTER TABLE refund ADD CONSTRAINT refund_pkey PRIMARY KEY (msisdn, charge_id, kind, round);
ALTER TABLE refund ADD CONSTRAINT refund_round CHECK (round > 0);
ALTER TABLE refund_total
    ADD COLUMN principal_fen bigint NOT NULL DEFAULT 0,
    ADD COLUMN compensation_fen bigint NOT NULL DEFAULT 0,
    ADD COLUMN honoured_due_fen bigint;     -- the lowest due that findings proved and that was paid
UPDATE refund_total t SET principal_fen = refunded_fen / 2, compensation_fen = refunded_fen / 2,
       honoured_due_fen = charged_fen - refunded_fen / 2;
UPDATE refund_total SET honoured_due_fen = charged_fen WHERE honoured_due_fen IS NULL;
ALTER TABLE refund_total
    ALTER COLUMN principal_fen DROP DEFAULT, ALTER COLUMN compensation_fen DROP DEFAULT,
    ALTER COLUMN honoured_due_fen SET NOT NULL;
ALTER TABLE refund_total
    ADD CONSTRAINT refund_total_sum CHECK (refunded_fen = principal_fen + compensation_fen),
    ADD CONSTRAINT refund_total_multiples CHECK (
        principal_fen BETWEEN 0 AND charged_fen AND compensation_fen BETWEEN 0 AND principal_fen),
    ADD CONSTRAINT refund_total_honoured CHECK (honoured_due_fen BETWEEN 0 AND charged_fen);
GRANT UPDATE (principal_fen, compensation_fen, honoured_due_fen) ON refund_total TO spms_app;

-- Claims that the evidence here cannot decide: first multiple at once, the SP may object for a day,
-- then the second multiple or not. What was paid stays paid.
CREATE TABLE verification (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    charge_id uuid NOT NULL,
    charged_at timestamptz NOT NULL,
    sp_id uuid NOT NULL,
    source text NOT NULL CONSTRAINT verification_source CHECK (source IN ('subscriber', 'agent')),
    cause text NOT NULL,
    bearer text NOT NULL CONSTRAINT verification_bearer CHECK (bearer IN ('sp', 'operator')),
    reason text NOT NULL,
    claimed_fen bigint NOT NULL CONSTRAINT verification_claimed CHECK (claimed_fen > 0),
    state text NOT NULL CONSTRAINT verification_state CHECK (
        state IN ('awaiting_approval', 'awaiting_sp', 'objected', 'doubled', 'single', 'declined')),
    opened_at timestamptz NOT NULL,
    opened_by text NOT NULL,
    approved_by text,
    object_until timestamptz,       -- the SP's time; silence until then accepts
    objection text,
    decided_at timestamptz,
    decided_by text,
    decision text,
    CONSTRAINT verification_two_people CHECK (approved_by <> opened_by AND decided_by <> opened_by),
    CONSTRAINT verification_clock CHECK (
        (state IN ('awaiting_approval', 'declined')) = (object_until IS NULL)),
    CONSTRAINT verification_objected CHECK (state <> 'objected' OR objection IS NOT NULL),
    CONSTRAINT verification_decided CHECK (
        (state IN ('doubled', 'single', 'declined')) = (decided_at IS NOT NULL)),
    PRIMARY KEY (msisdn, id)
);
CREATE UNIQUE INDEX verification_once ON verification (msisdn, charge_id) WHERE state <> 'declined';
CREATE INDEX verification_due ON verification (object_until) WHERE state = 'awaiting_sp';
CREATE INDEX verification_of_sp ON verification (sp_id, opened_at, id);
CREATE INDEX verification_recent ON verification (opened_at, id);
CREATE INDEX verification_open ON verification (msisdn, opened_at)
    WHERE state IN ('awaiting_approval', 'awaiting_sp', 'objected');
GRANT SELECT, INSERT ON verification TO spms_app;
GRANT UPDATE (state, approved_by, object_until, objection, decided_at, decided_by, decision)
    ON verification TO spms_app;
CREATE TABLE verification_event (
    msisdn text COLLATE "C" NOT NULL,
    verification_id uuid NOT NULL,
    state text NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    PRIMARY KEY (msisdn, verification_id, state)
);
GRANT SELECT, INSERT ON verification_event TO spms_app;

-- What goes to the billing gateway: one row a refund round. The id is derived, so the gateway knows
-- a repeat.
CREATE TABLE payout (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    charge_id uuid NOT NULL,
    round integer NOT NULL,
    charged_at timestamptz NOT NULL,    -- whoever held the number then is credited
    sp_id uuid NOT NULL,
    amount_fen bigint NOT NULL CONSTRAINT payout_amount CHECK (amount_fen > 0),
    state text NOT NULL CONSTRAINT payout_state
        CHECK (state IN ('queued', 'sending', 'unknown', 'settled', 'refused')),
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL,    -- queued: send from then on; sending, unknown: ask from then on
    queued_at timestamptz NOT NULL,
    ended_at timestamptz,
    detail text,
    CONSTRAINT payout_ended
        CHECK ((state IN ('settled', 'refused')) = (ended_at IS NOT NULL)),
    PRIMARY KEY (msisdn, id),
    CONSTRAINT payout_once UNIQUE (msisdn, charge_id, round)
);
CREATE INDEX payout_due ON payout (due_at) WHERE state IN ('queued', 'sending', 'unknown');
CREATE INDEX payout_open ON payout (msisdn) WHERE state <> 'settled';
GRANT SELECT, INSERT ON payout TO spms_app;
GRANT UPDATE (state, attempts, due_at, ended_at, detail) ON payout TO spms_app;
-- Every question that was asked about a payout whose outcome was unknown, with its answer.
CREATE TABLE payout_query (
    msisdn text COLLATE "C" NOT NULL,
    payout_id uuid NOT NULL,
    asked_at timestamptz NOT NULL,
    id uuid NOT NULL,
    answer text NOT NULL CONSTRAINT payout_query_answer
        CHECK (answer IN ('done', 'not_done', 'refused', 'no_answer')),
    PRIMARY KEY (msisdn, payout_id, asked_at, id)
);
GRANT SELECT, INSERT ON payout_query TO spms_app;

-- 'Service X charged 9 instead of 8 from T1 to T2': proposed with what it comes to, approved by
-- another person, worked off in chunks; the cursor moves in the transaction that refunds.
CREATE TABLE mass_correction (
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL,
    sp_id uuid NOT NULL,
    wrong_fen bigint NOT NULL,
    due_fen bigint NOT NULL,
    from_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    cause text NOT NULL,
    bearer text NOT NULL CONSTRAINT mass_correction_bearer CHECK (bearer IN ('sp', 'operator')),
    reason text NOT NULL,
    apology text NOT NULL,
    state text NOT NULL CONSTRAINT mass_correction_state
        CHECK (state IN ('proposed', 'declined', 'refunding', 'telling', 'done')),
    charges bigint NOT NULL,        -- the preview, as it was approved
    numbers bigint NOT NULL,
    owed_fen bigint NOT NULL,
    receivable_before_fen bigint NOT NULL,
    proposed_at timestamptz NOT NULL,
    proposed_by text NOT NULL,
    decided_at timestamptz,
    decided_by text,
    cursor_at timestamptz,
    cursor_id uuid,
    charges_done bigint NOT NULL DEFAULT 0,
    refunded bigint NOT NULL DEFAULT 0,
    refunded_fen bigint NOT NULL DEFAULT 0,
    told bigint NOT NULL DEFAULT 0,
    finished_at timestamptz,
    CONSTRAINT mass_correction_difference CHECK (0 <= due_fen AND due_fen < wrong_fen),
    CONSTRAINT mass_correction_range CHECK (from_at < until_at),
    CONSTRAINT mass_correction_two_people CHECK (decided_by <> proposed_by),
    CONSTRAINT mass_correction_decided CHECK ((state = 'proposed') = (decided_by IS NULL))
);
CREATE INDEX mass_correction_open ON mass_correction (decided_at)
    WHERE state IN ('refunding', 'telling');
CREATE INDEX mass_correction_recent ON mass_correction (proposed_at, id);
GRANT SELECT, INSERT ON mass_correction TO spms_app;
GRANT UPDATE (state, decided_at, decided_by, cursor_at, cursor_id, charges_done, refunded,
              refunded_fen, told, finished_at) ON mass_correction TO spms_app;
-- Who is told, once, what came back by one correction.
CREATE TABLE mass_correction_person (
    msisdn text COLLATE "C" NOT NULL,
    correction_id uuid NOT NULL,
    charges bigint NOT NULL,
    amount_fen bigint NOT NULL,
    told_at timestamptz,
    PRIMARY KEY (msisdn, correction_id)
);
CREATE INDEX mass_correction_untold ON mass_correction_person (correction_id, msisdn)
    WHERE told_at IS NULL;
GRANT SELECT, INSERT ON mass_correction_person TO spms_app;
GRANT UPDATE (charges, amount_fen, told_at) ON mass_correction_person TO spms_app;
