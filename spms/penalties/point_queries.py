"""Statements on a year's balance: an SP's turn, points, and what the ladder holds. Writes point_entry."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, one

# Points, measures and decisions of one SP happen one after the other.
# SPs of one company (联动) share their turn: a breach of one may be entered for all.
LOCK_SP = """
    SELECT pg_advisory_xact_lock(hashtextextended('penalties ' || COALESCE(
           (SELECT company FROM sp_link WHERE sp_id = $1), $1::text), 0))
"""


async def lock_sp(tx: Connection, sp_id: UUID) -> None:
    """Hold an SP's balance until the transaction ends."""
    await tx.execute(LOCK_SP, sp_id)


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
    """What a breach deducts by now, and the entry that a reversal of it names."""

    id: UUID
    year: int
    points: int


# A reversal names the entry before it, so that no two reverse the same.
ENTRY_OF = """
    SELECT (array_agg(id ORDER BY at DESC, reverses NULLS LAST, id))[1] AS id,
           min(year) AS year, sum(points)::int AS points
      FROM point_entry WHERE breach_id = $1 HAVING count(*) > 0
"""


async def points_of(read: Connection, breach_id: UUID) -> PointEntry | None:
    """Return what a breach deducted."""
    return one(PointEntry, await read.fetchrow(ENTRY_OF, breach_id))


DEDUCTED = "SELECT COALESCE(sum(points), 0) FROM point_entry WHERE sp_id = $1 AND year = $2"


async def deducted(read: Connection, sp_id: UUID, year: int) -> int:
    """Sum what a year's breaches deducted, less what was given back."""
    total: int = await read.fetchval(DEDUCTED, sp_id, year)
    return total


# What the ladder holds for an SP's breaches of a year, by cause (`<breach>/<measure>`).
MEASURES_IN_FORCE = """
    SELECT r.cause_id, r.service_id FROM restriction r
     WHERE r.sp_id = $1 AND r.cause_kind = 'breach' AND r.starts_at <= $3
       AND (r.ends_at IS NULL OR r.ends_at > $3)
       AND r.measure <> 'settlement_cut' AND r.cause_id NOT LIKE '%/interim'
       AND EXISTS (SELECT FROM point_entry e
                    WHERE e.breach_id = split_part(r.cause_id, '/', 1)::uuid AND e.year = $2)
"""


async def measures_in_force(
    read: Connection, sp_id: UUID, year: int, at: datetime
) -> set[tuple[str, UUID | None]]:
    """Return the causes and services of what the ladder of a year holds at an instant."""
    rows = await read.fetch(MEASURES_IN_FORCE, sp_id, year, at)
    return {(row["cause_id"], row["service_id"]) for row in rows}
