"""Statements on breaches and their history. Writes breach, breach_event, breach_report."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many, one
from spms.penalties.model import (
    Breach,
    BreachAction,
    BreachEvent,
    BreachState,
    Finding,
    Grade,
    Remedy,
)

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


HAS_REPORTED = """
    SELECT EXISTS (SELECT FROM breach_report WHERE breach_id = $1 AND reported_by = $2)
"""


async def has_reported(read: Connection, breach_id: UUID, actor: str) -> bool:
    """Whether somebody is among those who reported what is one breach."""
    found: bool = await read.fetchval(HAS_REPORTED, breach_id, actor)
    return found


PAGE = (
    BREACH
    + """
     WHERE ($1::uuid IS NULL OR sp_id = $1)
       AND ($2::timestamptz IS NULL OR (found_at, id) < ($2, $3))
       AND ($5::text IS NULL OR state = $5)
     ORDER BY found_at DESC, id DESC LIMIT $4
"""
)


async def page(
    read: Connection,
    sp_id: UUID | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
    *,
    state: str | None = None,
) -> list[Breach]:
    """List breaches, newest first, of one SP or of all, in one state or in any."""
    at, last = after or (None, None)
    return many(Breach, await read.fetch(PAGE, sp_id, at, last, limit, state))


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


CAUSED_BY = BREACH + " WHERE caused_by = $1 ORDER BY sp_id, id"


async def caused_by(read: Connection, breach_id: UUID) -> list[Breach]:
    """List the breaches that escalate one or carry it over."""
    return many(Breach, await read.fetch(CAUSED_BY, breach_id))
