"""Statements about claims that need proof. Writes `verification` and `verification_event`."""

from datetime import datetime
from uuid import UUID

from spms.compensation.accounts import Bearers, Cause
from spms.compensation.claim_queries import Before
from spms.compensation.model import Disputed, Source
from spms.compensation.payout_queries import CLAIMS
from spms.compensation.verification_model import DisputedFees, VerificationRow, VerificationState
from spms.core.db import Connection, many

OPEN = """
    WITH opened AS (
        INSERT INTO verification (msisdn, id, charge_id, charged_at, sp_id, source, cause, bearer,
                                  reason, claimed_fen, state, opened_at, opened_by, object_until,
                                  second_bearer, rulebook_version, code, code_version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        ON CONFLICT DO NOTHING RETURNING msisdn, id, state)
    INSERT INTO verification_event (msisdn, verification_id, state, at, actor)
    SELECT msisdn, id, state, $12, $13 FROM opened RETURNING verification_id
"""


async def open_one(
    tx: Connection,
    verification_id: UUID,
    charge: Disputed,
    *,
    source: Source,
    code: str,
    code_version: int,
    cause: Cause,
    bearers: Bearers,
    rulebook_version: int,
    reason: str,
    claimed_fen: int,
    state: VerificationState,
    object_until: datetime | None,
    now: datetime,
    actor: str,
) -> bool:
    """Write it; False when this charge has one already."""
    made = await tx.fetchval(
        OPEN, charge.msisdn, verification_id, charge.charge_id, charge.charged_at, charge.sp_id,
        source, cause, bearers.first, reason, claimed_fen, state, now, actor, object_until,
        bearers.second, rulebook_version, code, code_version,
    )  # fmt: skip
    return made is not None


# The conditions make the move safe: whoever comes second finds the state gone.
MOVE = """
    WITH moved AS (
        UPDATE verification v
           SET state = $3,
               approved_by = CASE WHEN $2 = 'awaiting_approval' AND $3 = 'awaiting_sp' THEN $5
                                  ELSE approved_by END,
               object_until = CASE WHEN $2 = 'awaiting_approval' THEN $7 ELSE object_until END,
               objection = CASE WHEN $3 = 'objected' THEN $6 ELSE objection END,
               decided_at = CASE WHEN $3 IN ('doubled', 'single', 'declined') THEN $4::timestamptz
                                 END,
               decided_by = CASE WHEN $3 IN ('doubled', 'single', 'declined') THEN $5 END,
               decision = CASE WHEN $3 IN ('doubled', 'single', 'declined') THEN $6 END
         WHERE (v.msisdn, v.id) IN (SELECT * FROM unnest($1::text[], $8::uuid[]))
           AND v.state = $2 AND ($3 <> 'objected' OR v.object_until > $4)
        RETURNING v.msisdn, v.id, v.state)
    INSERT INTO verification_event (msisdn, verification_id, state, at, actor)
    SELECT msisdn, id, state, $4, $5 FROM moved RETURNING verification_id
"""


async def move(
    tx: Connection,
    rows: list[VerificationRow],
    *,
    before: VerificationState,
    after: VerificationState,
    words: str,
    object_until: datetime | None = None,
    now: datetime,
    actor: str,
) -> set[UUID]:
    """Move those still in the state before; return their ids. An objection must be in time."""
    moved = await tx.fetch(
        MOVE, [row.msisdn for row in rows], before, after, now, actor, words, object_until,
        [row.id for row in rows],
    )  # fmt: skip
    return {row["verification_id"] for row in moved}


# By whoever agrees that it was a fraud; were that who opened it, by whoever proposed so.
END_FOR_FRAUD = """
    WITH ended AS (
        UPDATE verification v
           SET state = 'single', decided_at = $3, decision = $6,
               decided_by = CASE WHEN v.opened_by = $4 THEN $5 ELSE $4 END
         WHERE v.msisdn = $1 AND v.charge_id = $2 AND v.state IN ('awaiting_sp', 'objected')
        RETURNING v.msisdn, v.id, v.state, v.decided_by)
    INSERT INTO verification_event (msisdn, verification_id, state, at, actor)
    SELECT msisdn, id, state, $3, decided_by FROM ended
"""


async def end_for_fraud(
    tx: Connection,
    msisdn: str,
    charge_id: UUID,
    *,
    words: str,
    now: datetime,
    deciders: tuple[str, str],
) -> None:
    """End what waits for a second multiple of a charge: nothing more is paid, silence or not."""
    await tx.execute(END_FOR_FRAUD, msisdn, charge_id, now, *deciders, words)


