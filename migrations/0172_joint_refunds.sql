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

-- Of a joint credit each claim's part can be taken back, once.
DROP INDEX payout_taken_back_once;
CREATE UNIQUE INDEX payout_taken_back_once ON payout (msisdn, takes_back, charge_id)
    WHERE takes_back IS NOT NULL;

-- The book by charges: the lines of a joint refund are taken apart by its claims. Amounts are in fen.
CREATE VIEW posting_of_charge AS
    SELECT p.msisdn,
           CASE WHEN k.id IS NULL THEN p.id
                ELSE hashed_id('posting:' || k.charge_id::text || ':' || substr(p.reason, 8) || ':'
                               || k.round::text) END AS id,
           p.entry_id, p.debit, p.credit, p.sp_id,
           CASE WHEN k.id IS NULL THEN p.amount_fen
                WHEN p.reason = 'refund_principal' THEN k.principal_fen
                ELSE k.compensation_fen END AS amount_fen,
           p.reason, COALESCE(k.charge_id, p.charge_id) AS charge_id, p.reverses, p.at, p.actor
      FROM posting p
      LEFT JOIN claim k
        ON p.charge_id IS NULL AND p.reason IN ('refund_principal', 'refund_compensation')
       AND k.msisdn = p.msisdn AND k.joint_id = p.entry_id
     WHERE k.id IS NULL
        OR CASE p.reason WHEN 'refund_principal' THEN k.principal_fen
                         ELSE k.compensation_fen END > 0;
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
