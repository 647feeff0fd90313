"""The records under a figure: what a step was counted from, one page at a time. Writes nothing."""

from datetime import date, datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, many
from spms.settlement import advance_queries as advances
from spms.settlement.model import Window


class RecordRow(msgspec.Struct, frozen=True, kw_only=True):
    """One record under a figure."""

    msisdn: str | None
    """Null: a line that concerns the SP and no number."""
    epoch: int | None
    """Of whoever held the number at the charge, as it was known when the charge came in."""
    id: UUID
    at: datetime
    amount_fen: int
    charge_id: UUID | None


_IN = """((c.charged_at >= $2 AND c.charged_at < $3 AND c.received_at < $5)
          OR (c.charged_at < $2 AND c.received_at >= $4 AND c.received_at < $5))"""
_AFTER = "($6::timestamptz IS NULL OR (c.charged_at, c.id) > ($6, $7::uuid))"

_EPOCH = "holder_epoch(c.msisdn, c.charged_at, c.received_at) AS epoch"

CHARGES = f"""
    SELECT c.msisdn, {_EPOCH}, c.id, c.charged_at AS at, c.price_fen AS amount_fen, c.id AS charge_id
      FROM charge_record c
     WHERE c.sp_id = $1 AND c.charged_at < $3 AND {_IN} AND {_AFTER}
     ORDER BY c.charged_at, c.id LIMIT $8
"""
# As it is known now; the figure is as it was known when it was counted.
CONTROLLED = f"""
    SELECT c.msisdn, {_EPOCH}, c.id, c.charged_at AS at,
           GREATEST(0, c.price_fen - COALESCE(t.principal_fen, 0)) AS amount_fen,
           c.id AS charge_id
      FROM charge_record c
      CROSS JOIN LATERAL (
           SELECT state_after FROM number_event
            WHERE msisdn = c.msisdn AND effective_at <= $5
            ORDER BY effective_at DESC LIMIT 1) e
      LEFT JOIN refund_total t ON t.msisdn = c.msisdn AND t.charge_id = c.id
     WHERE c.sp_id = $1 AND c.charged_at < $3 AND {_IN} AND {_AFTER} AND e.state_after <> 'active'
     ORDER BY c.charged_at, c.id LIMIT $8
"""
# A line of the book that changes what an SP owes or has left as security, with its sign.
_LINE = f"""
    SELECT CASE WHEN c.msisdn LIKE 'sp:%' THEN NULL ELSE c.msisdn END AS msisdn, c.id,
           (SELECT holder_epoch(r.msisdn, r.charged_at, r.received_at) FROM charge_record r
             WHERE r.msisdn = c.msisdn AND r.id = c.charge_id) AS epoch,
           c.at, CASE WHEN c.debit = 'sp_receivable' OR c.credit = 'deposits' THEN c.amount_fen
                      ELSE -c.amount_fen END AS amount_fen, c.charge_id
      FROM {advances.LINES_OF_CHARGES} c
"""
# It was there when the statement was drawn.
_DRAWN = "c.sp_id = $1 AND c.at <= $9"
_LINES_AFTER = """($6::timestamptz IS NULL OR (c.at, c.id) > ($6, $7::uuid))
       AND $2::timestamptz < $3::timestamptz AND $4::timestamptz < $5::timestamptz
     ORDER BY c.at, c.id LIMIT $8"""
_LOCKED_BEFORE = """(
           SELECT t.drawn_at FROM settlement_lock k
             JOIN settlement_statement t
               ON t.settlement_id = k.settlement_id AND t.revision = k.revision
            WHERE k.sp_id = $1 AND k.month < $10 AND k.locked_at <= $9
            ORDER BY k.month DESC LIMIT 1)"""
REFUNDS = f"""
    {_LINE}
     WHERE {_DRAWN} AND 'sp_receivable' IN (c.debit, c.credit)
       AND {advances.first_multiple("$4", "$5", _LOCKED_BEFORE)}
       AND {_LINES_AFTER}
"""
OWED = f"""
    {_LINE}
     WHERE {_DRAWN} AND 'sp_receivable' IN (c.debit, c.credit) AND {advances.owed("$5")}
       AND {_LINES_AFTER}
"""
DEPOSIT = f"""
    {_LINE}
     WHERE {_DRAWN} AND 'deposits' IN (c.debit, c.credit) AND {_LINES_AFTER}
"""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Whose records of what, from where on."""

    sp_id: UUID
    window: Window
    drawn_at: datetime
    after: tuple[datetime, UUID] | None
    limit: int


async def _page(read: Connection, statement: str, asked: Asked, *more: date) -> list[RecordRow]:
    at, last = asked.after or (None, None)
    window = asked.window
    rows = await read.fetch(
        statement, asked.sp_id, window.from_at, window.until_at, window.cut_off_before,
        window.cut_off_at, at, last, asked.limit, *more,
    )  # fmt: skip
    return many(RecordRow, rows)


async def charges(read: Connection, asked: Asked) -> list[RecordRow]:
    """Load the charges of an SP's month, late ones of earlier months first."""
    return await _page(read, CHARGES, asked)


async def controlled(read: Connection, asked: Asked) -> list[RecordRow]:
    """Load the charges of numbers that were suspended or terminated by the cut-off."""
    return await _page(read, CONTROLLED, asked)


async def refunds(read: Connection, asked: Asked) -> list[RecordRow]:
    """Load the first multiples of a month, and what took some of them back."""
    return await _page(read, REFUNDS, asked, asked.drawn_at, asked.window.month)


async def owed(read: Connection, asked: Asked) -> list[RecordRow]:
    """Load what made the SP owe what the statement found it to owe."""
    return await _page(read, OWED, asked, asked.drawn_at)


async def deposit(read: Connection, asked: Asked) -> list[RecordRow]:
    """Load what made the SP's deposit what the statement found it to be."""
    return await _page(read, DEPOSIT, asked, asked.drawn_at)
