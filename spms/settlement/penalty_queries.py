"""What penalties bring to a settlement: cuts of breaches, cuts by officers, fines in the book.

And what else was booked on an SP's payable between two statements: refunds that fraud brought about.

Writes nothing.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from spms.compensation.journal import sp_chain
from spms.core.db import Connection, many
from spms.penalties.collecting import entry_id
from spms.settlement.model import Window


class BreachRow(msgspec.Struct, frozen=True, kw_only=True):
    """A breach that lowers a settlement, or will when nobody can appeal any more."""

    id: UUID
    sp_id: UUID
    grade: str
    cut_percent: int | None
    """What its measure says; null while the measure is not imposed yet."""
    final: bool


# Its measure says by how much, as the rules were when it became final; a lifted measure cuts
# nothing, and what one SP is punished for in another province cuts nothing here.
BREACHES = """
    SELECT b.id, b.sp_id, b.grade, r.cut_percent,
           b.state IN ('upheld', 'varied') OR (b.state = 'effective' AND b.appeal_by <= $2) AS final
      FROM breach b
      LEFT JOIN restriction r
        ON r.cause_kind = 'breach' AND r.cause_id = b.id::text || '/settlement_cut'
       AND r.measure = 'settlement_cut' AND r.sp_id = b.sp_id AND r.lifted_by IS NULL
     WHERE b.sp_id = ANY($1::uuid[]) AND b.state IN ('effective', 'appealed', 'upheld', 'varied')
       AND b.decided_at < $2 AND b.source_kind <> 'linkage'
       AND NOT EXISTS (SELECT FROM settlement_use u WHERE u.kind = 'breach' AND u.source_id = b.id)
       AND (r.id IS NOT NULL
            OR NOT EXISTS (SELECT FROM restriction l
                            WHERE l.sp_id = b.sp_id AND l.measure = 'settlement_cut'
                              AND l.cause_kind = 'breach'
                              AND l.cause_id = b.id::text || '/settlement_cut'))
     ORDER BY b.sp_id, b.decided_at, b.id
"""


async def breaches(
    read: Connection, sp_ids: Sequence[UUID], cut_off_at: datetime
) -> list[BreachRow]:
    """Load breaches in effect by the cut-off that no locked statement took."""
    return many(BreachRow, await read.fetch(BREACHES, list(sp_ids), cut_off_at))


class MeasureRow(msgspec.Struct, frozen=True, kw_only=True):
    """A cut that is nobody's breach: imposed by an officer, for as long as it says."""

    id: UUID
    sp_id: UUID
    cut_percent: int


MEASURES = """
    SELECT id, sp_id, cut_percent FROM restriction
     WHERE sp_id = ANY($1::uuid[]) AND measure = 'settlement_cut' AND cause_kind <> 'breach'
       AND starts_at < $3 AND (ends_at IS NULL OR ends_at > GREATEST($2, starts_at))
     ORDER BY sp_id, starts_at, id
"""


async def measures(read: Connection, sp_ids: Sequence[UUID], window: Window) -> list[MeasureRow]:
    """Load cuts that were in force at any time of the month and come from no breach."""
    rows = await read.fetch(MEASURES, list(sp_ids), window.from_at, window.until_at)
    return many(MeasureRow, rows)


class FineRow(msgspec.Struct, frozen=True, kw_only=True):
    """A fine as the book has it, the line that took one back, or what a clawback owes the SP."""

    id: UUID
    reason: str
    entry_id: UUID
    sp_id: UUID
    amount_fen: int
    back: bool


# Penalties book a fine when it is beyond appeal, and reverse it when its breach falls all the same.
FINES = """
    SELECT p.id, p.reason, COALESCE(e.reverses, p.entry_id) AS entry_id, p.sp_id, p.amount_fen,
           p.credit = 'sp_payable' AS back
      FROM posting p JOIN journal_entry e ON e.msisdn = p.msisdn AND e.id = p.entry_id
     WHERE p.msisdn = ANY($1::text[]) AND p.reason IN ('fine', 'clawback_due', 'clawback_first')
       AND p.at < $2 AND NOT EXISTS (SELECT FROM settlement_use u WHERE u.kind = 'posting' AND u.source_id = p.id)
     ORDER BY p.sp_id, p.at, p.id
"""
COLLECTED = """
    SELECT breach_id FROM fine WHERE sp_id = ANY($1::uuid[]) AND state = 'collected'
     ORDER BY breach_id
"""


async def fines(
    read: Connection, sp_ids: Sequence[UUID], cut_off_at: datetime
) -> tuple[list[FineRow], dict[UUID, UUID]]:
    """Load fines booked, and taken back, by the cut-off that no locked statement took.

    And which breach each entry is of.
    """
    rows = await read.fetch(FINES, [sp_chain(sp_id) for sp_id in sp_ids], cut_off_at)
    found = many(FineRow, rows)
    if not found:
        return [], {}
    breaches = await read.fetch(COLLECTED, list({row.sp_id for row in found}))
    return found, {entry_id(row["breach_id"]): row["breach_id"] for row in breaches}


class LockedCut(msgspec.Struct, frozen=True, kw_only=True):
    """A breach that a locked statement cut for and that was quashed since."""

    settlement_id: UUID
    sp_id: UUID
    month: date
    rulebook_version: int
    """By which its statement was drawn."""
    breach_id: UUID
    inputs: dict[str, Any]
    """Of the step that cut."""
    given_back: bool
    """A locked statement gave it back."""
    taken_at: datetime
    """When that was; else when the cut was locked."""


# Those that were given back come along: what the others took depends on them.
QUASHED_CUTS = """
    SELECT l.settlement_id, l.sp_id, l.month, m.rulebook_version, b.id AS breach_id, t.inputs,
           k.settlement_id IS NOT NULL AS given_back, COALESCE(k.locked_at, l.locked_at) AS taken_at
      FROM settlement_lock l
      JOIN settlement_use u ON u.settlement_id = l.settlement_id AND u.kind = 'breach'
      JOIN breach b ON b.id = u.source_id AND b.state = 'quashed'
      JOIN settlement_month m ON m.month = l.month
      JOIN settlement_step t ON t.settlement_id = l.settlement_id AND t.revision = l.revision
                            AND t.kind = 'grade_cut'
      LEFT JOIN settlement_use g ON g.kind = 'cut_back' AND g.source_id = b.id
      LEFT JOIN settlement_lock k ON k.settlement_id = g.settlement_id
     WHERE l.sp_id = ANY($1::uuid[])
     ORDER BY l.month, l.settlement_id, b.id
"""


async def quashed_cuts(read: Connection, sp_ids: Sequence[UUID]) -> list[LockedCut]:
    """Load breaches that locked statements of some SPs cut for and that were quashed since."""
    return many(LockedCut, await read.fetch(QUASHED_CUTS, list(sp_ids)))
