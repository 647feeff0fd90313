-- One book at its speed: hashing that the planner can write out, whole entries seen a statement at
-- a time, anchors for every kind of chain, payouts that were refused. See docs/money.md.

-- The same bytes as before, in a form the planner can put in the place of the call: a body that is
-- less constant than the function says cannot be (`||` between text and another type, `convert_to`
-- are stable), and each call costs ten times as much.
CREATE FUNCTION journal_text(
    msisdn text, seq bigint, id uuid, kind text, charge_id uuid, reverses uuid,
    amount_fen bigint, at timestamptz, lines text, actor text
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT convert_to(
        msisdn || '|' || seq::text || '|' || id::text || '|' || kind || '|' ||
        COALESCE(charge_id::text, '') || '|' || COALESCE(reverses::text, '') || '|' ||
        amount_fen::text || '|' ||
        ((extract(epoch FROM at AT TIME ZONE 'UTC') * 1000000)::bigint)::text || '|' || lines ||
        '|' || actor, 'UTF8')
$$;
CREATE OR REPLACE FUNCTION journal_link(
    prev bytea, msisdn text, seq bigint, id uuid, kind text, charge_id uuid, reverses uuid,
    amount_fen bigint, at timestamptz, lines text, actor text
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sha256(prev || journal_text(msisdn, seq, id, kind, charge_id, reverses, amount_fen, at,
                                       lines, actor))
$$;
CREATE OR REPLACE FUNCTION journal_line(
    id uuid, debit text, credit text, sp_id uuid, amount_fen bigint, reason text, reverses uuid
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT id::text || ':' || debit || ':' || credit || ':' || COALESCE(sp_id::text, '') || ':' ||
           amount_fen::text || ':' || reason || ':' || COALESCE(reverses::text, '')
$$;

-- An identity that follows from a text (UUIDv8 of its SHA-256): the same as core.ids.hashed_id.
CREATE FUNCTION hashed_id(of text) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT overlay(overlay(left(encode(sha256(convert_to(of, 'UTF8')), 'hex'), 32)
                           placing '8' from 13) placing '8' from 17)::uuid
$$;

-- Entries are whole, and lines and refunds belong to something, seen once a statement over all its
-- rows. Constraint triggers and foreign keys saw it row by row, each with a look-up and a lock of
-- its own: 7 of them a refund, most of what a refund cost. Nothing that is referred to here can be
-- deleted or changed by the application, so nothing has to be locked either. Each is looked up by
-- its key (OFFSET keeps the planner from joining): the plan is kept, and the tables grow.
DROP TRIGGER journal_entry_whole ON journal_entry;
DROP FUNCTION journal_entry_is_whole();
ALTER TABLE posting DROP CONSTRAINT posting_entry;
ALTER TABLE journal_entry DROP CONSTRAINT journal_entry_counts;
ALTER TABLE refund DROP CONSTRAINT refund_claim, DROP CONSTRAINT refund_within_total;

-- Entry and lines are one statement. A later line finds its place taken (posting_line_once), or
-- says another number of lines than its entry (here).
CREATE FUNCTION entries_have_lines() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM added e
                WHERE NOT EXISTS (SELECT FROM public.posting p
                                   WHERE p.msisdn = e.msisdn AND p.entry_id = e.id
                                     AND p.line_no = 1 OFFSET 0)) THEN
        RAISE EXCEPTION 'an entry has no lines'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_whole';
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION lines_are_whole() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT msisdn, entry_id, min(of_lines) AS least, max(of_lines) AS most,
                                   count(*) AS lines, sum(amount_fen) AS amount_fen
                              FROM added GROUP BY msisdn, entry_id) l
                WHERE NOT EXISTS (SELECT FROM public.journal_entry e
                                   WHERE e.msisdn = l.msisdn AND e.id = l.entry_id
                                     AND e.lines = l.lines AND e.lines = l.least
                                     AND e.lines = l.most AND e.amount_fen = l.amount_fen OFFSET 0)) THEN
        RAISE EXCEPTION 'lines are not those of a whole entry'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entry_whole';
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION refunds_belong() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT msisdn, claim_id, charge_id FROM added) r
                WHERE NOT EXISTS (SELECT FROM public.claim k
                                   WHERE k.msisdn = r.msisdn AND k.id = r.claim_id
                                     AND k.charge_id = r.charge_id OFFSET 0)
                   OR NOT EXISTS (SELECT FROM public.refund_total t
                                   WHERE t.msisdn = r.msisdn AND t.charge_id = r.charge_id OFFSET 0)) THEN
        RAISE EXCEPTION 'a refund belongs to a claim and a total'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'refund_claim';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER journal_entry_whole AFTER INSERT ON journal_entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION entries_have_lines();
CREATE TRIGGER posting_whole AFTER INSERT ON posting
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION lines_are_whole();
CREATE TRIGGER refund_claim AFTER INSERT ON refund
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refunds_belong();

-- Every append moves its head: an index on the time kept each from being written in place.
DROP INDEX journal_head_changed;
ALTER TABLE journal_head SET (fillfactor = 50);

-- One kind of anchor for all chains: the book's and the calls' ends go into those of the consent
-- log. Chains that rooms keep themselves have no row in chain_start.
DROP TABLE journal_anchor;
ALTER TABLE anchor_leaf DROP CONSTRAINT anchor_leaf_start;

-- A payout that billing refused waits for two people: one says what is to be done, another agrees.
CREATE TABLE payout_resolution (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    payout_id uuid NOT NULL,
    outcome text NOT NULL CONSTRAINT payout_resolution_outcome
        CHECK (outcome IN ('send_again', 'paid_by_hand')),
    reason text NOT NULL,
    state text NOT NULL CONSTRAINT payout_resolution_state
        CHECK (state IN ('proposed', 'agreed', 'declined')),
    proposed_at timestamptz NOT NULL,
    proposed_by text NOT NULL,
    decided_at timestamptz,
    decided_by text,
    CONSTRAINT payout_resolution_two_people CHECK (decided_by <> proposed_by),
    CONSTRAINT payout_resolution_decided CHECK ((state = 'proposed') = (decided_by IS NULL)
                                                AND (state = 'proposed') = (decided_at IS NULL)),
    PRIMARY KEY (msisdn, id)
);
CREATE UNIQUE INDEX payout_resolution_open ON payout_resolution (msisdn, payout_id)
    WHERE state = 'proposed';
CREATE INDEX payout_resolution_id ON payout_resolution (id);
GRANT SELECT, INSERT ON payout_resolution TO spms_app;
GRANT UPDATE (state, decided_at, decided_by) ON payout_resolution TO spms_app;
CREATE INDEX payout_refused ON payout (id) WHERE state = 'refused';
