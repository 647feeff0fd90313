"""The records under a figure: what a step was counted from, one page at a time. Writes nothing."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, many
from spms.settlement.model import Window


class RecordRow(msgspec.Struct, frozen=True, kw_only=True):
    """One record under a figure."""

    msisdn: str
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
REFUNDS = """
    SELECT c.msisdn, c.entry_id AS id,
           (SELECT holder_epoch(r.msisdn, r.charged_at, r.received_at) FROM charge_record r
             WHERE r.msisdn = c.msisdn AND r.id = c.charge_id) AS epoch, c.at, c.amount_fen, c.charge_id
      FROM posting c
     WHERE c.sp_id = $1 AND c.at >= $4 AND c.at < $5 AND c.debit = 'sp_receivable'
       AND c.reason = 'refund_principal' AND $2::timestamptz < $3::timestamptz
       AND ($6::timestamptz IS NULL OR (c.at, c.entry_id) > ($6, $7::uuid))
     ORDER BY c.at, c.entry_id LIMIT $8
"""


async def _page(
    read: Connection,
    statement: str,
    sp_id: UUID,
    window: Window,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[RecordRow]:
    at, last = after or (None, None)
    rows = await read.fetch(
        statement, sp_id, window.from_at, window.until_at, window.cut_off_before,
        window.cut_off_at, at, last, limit,
    )  # fmt: skip
    return many(RecordRow, rows)


async def charges(
    read: Connection, sp_id: UUID, window: Window, after: tuple[datetime, UUID] | None, limit: int
) -> list[RecordRow]:
    """Load the charges of an SP's month, late ones of earlier months first."""
    return await _page(read, CHARGES, sp_id, window, after=after, limit=limit)


async def controlled(
    read: Connection, sp_id: UUID, window: Window, after: tuple[datetime, UUID] | None, limit: int
) -> list[RecordRow]:
    """Load the charges of numbers that were suspended or terminated by the cut-off."""
    return await _page(read, CONTROLLED, sp_id, window, after=after, limit=limit)


async def refunds(
    read: Connection, sp_id: UUID, window: Window, after: tuple[datetime, UUID] | None, limit: int
) -> list[RecordRow]:
    """Load first multiples advanced for an SP since the last cut-off, as the book has them."""
    return await _page(read, REFUNDS, sp_id, window, after=after, limit=limit)
