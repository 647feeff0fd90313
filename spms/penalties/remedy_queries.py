"""Statements on cures. Writes breach, breach_event."""

from datetime import datetime
from uuid import UUID

from spms.core.db import Connection, changed, many
from spms.penalties.model import Breach, Remedy
from spms.penalties.queries import BREACH

MOVE = """
    WITH moved AS (
        UPDATE breach SET remedy = $3 WHERE id = $1 AND remedy = $2 RETURNING id
    )
    INSERT INTO breach_event (breach_id, action, from_state, to_state, at, actor, reason)
    SELECT id, 'cure', 'cure ' || $2, 'cure ' || $3, $4, $5, $6 FROM moved
"""


async def move(
    tx: Connection, before: Breach, after: Remedy, *, at: datetime, actor: str, reason: str
) -> bool:
    """Take one step of the cure and write its history line; False when another was quicker."""
    tag = await tx.execute(MOVE, before.id, before.remedy, after, at, actor, reason)
    return changed(tag) == 1


# No cure is enforced while an appeal is open.
OVERDUE = """
    SELECT id FROM breach
     WHERE remedy = 'due' AND cure_by <= $1 AND state IN ('effective', 'upheld', 'varied')
     ORDER BY sp_id, cure_by, id LIMIT $2
"""


async def overdue(read: Connection, before: datetime, limit: int) -> list[UUID]:
    """List breaches that should have been cured before an instant, and of which nobody says so."""
    return [row["id"] for row in await read.fetch(OVERDUE, before, limit)]


# A retest is a call that was drawn after the breach was found.
FOUND_GOOD = (
    BREACH
    + """
     WHERE sp_id = $1 AND subject = $2 AND remedy IN ('due', 'reported')
       AND kind IN ('hotline_changed', 'hotline_unreachable', 'contact_unreachable')
       AND found_at <= (SELECT p.drawn_at FROM inspection_item i
                          JOIN inspection_plan p ON p.id = i.plan_id WHERE i.id = $3)
     ORDER BY id
"""
)


async def shown_good(read: Connection, sp_id: UUID, hotline: str, item_id: UUID) -> list[Breach]:
    """List the breaches about a hotline that a later spot check has shown cured."""
    return many(Breach, await read.fetch(FOUND_GOOD, sp_id, hotline, item_id))


OF_ITEM = (
    BREACH
    + """
     WHERE source_kind = 'inspection' AND source_id = $1
       AND state IN ('proposed', 'effective', 'appealed', 'upheld', 'varied') ORDER BY id
"""
)


async def of_item(read: Connection, item_id: str) -> list[Breach]:
    """List the standing breaches that rest on an inspection's finding."""
    return many(Breach, await read.fetch(OF_ITEM, item_id))


# Of earlier years, and cured: the new year's balance has nothing to do with it.
OVER = """
    SELECT DISTINCT r.cause_id FROM restriction r
      JOIN point_entry e ON e.breach_id = split_part(r.cause_id, '/', 1)::uuid
       AND e.reverses IS NULL
      JOIN breach b ON b.id = e.breach_id
     WHERE r.cause_kind = 'breach' AND r.ends_at IS NULL AND r.lifted_by IS NULL
       AND e.year < $1 AND b.remedy IN ('closed', 'escalated', 'void')
       AND r.measure <> 'offline'
     ORDER BY r.cause_id LIMIT $2
"""


async def over(read: Connection, year: int, limit: int) -> list[str]:
    """List causes of measures of earlier years whose breaches are cured."""
    return [row["cause_id"] for row in await read.fetch(OVER, year, limit)]