VERIFICATIONS = """
    SELECT v.msisdn, (SELECT holder_epoch(r.msisdn, r.charged_at, r.received_at)
                        FROM charge_record r
                       WHERE r.msisdn = v.msisdn AND r.charged_at = v.charged_at
                         AND r.id = v.charge_id) AS epoch,
           v.id, v.charge_id, v.charged_at, v.sp_id, v.source, v.cause, v.bearer,
           COALESCE(v.code, v.cause) AS code, v.code_version,
           COALESCE(v.second_bearer, v.bearer) AS second_bearer, v.rulebook_version,
           v.reason, v.claimed_fen, v.state, v.opened_at, v.opened_by, v.object_until, v.objection,
           v.decided_at, v.decision,
           COALESCE(given.stands_fen, 0)::bigint AS paid_fen,
           COALESCE(given.back_fen, 0)::bigint AS taken_back_fen
      FROM verification v
      LEFT JOIN LATERAL (
           SELECT sum(r.amount_fen) FILTER (WHERE b.id IS NULL) AS stands_fen,
                  sum(r.amount_fen) FILTER (WHERE b.id IS NOT NULL) AS back_fen
             FROM refund r
             JOIN claim k ON k.msisdn = r.msisdn AND k.id = r.claim_id
             LEFT JOIN clawback b ON b.msisdn = k.msisdn AND b.claim_id = k.id
                                 AND b.state = 'agreed'
            WHERE r.msisdn = v.msisdn AND r.charge_id = v.charge_id
              AND k.cause IS NOT NULL AND k.source <> 'batch') given
        ON v.state NOT IN ('awaiting_approval', 'declined')
     WHERE ($1::uuid IS NULL OR v.id = $1)
       AND ($2::uuid IS NULL OR v.sp_id = $2)
       AND ($3::text IS NULL OR (v.msisdn = $3 AND v.charged_at >= (
                SELECT n.epoch_since FROM number n WHERE n.msisdn = v.msisdn)))
       AND ($4::uuid IS NULL OR v.charge_id = $4)
       AND ($5::timestamptz IS NULL OR (v.opened_at, v.id) < ($5, $6::uuid))
     ORDER BY v.opened_at DESC, v.id DESC LIMIT $7
"""


async def verifications(
    read: Connection,
    *,
    verification_id: UUID | None = None,
    sp_id: UUID | None = None,
    msisdn: str | None = None,
    charge_id: UUID | None = None,
    before: Before | None = None,
    limit: int = 1,
) -> list[VerificationRow]:
    """Load them, newest first, narrowed as said; of one number only its present holder's."""
    at, last = before or (None, None)
    rows = await read.fetch(
        VERIFICATIONS, verification_id, sp_id, msisdn, charge_id, at, last, limit
    )
    return many(VerificationRow, rows)


SILENT = """
    SELECT v.msisdn, (SELECT holder_epoch(r.msisdn, r.charged_at, r.received_at)
                        FROM charge_record r
                       WHERE r.msisdn = v.msisdn AND r.charged_at = v.charged_at
                         AND r.id = v.charge_id) AS epoch,
           v.id, v.charge_id, v.charged_at, v.sp_id, v.source, v.cause, v.bearer,
           COALESCE(v.code, v.cause) AS code, v.code_version,
           COALESCE(v.second_bearer, v.bearer) AS second_bearer, v.rulebook_version,
           v.reason, v.claimed_fen, v.state, v.opened_at, v.opened_by, v.object_until, v.objection,
           v.decided_at, v.decision, 0 AS paid_fen, 0 AS taken_back_fen
      FROM verification v
     WHERE v.state = 'awaiting_sp' AND v.object_until <= $1
     ORDER BY v.msisdn, v.charge_id LIMIT $2 FOR UPDATE SKIP LOCKED
"""


async def take_silent(tx: Connection, now: datetime, limit: int) -> list[VerificationRow]:
    """Take those whose SP let its time pass."""
    return many(VerificationRow, await tx.fetch(SILENT, now, limit))


OF_DAY = "SELECT count(*) FROM verification WHERE msisdn = $1 AND opened_at >= $2"


async def count_since(read: Connection, msisdn: str, since: datetime) -> int:
    """Count a number's claims that need proof since an instant."""
    count: int = await read.fetchval(OF_DAY, msisdn, since)
    return count


# In dispute and not back on the bill: claims nobody has paid yet, and refunds of principal whose
# payout the billing gateway has not confirmed. Only the present holder's charges, and of none more than
# was charged: what findings brought back while a claim waits is not in dispute twice.
DISPUTED_FEES = f"""
    WITH open AS (
        SELECT v.msisdn, v.charge_id, v.charged_at,
               LEAST(v.claimed_fen, t.charged_fen - t.principal_fen) AS fen
          FROM verification v
          LEFT JOIN refund_total t ON t.msisdn = v.msisdn AND t.charge_id = v.charge_id
         WHERE v.state = 'awaiting_approval'
        UNION ALL
        SELECT k.msisdn, k.charge_id, k.charged_at, k.principal_fen
          FROM payout p CROSS JOIN LATERAL {CLAIMS}
         WHERE p.state <> 'settled' AND p.takes_back IS NULL
    )
    SELECT o.msisdn, sum(o.fen)::bigint AS disputed_fen,
           array_agg(DISTINCT o.charge_id ORDER BY o.charge_id) AS charges
      FROM open o JOIN number n ON n.msisdn = o.msisdn AND o.charged_at >= n.epoch_since
     WHERE o.fen > 0 AND ($1::text[] IS NULL OR o.msisdn = ANY($1))
       AND ($2::text IS NULL OR o.msisdn > $2)
     GROUP BY o.msisdn ORDER BY o.msisdn LIMIT $3
"""


async def disputed_fees(
    read: Connection, msisdns: list[str] | None, *, after: str | None, limit: int
) -> list[DisputedFees]:
    """Load the disputed sub-balance of some numbers, or of all after one, in their order."""
    return many(DisputedFees, await read.fetch(DISPUTED_FEES, msisdns, after, limit))
