"""Which lines of the book make up what was advanced for an SP, and to which statement each belongs.

Parts of SQL: of what is owed when a statement is drawn, of its first multiples, of the records under both,
and of what a lock asks. So each line is counted once, and in a statement drawn again where it was before.
"""

from typing import Final

_FIRST: Final = "'refund_principal', 'unwind_sp_share', 'unwind_operator_share'"

# A line that takes a refund back is of that refund, whenever it comes.
LINES: Final = """(
    SELECT p.msisdn, p.id, p.sp_id, p.at, p.charge_id, p.debit, p.credit, p.amount_fen, p.reason,
           p.reverses,
           CASE WHEN p.debit = 'sp_receivable' THEN p.amount_fen
                WHEN p.credit = 'sp_receivable' THEN -p.amount_fen ELSE 0 END AS fen,
           CASE WHEN p.reverses IS NULL THEN p.at
                ELSE (SELECT o.at FROM journal_entry b
                        JOIN journal_entry o ON o.msisdn = b.msisdn AND o.id = b.reverses
                       WHERE b.msisdn = p.msisdn AND b.id = p.entry_id) END AS refunded_at
      FROM posting p)"""
"""The book with, of each line, what it adds to what an SP owes, and when the refund it is of was booked."""


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
