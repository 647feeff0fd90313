"""Opening a figure to the records under it."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.instance import instance_secret
from spms.core.paging import Page, read_cursor, write_cursor
from spms.settlement import draw_queries, messages, record_queries
from spms.settlement.life_model import Settlement
from spms.settlement.model import Kind, Window
from spms.settlement.record_queries import Asked, RecordRow
from spms.subscribers import actions as subscribers

Reading = Callable[[Connection, Asked], Awaitable[list[RecordRow]]]
UNDER: Final[Mapping[Kind, Reading]] = {
    Kind.GROSS: record_queries.charges,
    Kind.CONTROLLED: record_queries.controlled,
    Kind.REFUNDS: record_queries.refunds,
    Kind.COMPENSATION: record_queries.owed,
    Kind.DEPOSIT: record_queries.deposit,
}
"""Steps summed from records; what the others rest on stands in their inputs as it is."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record under a figure."""

    id: UUID
    """Of the charge, of the line in the book, or of a message: the decision that let it go, or its own
    if it came from a person."""
    charge_id: UUID | None
    number: str | None
    """Stands for the person who held the number then, for this SP only; null: of no number."""
    at: datetime
    amount_fen: int
    """Negative: what lowered the figure. A message alone has no price: 0."""
    messages: int = 0
    """1: a message to a person; -1: one from a person; 0: a charge or a line. They come to `mt` - `mo`."""


async def under(
    read: Connection,
    found: Settlement,
    kind: Kind,
    *,
    actor: Actor,
    cursor: str | None,
    limit: int,
) -> Page[Record]:
    """List what a step was counted from, oldest first; `NotFound` for one with all in its inputs."""
    reading, window = UNDER.get(kind), await draw_queries.of_month(read, found.month)
    name = f"settlement {found.id} {kind}"
    if kind is Kind.MT_FEE and window is not None:
        return await _messages(read, found, window, name, actor=actor, cursor=cursor, limit=limit)
    stored = await draw_queries.statement(read, found.id, found.revision)
    if reading is None or window is None or stored is None:
        raise NotFound
    after = await read_cursor(read, actor, name, cursor, tuple[datetime, UUID])
    asked = Asked(
        sp_id=found.sp_id, window=window, drawn_at=stored.drawn_at, after=after, limit=limit + 1
    )
    rows = await reading(read, asked)
    secret = await instance_secret(read)
    items = [
        Record(
            id=row.id, charge_id=row.charge_id, at=row.at, amount_fen=row.amount_fen,
            number=row.msisdn
            and subscribers.pseudonym(secret, found.sp_id, row.msisdn, row.epoch),
        )
        for row in rows[:limit]
    ]  # fmt: skip
    later = None
    if len(rows) > limit:
        later = await write_cursor(read, actor, name, [rows[limit - 1].at, rows[limit - 1].id])
    return Page(items=items, next=later)


async def _messages(
    read: Connection,
    found: Settlement,
    window: Window,
    name: str,
    *,
    actor: Actor,
    cursor: str | None,
    limit: int,
) -> Page[Record]:
    place = await read_cursor(read, actor, name, cursor, messages.Place)
    counted, through = await messages.page(read, found.sp_id, window, place, limit)
    secret = await instance_secret(read)
    items = [
        Record(
            id=one.row.id, charge_id=None, at=one.row.at, amount_fen=0, messages=one.counts,
            number=subscribers.pseudonym(secret, found.sp_id, one.row.msisdn, one.row.epoch),
        )
        for one in counted
    ]  # fmt: skip
    later = through and await write_cursor(read, actor, name, list(through))
    return Page(items=items, next=later)
