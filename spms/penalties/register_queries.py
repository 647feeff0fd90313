"""Statements on the published register. Writes register_entry."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many
from spms.penalties.model import BreachKind, Grade, Remedy, Source

PUBLISH = """
    INSERT INTO register_entry (breach_id, published_at)
    SELECT b.id, $1 FROM breach b
     WHERE b.final_at IS NOT NULL
       AND NOT EXISTS (SELECT FROM register_entry e WHERE e.breach_id = b.id)
     ORDER BY b.final_at, b.id
    ON CONFLICT DO NOTHING
"""


async def publish(tx: Connection, *, now: datetime) -> int:
    """Give every final breach its audit number; return how many are new."""
    return changed(await tx.execute(PUBLISH, now))


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the register. A quashed breach keeps its number, and says that it was quashed."""

    audit_no: int
    published_at: datetime
    sp_code: str
    sp_name: str
    kind: BreachKind
    grade: Grade
    points: int
    source: Source
    found_at: datetime
    decided_at: datetime
    cure_by: datetime
    remedy: Remedy
    state: str
    fine_fen: int


PAGE = """
    SELECT e.audit_no, e.published_at, sp.code AS sp_code, sp.name AS sp_name, b.kind, b.grade,
           b.points, b.source_kind AS source, b.found_at, b.decided_at, b.cure_by, b.remedy,
           b.state, COALESCE(f.amount_fen, 0) AS fine_fen
      FROM register_entry e JOIN breach b ON b.id = e.breach_id JOIN sp ON sp.id = b.sp_id
      LEFT JOIN fine f ON f.breach_id = b.id AND f.state IN ('due', 'collected')
     WHERE ($1::bigint IS NULL OR e.audit_no < $1)
     ORDER BY e.audit_no DESC LIMIT $2
"""


async def page(read: Connection, before: int | None, limit: int) -> list[Entry]:
    """List published breaches, the latest number first."""
    return many(Entry, await read.fetch(PAGE, before, limit))


PAST = """
    SELECT b.id, b.sp_id, sp.code AS sp_code, sp.name AS sp_name, b.kind, b.grade, b.points,
           b.service_ids, b.source_kind, b.decided_at, b.caused_by, b.remedy
      FROM breach b JOIN sp ON sp.id = b.sp_id
     WHERE b.state IN ('effective', 'appealed', 'upheld', 'varied')
       AND b.decided_at >= $1 AND b.decided_at < $2
     ORDER BY b.sp_id, b.decided_at, b.id LIMIT $3
"""


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A breach that stands, as a what-if needs it."""

    id: UUID
    sp_id: UUID
    sp_code: str
    sp_name: str
    kind: BreachKind
    grade: Grade
    points: int
    service_ids: list[UUID]
    source_kind: Source
    decided_at: datetime
    caused_by: UUID | None
    remedy: Remedy


async def past(read: Connection, since: datetime, until: datetime, limit: int) -> list[Past]:
    """List the standing breaches that took effect in a time, by SP."""
    return many(Past, await read.fetch(PAST, since, until, limit))


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """One of the SPs under which a company works in several provinces."""

    sp_id: UUID
    sp_code: str
    sp_name: str
    company: str


LINKED = """
    SELECT l.sp_id, sp.code AS sp_code, sp.name AS sp_name, l.company
      FROM sp_link l JOIN sp ON sp.id = l.sp_id ORDER BY l.company, sp.code
"""


async def linked(read: Connection) -> list[Linked]:
    """List the SPs of companies that have several."""
    return many(Linked, await read.fetch(LINKED))
