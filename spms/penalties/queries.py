"""Every statement of this room. Writes breach, breach_event, appeal, point_entry."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many, one
from spms.penalties.model import Appeal, Breach, BreachAction, BreachState

# Points, measures and decisions of one SP happen one after the other.
LOCK_SP = "SELECT pg_advisory_xact_lock(hashtextextended('penalties ' || $1::text, 0))"


async def lock_sp(tx: Connection, sp_id: UUID) -> None:
    """Hold an SP's balance until the transaction ends."""
    await tx.execute(LOCK_SP, str(sp_id))


BREACH = """
    SELECT id, sp_id, kind, grade, points, service_ids, source_kind, source_id, statement, state,
           found_at, proposed_by, decided_at, decided_by, appeal_by
      FROM breach
"""

BY_ID = BREACH + " WHERE id = $1"


async def breach(read: Connection, breach_id: UUID) -> Breach | None:
    """Load one breach."""
    return one(Breach, await read.fetchrow(BY_ID, breach_id))


BY_SOURCE = BREACH + " WHERE source_kind = $1 AND source_id = $2 AND kind = $3"


async def breach_by_source(
    read: Connection, source_kind: str, source_id: str, kind: str
) -> Breach | None:
    """Load the breach of a finding."""
    return one(Breach, await read.fetchrow(BY_SOURCE, source_kind, source_id, kind))


PAGE = (
    BREACH
    + """
     WHERE ($1::uuid IS NULL OR sp_id = $1)
       AND ($2::timestamptz IS NULL OR (found_at, id) < ($2, $3))
     ORDER BY found_at DESC, id DESC LIMIT $4
"""
)


async def page(
    read: Connection, sp_id: UUID | None, after: tuple[datetime, UUID] | None, limit: int
) -> list[Breach]:
    """List breaches, newest first, of one SP or of all."""
    at, last = after or (None, None)
    return many(Breach, await read.fetch(PAGE, sp_id, at, last, limit))


STANDING = (
    BREACH
    + """
     WHERE sp_id = $1 AND state IN ('effective', 'appealed', 'upheld')
       AND id IN (SELECT breach_id FROM point_entry WHERE sp_id = $1 AND year = $2)
     ORDER BY decided_at, id
"""
)


async def standing(read: Connection, sp_id: UUID, year: int) -> list[Breach]:
    """List the breaches of an SP that count in a year, in the order in which they took effect."""
    return many(Breach, await read.fetch(STANDING, sp_id, year))


ADD = """
    WITH added AS (
        INSERT INTO breach (id, sp_id, kind, grade, points, service_ids, source_kind, source_id,
                            statement, state, found_at, proposed_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'proposed', $10, $11)
        ON CONFLICT (source_kind, source_id, kind) DO NOTHING RETURNING id
    )
    INSERT INTO breach_event (breach_id, action, from_state, to_state, at, actor, reason)
    SELECT id, 'propose', NULL, 'proposed', $10, $11, $9 FROM added
"""


async def add(tx: Connection, new: Breach) -> bool:
    """Store a proposed breach with the first line of its history; False when it is known."""
    tag = await tx.execute(
        ADD, new.id, new.sp_id, new.kind, new.grade, new.points, new.service_ids, new.source_kind,
        new.source_id, new.statement, new.found_at, new.proposed_by,
    )  # fmt: skip
    return changed(tag) == 1


MOVE = """
    WITH moved AS (
        UPDATE breach SET state = $3,
               decided_at = CASE WHEN $2 = 'proposed' THEN $5 ELSE decided_at END,
               decided_by = CASE WHEN $2 = 'proposed' THEN $8 ELSE decided_by END,
               appeal_by = COALESCE($9, appeal_by)
         WHERE id = $1 AND state = $2 RETURNING id
    )
    INSERT INTO breach_event (breach_id, action, from_state, to_state, at, actor, reason)
    SELECT id, $4, $2, $3, $5, $6, $7 FROM moved
"""


async def move(
    tx: Connection,
    before: Breach,
    action: BreachAction,
    after: BreachState,
    *,
    at: datetime,
    actor: str,
    reason: str | None,
    decided_by: str | None = None,
    appeal_by: datetime | None = None,
) -> bool:
    """Change the state and write its history line, together or not at all."""
    tag = await tx.execute(
        MOVE, before.id, before.state, after, action, at, actor, reason, decided_by, appeal_by
    )
    return changed(tag) == 1


ADD_POINTS = """
    INSERT INTO point_entry (id, sp_id, year, points, breach_id, reverses, at)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""


async def add_points(
    tx: Connection,
    entry_id: UUID,
    *,
    sp_id: UUID,
    year: int,
    points: int,
    breach_id: UUID,
    reverses: UUID | None,
    at: datetime,
) -> bool:
    """Deduct points for a breach, or give them back; once each."""
    tag = await tx.execute(ADD_POINTS, entry_id, sp_id, year, points, breach_id, reverses, at)
    return changed(tag) == 1


class PointEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Points deducted for a breach."""

    id: UUID
    year: int
    points: int


ENTRY_OF = "SELECT id, year, points FROM point_entry WHERE breach_id = $1 AND reverses IS NULL"


async def points_of(read: Connection, breach_id: UUID) -> PointEntry | None:
    """Return what a breach deducted."""
    return one(PointEntry, await read.fetchrow(ENTRY_OF, breach_id))


DEDUCTED = "SELECT COALESCE(sum(points), 0) FROM point_entry WHERE sp_id = $1 AND year = $2"


async def deducted(read: Connection, sp_id: UUID, year: int) -> int:
    """Sum what a year's breaches deducted, less what was given back."""
    total: int = await read.fetchval(DEDUCTED, sp_id, year)
    return total


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


# What breaches of an SP hold at present, by cause (`<breach>/<measure>`).
MEASURES_IN_FORCE = """
    SELECT cause_id, service_id FROM restriction
     WHERE sp_id = $1 AND cause_kind = 'breach' AND starts_at <= $2
       AND (ends_at IS NULL OR ends_at > $2)
"""


async def measures_in_force(
    read: Connection, sp_id: UUID, at: datetime
) -> set[tuple[str, UUID | None]]:
    """Return the causes and services of the restrictions that breaches hold at an instant."""
    rows = await read.fetch(MEASURES_IN_FORCE, sp_id, at)
    return {(row["cause_id"], row["service_id"]) for row in rows}
