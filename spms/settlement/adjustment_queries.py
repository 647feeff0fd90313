"""Statements about fines and late corrections. Writes `settlement_adjustment`."""

from datetime import datetime
from uuid import UUID

from spms.core.db import Connection, changed, many, one
from spms.settlement.life_model import Adjustment

ADD = """
    INSERT INTO settlement_adjustment (id, sp_id, kind, amount_fen, about, corrects, state,
                                       proposed_at, proposed_by)
    VALUES ($1, $2, $3, $4, $5, $6, 'proposed', $7, $8)
"""


async def add(tx: Connection, new: Adjustment) -> None:
    """Keep a proposal."""
    await tx.execute(
        ADD, new.id, new.sp_id, new.kind, new.amount_fen, new.about, new.corrects,
        new.proposed_at, new.proposed_by,
    )  # fmt: skip


_ADJUSTMENT = """
    SELECT a.id, a.sp_id, a.kind, a.amount_fen, a.about, a.corrects, a.state, a.proposed_at,
           a.proposed_by, a.decided_at, a.decided_by, u.settlement_id
      FROM settlement_adjustment a
      LEFT JOIN settlement_use u ON u.kind = 'adjustment' AND u.source_id = a.id
"""
BY_ID = f"{_ADJUSTMENT} WHERE a.id = $1"
# An SP sees what was approved.
PAGE = f"""
    {_ADJUSTMENT}
     WHERE ($1::uuid IS NULL OR (a.sp_id = $1 AND a.state = 'approved'))
       AND ($2::timestamptz IS NULL OR (a.proposed_at, a.id) < ($2, $3::uuid))
     ORDER BY a.proposed_at DESC, a.id DESC LIMIT $4
"""
DECIDE = """
    UPDATE settlement_adjustment SET state = $2, decided_at = $3, decided_by = $4
     WHERE id = $1 AND state = 'proposed'
"""
CORRECTED = "SELECT sp_id FROM settlement_lock WHERE settlement_id = $1"


async def adjustment(read: Connection, adjustment_id: UUID) -> Adjustment | None:
    """Load one, with the settlement that took it."""
    return one(Adjustment, await read.fetchrow(BY_ID, adjustment_id))


async def page(
    read: Connection, sp_id: UUID | None, after: tuple[datetime, UUID] | None, limit: int
) -> list[Adjustment]:
    """List them, newest first: one SP's that were approved, or all."""
    last = after or (None, None)
    return many(Adjustment, await read.fetch(PAGE, sp_id, *last, limit))


async def decide(
    tx: Connection, adjustment_id: UUID, state: str, *, now: datetime, actor: str
) -> bool:
    """Approve or decline; False when that was done."""
    return changed(await tx.execute(DECIDE, adjustment_id, state, now, actor)) == 1


async def sp_of_lock(read: Connection, settlement_id: UUID) -> UUID | None:
    """Return whose locked settlement this is."""
    sp_id: UUID | None = await read.fetchval(CORRECTED, settlement_id)
    return sp_id
