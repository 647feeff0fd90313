"""Statements on appeals. Writes appeal."""

from datetime import datetime
from uuid import UUID

from spms.core.db import Connection, changed, many, one
from spms.penalties.model import Appeal

APPEAL = """
    SELECT id, breach_id, statement, opened_at, opened_by, decision, decided_at, decided_by, reason
      FROM appeal
"""

APPEAL_BY_ID = APPEAL + " WHERE id = $1"


async def appeal(read: Connection, appeal_id: UUID) -> Appeal | None:
    """Load one appeal."""
    return one(Appeal, await read.fetchrow(APPEAL_BY_ID, appeal_id))


OPEN_APPEALS = (
    APPEAL
    + """
     WHERE decision IS NULL AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2
"""
)


async def open_appeals(read: Connection, after: UUID | None, limit: int) -> list[Appeal]:
    """List appeals that wait for a decision, oldest first."""
    return many(Appeal, await read.fetch(OPEN_APPEALS, after, limit))


ADD_APPEAL = """
    INSERT INTO appeal (id, breach_id, statement, opened_at, opened_by)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (breach_id) DO NOTHING
"""


async def add_appeal(tx: Connection, new: Appeal) -> bool:
    """Store an appeal; False when the breach has one."""
    tag = await tx.execute(
        ADD_APPEAL, new.id, new.breach_id, new.statement, new.opened_at, new.opened_by
    )
    return changed(tag) == 1


DECIDE_APPEAL = """
    UPDATE appeal SET decision = $2, decided_at = $3, decided_by = $4, reason = $5
     WHERE id = $1 AND decision IS NULL
"""


async def decide_appeal(
    tx: Connection, appeal_id: UUID, decision: str, *, at: datetime, actor: str, reason: str
) -> bool:
    """Close an appeal; False when it was closed already."""
    tag = await tx.execute(DECIDE_APPEAL, appeal_id, decision, at, actor, reason)
    return changed(tag) == 1


CLOSE_APPEAL = """
    UPDATE appeal SET decision = 'quashed', decided_at = $2, decided_by = $3, reason = $4
     WHERE breach_id = $1 AND decision IS NULL
"""


async def close_appeal(
    tx: Connection, breach_id: UUID, *, at: datetime, actor: str, reason: str
) -> None:
    """Close a breach's open appeal, if there is one: what it was about has fallen."""
    await tx.execute(CLOSE_APPEAL, breach_id, at, actor, reason)
