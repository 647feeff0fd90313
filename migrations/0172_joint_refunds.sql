-- What a mass correction gives one person for several charges is booked as one entry and paid as one
-- credit: a joint refund. Its claims say which part is whose. See docs/decisions/0013.

-- The id follows from the claims and what each of them pays, so the chain that has it holds the parts too.
ALTER TABLE claim ADD COLUMN joint_id uuid
    CONSTRAINT claim_joint CHECK (joint_id IS NULL OR (state = 'refunded' AND source = 'batch'));
ALTER TABLE payout
    ADD COLUMN joint_id uuid,
    ALTER COLUMN charge_id DROP NOT NULL,
    ALTER COLUMN round DROP NOT NULL,
    ADD CONSTRAINT payout_of_one_or_joint CHECK (
        (joint_id IS NULL) = (charge_id IS NOT NULL) AND (joint_id IS NULL) = (round IS NOT NULL));

-- Of a joint credit each claim's part can be taken back, once: a debit is of the charge and the amount of
-- its credit, or of one of the claims that a joint one pays.
ALTER TABLE payout ADD CONSTRAINT payout_debit_of_one CHECK (takes_back IS NULL OR joint_id IS NULL);
DROP INDEX payout_taken_back_once;
CREATE UNIQUE INDEX payout_taken_back_once ON payout (msisdn, takes_back, charge_id)
    WHERE takes_back IS NOT NULL;
CREATE OR REPLACE FUNCTION debit_names_a_credit() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM FROM public.payout p
      WHERE p.msisdn = NEW.msisdn AND p.id = NEW.takes_back AND p.takes_back IS NULL
        AND ((p.charge_id, p.round, p.amount_fen) = (NEW.charge_id, NEW.round, NEW.amount_fen)
             OR EXISTS (SELECT FROM public.claim k
                         WHERE k.msisdn = NEW.msisdn AND k.charge_id = NEW.charge_id
                           AND k.round = NEW.round AND k.joint_id = p.joint_id
                           AND k.principal_fen + k.compensation_fen = NEW.amount_fen))
        FOR KEY SHARE OF p;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'a debit takes back a credit'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'payout_takes_back', TABLE = 'payout';
    END IF;
    RETURN NULL;
END
$$;

-- The book by charges: the lines of a joint refund, and of its payout, are taken apart by its claims, each
-- with the id that what it takes back is named by. Amounts are in fen. OFFSET: by the number, line by line.
CREATE VIEW posting_of_charge AS
    SELECT p.msisdn, COALESCE(k.line_id, p.id) AS id, p.entry_id, p.debit, p.credit, p.sp_id,
           COALESCE(k.amount_fen, p.amount_fen) AS amount_fen, p.reason,
           COALESCE(k.charge_id, p.charge_id) AS charge_id, p.reverses, p.at, p.actor
      FROM posting p
      LEFT JOIN LATERAL (
           SELECT c.charge_id, l.amount_fen,
                  hashed_id('posting:' || c.charge_id::text || ':' || l.kind || ':' || c.round::text)
                      AS line_id
             FROM claim c
            CROSS JOIN LATERAL (VALUES
                  ('refund_principal', 'principal', c.principal_fen),
                  ('refund_compensation', 'compensation', c.compensation_fen),
                  ('payout', 'payout', c.principal_fen + c.compensation_fen))
                  AS l (reason, kind, amount_fen)
            WHERE p.charge_id IS NULL AND p.reason IN ('refund_principal', 'refund_compensation', 'payout')
              AND c.msisdn = p.msisdn
              AND c.joint_id = CASE p.reason
                  WHEN 'payout' THEN (SELECT y.joint_id FROM payout y
                                       WHERE y.msisdn = p.msisdn AND y.id = p.entry_id)
                  ELSE p.entry_id END
              AND l.reason = p.reason AND l.amount_fen > 0
           OFFSET 0) k ON true;
GRANT SELECT ON posting_of_charge TO spms_app;

-- Points by claim and by joint refund alike.
CREATE OR REPLACE VIEW points_taken_back AS
    SELECT k.msisdn, k.charge_id, k.round, k.id AS claim_id,
           points_of(k.charged_fen - k.principal_so_far_fen + k.principal_fen, r.per_yuan)
           - points_of(k.charged_fen - k.principal_so_far_fen, r.per_yuan) AS points,
           k.joint_id
      FROM claim k
      JOIN point_rate r ON k.charged_at >= r.from_at AND k.charged_at < r.until_at
     WHERE k.state = 'refunded';
