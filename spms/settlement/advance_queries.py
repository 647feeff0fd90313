"""Which lines of the book make up what was advanced for an SP, and to which statement each belongs.

The same parts of SQL say what is owed when a statement is drawn, what its first multiples are, which records
are under both, and what a lock asks: so each line is counted once, and shown where it was counted. Writes
nothing.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from spms.core.db import Connection, many

_FIRST: Final = "'refund_principal', 'unwind_sp_share', 'unwind_operator_share'"

# A line that takes a refund back is of that refund, whenever it comes; of a joint one it names the claim.
_LINES: Final = """(
    SELECT p.msisdn, p.id, p.sp_id, p.at, p.charge_id, p.debit, p.credit, p.amount_fen, p.reason,
           p.reverses,
           CASE WHEN p.debit = 'sp_receivable' THEN p.amount_fen
                WHEN p.credit = 'sp_receivable' THEN -p.amount_fen ELSE 0 END AS fen,
           CASE WHEN p.reverses IS NULL THEN p.at
                ELSE COALESCE((SELECT COALESCE(o.at, k.opened_at) FROM journal_entry b
                                 LEFT JOIN journal_entry o
                                   ON o.msisdn = b.msisdn AND o.id = b.reverses
                                 LEFT JOIN claim k ON k.msisdn = b.msisdn AND k.id = b.reverses
                                WHERE b.msisdn = p.msisdn AND b.id = p.entry_id), '-infinity')
                END AS refunded_at
      FROM {book} p)"""
LINES: Final = _LINES.format(book="posting")
"""The book with, of each line, what it adds to what an SP owes, and when the refund it is of was booked."""
LINES_OF_CHARGES: Final = _LINES.format(book="posting_of_charge")
"""The same with a joint refund's lines taken apart by its charges."""


def owed(cut_off: str) -> str:
    """Whether a line is of what is owed: of a refund by the cut-off, or else what lowered it since.

    What a clawback gave back counts as what it gave it back of: whenever it was booked.
    """
    return f"(c.reason NOT IN ({_FIRST}, 'refund_compensation') OR c.refunded_at < {cut_off})"


def first_multiple(cut_off_before: str, cut_off: str, locked: str) -> str:
    """Whether a line is of a month's first multiples; `locked`: when the locked one before was drawn.

    A refund that was taken back is not in the month in which it was booked, nor in another; once a
    statement that has it is locked, the next one has what takes it back, and what was given back for that.
    """
    since = f"c.at > COALESCE({locked}, '-infinity')"
    return f"""CASE WHEN c.reason = 'clawback_first' THEN {since}
                    WHEN c.reason IN ({_FIRST}) AND c.refunded_at < {cut_off}
                    THEN c.refunded_at >= {cut_off_before} OR (c.reverses IS NOT NULL AND {since})
                    ELSE false END"""


class Advanced(msgspec.Struct, frozen=True, kw_only=True):
    """First multiples of a settlement that is to be locked, in fen."""

    id: UUID
    counted_fen: int
    """What its statement had to count, with all that is known by now of the time before it was drawn."""
    after_fen: int
    """What the next one would have to, less what was taken back since of what this one has."""
    owed_fen: int
    """What would be owed then, by now."""
    taken_back: bool
    """Something was, since it was drawn."""


# The next cut-off, where it has passed: what was advanced after that is not the next one's.
ADVANCED = f"""
    SELECT s.id,
           COALESCE(sum(c.fen) FILTER (
               WHERE c.at <= t.drawn_at
                 AND {first_multiple("m.cut_off_before", "m.cut_off_at", "b.drawn_at")}), 0)::bigint
               AS counted_fen,
           COALESCE(sum(c.fen) FILTER (
               WHERE {first_multiple("m.cut_off_at", "n.cut_off_at", "t.drawn_at")}), 0)::bigint
               AS after_fen,
           COALESCE(sum(c.fen) FILTER (WHERE {owed("n.cut_off_at")}), 0)::bigint AS owed_fen,
           COALESCE(bool_or(c.reverses IS NOT NULL AND c.at > t.drawn_at), false) AS taken_back
      FROM settlement s
      JOIN settlement_statement t ON t.settlement_id = s.id AND t.revision = s.revision
      JOIN settlement_month m ON m.month = s.month
      CROSS JOIN LATERAL (
           SELECT COALESCE(min(cut_off_at), 'infinity') AS cut_off_at
             FROM settlement_month WHERE month > s.month) n
      LEFT JOIN LATERAL (
           SELECT o.drawn_at FROM settlement_lock k
             JOIN settlement_statement o
               ON o.settlement_id = k.settlement_id AND o.revision = k.revision
            WHERE k.sp_id = s.sp_id ORDER BY k.month DESC LIMIT 1) b ON true
      LEFT JOIN {LINES} c ON c.sp_id = s.sp_id AND 'sp_receivable' IN (c.debit, c.credit)
     WHERE s.id = ANY($1::uuid[]) GROUP BY s.id
"""


async def advanced(tx: Connection, ids: Sequence[UUID]) -> list[Advanced]:
    """Derive the first multiples of settlements that no lock has yet, and of what comes after them."""
    return many(Advanced, await tx.fetch(ADVANCED, list(ids)))
