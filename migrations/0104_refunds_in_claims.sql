-- A refund is part of the claim that decides it, and each round says what the rounds before it gave.
-- Two rows of `refund` and one of `refund_total` for every claim said the same three times over, and
-- four keys held them together; now one row cannot differ from itself. What was a total that the
-- application could change is a figure that nobody can: see docs/decisions/0011.
ALTER TABLE claim
    ADD COLUMN bearer text CONSTRAINT claim_bearer CHECK (bearer IN ('sp', 'operator')),
    ADD COLUMN principal_fen bigint,
    ADD COLUMN compensation_fen bigint,
    ADD COLUMN principal_so_far_fen bigint,     -- with the rounds before
    ADD COLUMN compensation_so_far_fen bigint,
    ADD COLUMN honoured_due_fen bigint;         -- the lowest due that findings proved and was paid
WITH paid AS (
    SELECT k.msisdn, k.id, k.charge_id, k.round, max(r.bearer) AS bearer,
           COALESCE(sum(r.amount_fen) FILTER (WHERE r.kind = 'principal'), 0)::bigint AS principal_fen,
           COALESCE(sum(r.amount_fen) FILTER (WHERE r.kind = 'compensation'), 0)::bigint
               AS compensation_fen
      FROM claim k
      LEFT JOIN refund r
        ON r.msisdn = k.msisdn AND r.charge_id = k.charge_id AND r.round = k.round
     WHERE k.state = 'refunded' GROUP BY k.msisdn, k.id, k.charge_id, k.round
), summed AS (
    SELECT p.*, sum(principal_fen) OVER rounds AS principal_so_far_fen,
           sum(compensation_fen) OVER rounds AS compensation_so_far_fen,
           lead(round) OVER rounds IS NULL AS last
      FROM paid p WINDOW rounds AS (PARTITION BY msisdn, charge_id ORDER BY round)
)
UPDATE claim k
   SET bearer = COALESCE(s.bearer, 'sp'), principal_fen = s.principal_fen,
       compensation_fen = s.compensation_fen, principal_so_far_fen = s.principal_so_far_fen,
       compensation_so_far_fen = s.compensation_so_far_fen,
       honoured_due_fen = CASE WHEN s.last THEN t.honoured_due_fen ELSE k.charged_fen END
  FROM summed s
  JOIN refund_total t ON t.msisdn = s.msisdn AND t.charge_id = s.charge_id
 WHERE k.msisdn = s.msisdn AND k.id = s.id;
DROP TABLE refund;
DROP TABLE refund_total;

-- Null of a first round: its key to the round before it (claim_round_before) asks for nothing.
ALTER TABLE claim
    ADD COLUMN before_round integer GENERATED ALWAYS AS (NULLIF(round - 1, 0)) STORED,
    -- When a claim comes from outside, its charge has to be there (claim_charge). A mass correction
    -- reads its charges from the records itself, and is held to them a statement at a time.
    ADD COLUMN charge_at timestamptz
        GENERATED ALWAYS AS (CASE WHEN source <> 'batch' THEN charged_at END) STORED;
ALTER TABLE claim
    ADD CONSTRAINT claim_says_what_it_pays CHECK (
        num_nonnulls(bearer, principal_fen, compensation_fen, principal_so_far_fen,
                     compensation_so_far_fen, honoured_due_fen)
        = CASE WHEN state = 'refunded' THEN 6 ELSE 0 END),
    -- Never more than was charged, never more compensation than principal: never more than double.
    ADD CONSTRAINT claim_multiples CHECK (
        principal_fen >= 0 AND compensation_fen >= 0 AND principal_so_far_fen <= charged_fen
        AND compensation_so_far_fen <= principal_so_far_fen),
    ADD CONSTRAINT claim_first_round CHECK (
        round > 1 OR (principal_so_far_fen = principal_fen
                      AND compensation_so_far_fen = compensation_fen)),
    ADD CONSTRAINT claim_honoured CHECK (honoured_due_fen BETWEEN 0 AND charged_fen);

-- What was refunded, in the two shapes it is read in.
CREATE VIEW refund AS
    SELECT k.msisdn, k.charge_id, l.kind, k.id AS claim_id, k.sp_id, l.amount_fen,
           k.opened_at AS at, k.round, k.bearer
      FROM claim k
     CROSS JOIN LATERAL (VALUES ('principal', k.principal_fen),
                                ('compensation', k.compensation_fen)) AS l (kind, amount_fen)
     WHERE k.state = 'refunded' AND l.amount_fen > 0;
CREATE VIEW refund_total AS
    SELECT k.msisdn, k.charge_id, k.charged_fen,
           k.principal_so_far_fen + k.compensation_so_far_fen AS refunded_fen,
           k.principal_so_far_fen AS principal_fen,
           k.compensation_so_far_fen AS compensation_fen, k.honoured_due_fen
      FROM claim k
     WHERE k.state = 'refunded'
       AND NOT EXISTS (SELECT FROM claim n
                        WHERE n.msisdn = k.msisdn AND n.charge_id = k.charge_id
                          AND n.round = k.round + 1);
GRANT SELECT ON refund, refund_total TO spms_app;

-- A claim states the price of the charge it is about, and its SP; a further round begins where the
-- one before it ended. No key can say that of amounts, and both multiples are measured by them.
CREATE FUNCTION claims_are_of_charges() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM added k
                WHERE NOT EXISTS (SELECT FROM public.charge_record c
                                   WHERE c.msisdn = k.msisdn AND c.charged_at = k.charged_at
                                     AND c.id = k.charge_id AND c.price_fen = k.charged_fen
                                     AND c.sp_id = k.sp_id OFFSET 0)) THEN
        RAISE EXCEPTION 'a claim is about a charge, at its price'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'claim_of_charge';
    END IF;
    IF EXISTS (SELECT FROM added k
                WHERE k.round > 1
                  AND NOT EXISTS (SELECT FROM public.claim b
                                   WHERE b.msisdn = k.msisdn AND b.charge_id = k.charge_id
                                     AND b.round = k.before_round
                                     AND b.principal_so_far_fen
                                         = k.principal_so_far_fen - k.principal_fen
                                     AND b.compensation_so_far_fen
                                         = k.compensation_so_far_fen - k.compensation_fen OFFSET 0))
    THEN
        RAISE EXCEPTION 'a round goes on from what the one before it gave'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'claim_so_far';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER claim_of_charge AFTER INSERT ON claim
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION claims_are_of_charges();

-- `posting_whole` sees that a line belongs to an entry that has just these lines; the key from each
-- line to its entry saw a part of it once more, for a fifth of the price of posting.
ALTER TABLE posting DROP CONSTRAINT posting_entry;
-- The id of a claim that refunds follows from charge and round, and so does that of its entry: an
-- entry is the natural key, and a line is a place in it. One key instead of two.
ALTER TABLE posting DROP CONSTRAINT posting_pkey;
DROP INDEX posting_line_once;
ALTER TABLE posting ADD CONSTRAINT posting_pkey PRIMARY KEY (msisdn, entry_id, line_no);
-- What was booked about a charge is found by its entries, of which there are half as many.
DROP INDEX posting_charge;
CREATE INDEX journal_entry_charge ON journal_entry (msisdn, charge_id);
-- A payout's id follows from charge and round: its primary key already says once.
ALTER TABLE payout DROP CONSTRAINT payout_once;
