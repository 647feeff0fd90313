"""Statements on breaches, appeals and points.

Writes breach, breach_event, breach_report, appeal, point_entry.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many, one
from spms.penalties.model import (
    Appeal,
    Breach,
    BreachAction,
    BreachEvent,
    BreachState,
    Finding,
    Grade,
    Remedy,
)

# Points, measures and decisions of one SP happen one after the other.
# SPs of one company (联动) share their turn: a breach of one may be entered for all.
LOCK_SP = """
    SELECT pg_advisory_xact_lock(hashtextextended('penalties ' || COALESCE(
           (SELECT company FROM sp_link WHERE sp_id = $1), $1::text), 0))
"""


async def lock_sp(tx: Connection, sp_id: UUID) -> None:
    """Hold an SP's balance until the transaction ends."""
    await tx.execute(LOCK_SP, sp_id)


BREACH = """
    SELECT id, sp_id, kind, grade, points, service_ids, source_kind, source_id, subject, statement,
           state, found_at, proposed_by, answer_by, answered_at, decided_at, decided_by, appeal_by,
           final_at, cure_by, remedy, caused_by
      FROM breach
"""

BY_ID = BREACH + " WHERE id = $1"


async def breach(read: Connection, breach_id: UUID) -> Breach | None:
    """Load one breach."""
    return one(Breach, await read.fetchrow(BY_ID, breach_id))


# The breach of a finding: reported before by this source, or open about the same thing.
OF_FINDING = (
    BREACH
    + """
     WHERE id = COALESCE(
           (SELECT breach_id FROM breach_report
             WHERE source_kind = $1 AND source_id = $2 AND kind = $3),
           (SELECT b.id FROM breach b
             WHERE b.source_kind = $1 AND b.source_id = $2 AND b.kind = $3),
           (SELECT b.id FROM breach b
             WHERE b.sp_id = $4 AND b.kind = $3 AND b.subject = $5 AND $5 <> ''
               AND (b.state = 'proposed' OR b.remedy IN ('due', 'reported'))))
"""
)


async def of_finding(read: Connection, found: Finding) -> Breach | None:
    """Load the breach that a finding is."""
    row = await read.fetchrow(
        OF_FINDING, found.source, found.source_id, found.kind, found.sp_id, found.subject
    )
    return one(Breach, row)


ADD_REPORT = """
    INSERT INTO breach_report (source_kind, source_id, kind, breach_id, at, reported_by)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
"""


async def add_report(
    tx: Connection, found: Finding, breach_id: UUID, *, at: datetime, actor: str
) -> None:
    """Record who reported what is one breach."""
    await tx.execute(ADD_REPORT, found.source, found.source_id, found.kind, breach_id, at, actor)


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
     WHERE sp_id = $1 AND state IN ('effective', 'appealed', 'upheld', 'varied')
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
                            statement, state, found_at, proposed_by, subject, answer_by, caused_by)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'proposed', $10, $11, $12, $13, $14)
        ON CONFLICT DO NOTHING RETURNING id
    )
    INSERT INTO breach_event (breach_id, action, from_state, to_state, at, actor, reason)
    SELECT id, 'propose', NULL, 'proposed', $10, $11, $9 FROM added
"""


async def add(tx: Connection, new: Breach) -> bool:
    """Store a proposed breach with the first line of its history; False when it is known."""
    tag = await tx.execute(
        ADD, new.id, new.sp_id, new.kind, new.grade, new.points, new.service_ids, new.source_kind,
        new.source_id, new.statement, new.found_at, new.proposed_by, new.subject, new.answer_by,
        new.caused_by,
    )  # fmt: skip
    return changed(tag) == 1


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a move changes besides the state; null leaves it as it is."""

    decided_by: str | None = None
    appeal_by: datetime | None = None
    final_at: datetime | None = None
    cure_by: datetime | None = None
    remedy: Remedy | None = None
    grade: Grade | None = None
    points: int | None = None


# An appeal finds nothing that is final, also when that came about a moment ago.
MOVE = """
    WITH moved AS (
        UPDATE breach SET state = $3,
               decided_at = CASE WHEN $2 = 'proposed' THEN $5 ELSE decided_at END,
               decided_by = CASE WHEN $2 = 'proposed' THEN $8 ELSE decided_by END,
               appeal_by = COALESCE($9, appeal_by), cure_by = COALESCE($11, cure_by),
               final_at = CASE WHEN $3 = 'quashed' THEN NULL ELSE COALESCE($10, final_at) END,
               remedy = COALESCE($12, remedy),
               grade = COALESCE($13, grade), points = COALESCE($14, points)
         WHERE id = $1 AND state = $2 AND ($4 <> 'appeal' OR final_at IS NULL) RETURNING id
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
    change: Change,
) -> bool:
    """Change the state and write its history line, together or not at all."""
    tag = await tx.execute(
        MOVE, before.id, before.state, after, action, at, actor, reason, change.decided_by,
        change.appeal_by, change.final_at, change.cure_by, change.remedy, change.grade,
        change.points,
    )  # fmt: skip
    return changed(tag) == 1


ANSWER = """
    WITH answered AS (
        UPDATE breach SET answered_at = $2
         WHERE id = $1 AND state = 'proposed' AND answered_at IS NULL RETURNING id
    )
    INSERT INTO breach_event (breach_id, action, from_state, to_state, at, actor, reason)
    SELECT id, 'state', 'proposed', 'proposed', $2, $3, $4 FROM answered
"""


async def answer(
    tx: Connection, breach_id: UUID, *, at: datetime, actor: str, statement: str
) -> bool:
    """Record the SP's statement; False when there is one, or the breach is decided."""
    return changed(await tx.execute(ANSWER, breach_id, at, actor, statement)) == 1


HISTORY = """
    SELECT action, from_state, to_state, at, actor, reason FROM breach_event
     WHERE breach_id = $1 ORDER BY id
"""


async def history(read: Connection, breach_id: UUID) -> list[BreachEvent]:
    """List what happened to a breach, in order."""
    return many(BreachEvent, await read.fetch(HISTORY, breach_id))


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
CAUSED_BY = BREACH + " WHERE caused_by = $1 ORDER BY sp_id, id"


async def caused_by(read: Connection, breach_id: UUID) -> list[Breach]:
    """List the breaches that escalate one or carry it over."""
    return many(Breach, await read.fetch(CAUSED_BY, breach_id))


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


CLOSE_APPEAL = """
    UPDATE appeal SET decision = 'quashed', decided_at = $2, decided_by = $3, reason = $4
     WHERE breach_id = $1 AND decision IS NULL
"""


async def close_appeal(
    tx: Connection, breach_id: UUID, *, at: datetime, actor: str, reason: str
) -> None:
    """Close a breach's open appeal, if there is one: what it was about has fallen."""
    await tx.execute(CLOSE_APPEAL, breach_id, at, actor, reason)


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
