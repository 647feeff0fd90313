"""The feed of what an SP is told: written with the fact, numbered after the commit.

A sequence or a time drawn inside a transaction says nothing about when it commits: a reader that
goes on behind the last one seen would skip what commits late. So news have no position when they
are written. A job, one at a time over all workers, gives the next positions to what is committed:
whatever appears in a feed from then on is behind everything that was ever seen there.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.paging import read_cursor, write_cursor
from spms.partners import event_feed_queries as queries
from spms.partners.event_feed_model import FeedPage, News

__all__ = ["News", "number", "read_feed", "take_turn", "tell"]

LIST = "events"


async def tell(tx: Connection, news: Sequence[News]) -> None:
    """Tell SPs something, in the transaction that makes it true; rolled back, it is never told.

    Order within one subject is kept if whoever tells holds the subject's row, as a change of its
    status does. The same id again is harmless.
    """
    if news:
        await queries.tell(tx, news)


async def take_turn(tx: Connection) -> bool:
    """Become the one who numbers until the transaction ends; False while another worker is."""
    return await queries.take_turn(tx)


async def number(tx: Connection, *, now: datetime, limit: int = 500) -> int:
    """Number committed events and queue them for the endpoints; return how many.

    Only for whoever has the turn (`take_turn`, in an earlier statement of this transaction): the
    next one's positions are then seen after these.
    """
    return await queries.number(tx, limit=limit, now=now)


async def read_feed(
    tx: Connection, sp_id: UUID, cursor: str | None, limit: int, *, actor: Actor, now: datetime
) -> FeedPage:
    """Return an SP's events behind a cursor, or from the first; raise `CursorInvalid`.

    Whoever comes back with a cursor has what is before it: that is remembered (a page that was
    only sent may never have arrived).
    """
    key = await read_cursor(tx, actor, LIST, cursor, tuple[int])
    after = key[0] if key else 0
    if after:
        await queries.read_to(tx, sp_id, after, now=now)
    found = await queries.page(tx, sp_id, after, limit + 1)
    items = found[:limit]
    last = items[-1].position if items else after
    return FeedPage(
        items=items, next=await write_cursor(tx, actor, LIST, [last]), more=len(found) > limit
    )
