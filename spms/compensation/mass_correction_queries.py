"""Statements about mass corrections. Writes `mass_correction` and `mass_correction_person`."""

from datetime import datetime
from uuid import UUID

from spms.compensation.mass_correction_model import (
    Correction,
    CorrectionState,
    Extent,
    Person,
    Progress,
)
from spms.compensation.queries import Before
from spms.core.db import Connection, changed, many, one

EXTENT = """
    SELECT count(*) AS charges, count(DISTINCT c.msisdn) AS numbers,
           COALESCE(sum(GREATEST(0, c.price_fen - $4 - COALESCE(t.principal_fen, 0))
               + GREATEST(0, (c.price_fen - $4) * $7 - COALESCE(t.compensation_fen, 0))), 0)::bigint
               AS owed_fen
      FROM charge_record c
      LEFT JOIN refund_total t ON t.msisdn = c.msisdn AND t.charge_id = c.id
     WHERE c.sp_id = $1 AND c.service_id = $2 AND c.price_fen = $3
       AND c.charged_at >= $5 AND c.charged_at < $6
       AND COALESCE(t.honoured_due_fen, c.price_fen) > $4
"""


async def extent(
    read: Connection,
    *,
    sp_id: UUID,
    service_id: UUID,
    wrong_fen: int,
    due_fen: int,
    from_at: datetime,
    until_at: datetime,
    on_top: int,
) -> Extent:
    """Count what is to be put right: charges, people, fen; `on_top` multiples besides the first."""
    (row,) = await read.fetch(
        EXTENT, sp_id, service_id, wrong_fen, due_fen, from_at, until_at, on_top
    )
    return many(Extent, [row])[0]


PROPOSE = """
    INSERT INTO mass_correction (id, service_id, sp_id, wrong_fen, due_fen, from_at, until_at,
        cause, bearer, reason, apology, state, charges, numbers, owed_fen, receivable_before_fen,
        proposed_at, proposed_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'proposed', $12, $13, $14, $15, $16, $17)
"""


async def propose(tx: Connection, row: Correction) -> None:
    """Write a proposal."""
    await tx.execute(
        PROPOSE, row.id, row.service_id, row.sp_id, row.wrong_fen, row.due_fen, row.from_at,
        row.until_at, row.cause, row.bearer, row.reason, row.apology, row.charges, row.numbers,
        row.owed_fen, row.receivable_before_fen, row.proposed_at, row.proposed_by,
    )  # fmt: skip


CORRECTIONS = """
    SELECT id, service_id, sp_id, wrong_fen, due_fen, from_at, until_at, cause, bearer, reason,
           apology, state, charges, numbers, owed_fen, receivable_before_fen, proposed_at,
           proposed_by, decided_at, decided_by, charges_done, refunded, refunded_fen, told,
           finished_at
      FROM mass_correction
     WHERE ($1::uuid IS NULL OR id = $1)
       AND ($2::timestamptz IS NULL OR (proposed_at, id) < ($2, $3::uuid))
     ORDER BY proposed_at DESC, id DESC LIMIT $4
"""


async def corrections(
    read: Connection,
    *,
    correction_id: UUID | None = None,
    before: Before | None = None,
    limit: int = 1,
) -> list[Correction]:
    """Load corrections, newest first, or one."""
    at, last = before or (None, None)
    return many(Correction, await read.fetch(CORRECTIONS, correction_id, at, last, limit))


DECIDE = """
    UPDATE mass_correction SET state = $2, decided_at = $3, decided_by = $4
     WHERE id = $1 AND state = 'proposed' AND proposed_by <> $4
"""


async def decide(
    tx: Connection, correction_id: UUID, state: CorrectionState, *, now: datetime, actor: str
) -> bool:
    """Approve or decline; False when it was decided before, or by who proposed it."""
    return changed(await tx.execute(DECIDE, correction_id, state, now, actor)) == 1


TAKE = """
    SELECT id, service_id, sp_id, wrong_fen, due_fen, from_at, until_at, cause, bearer, reason,
           apology, state, charges, numbers, owed_fen, receivable_before_fen, proposed_at,
           proposed_by, decided_at, decided_by, charges_done, refunded, refunded_fen, told,
           finished_at, cursor_at, cursor_id
      FROM mass_correction WHERE state IN ('refunding', 'telling')
     ORDER BY decided_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""


async def take(tx: Connection) -> Progress | None:
    """Hold one correction that has work left, which nobody else holds."""
    return one(Progress, await tx.fetchrow(TAKE))


ADVANCE = """
    UPDATE mass_correction
       SET state = $2, finished_at = CASE WHEN $2 = 'done' THEN $3::timestamptz END
     WHERE id = $1
"""


async def advance(
    tx: Connection, correction_id: UUID, state: CorrectionState, *, now: datetime
) -> None:
    """Go on to the next part."""
    await tx.execute(ADVANCE, correction_id, state, now)


TELL = """
    WITH due AS (
        SELECT msisdn FROM mass_correction_person
         WHERE correction_id = $1 AND told_at IS NULL ORDER BY msisdn LIMIT $2
    ), marked AS (
        UPDATE mass_correction_person p SET told_at = $3
          FROM due WHERE p.correction_id = $1 AND p.msisdn = due.msisdn
        RETURNING p.msisdn, p.charges, p.amount_fen
    ), counted AS (
        UPDATE mass_correction SET told = told + (SELECT count(*) FROM marked) WHERE id = $1
    )
    SELECT m.msisdn, m.charges, m.amount_fen,
           COALESCE(n.epoch_since <= $4 AND n.state <> 'terminated', false) AS told
      FROM marked m LEFT JOIN number n ON n.msisdn = m.msisdn ORDER BY m.msisdn
"""


async def tell(tx: Connection, row: Progress, limit: int, *, now: datetime) -> list[Person]:
    """Mark some people as told and return them.

    A number that changed hands since the correction's time began is not written to: the present
    holder must not learn about another's charges.
    """
    return many(Person, await tx.fetch(TELL, row.id, limit, now, row.from_at))
