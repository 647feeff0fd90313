"""What a link delivered that belongs to no number of ours: kept, listed, and read with a reason.

A message whose sender cannot be read is committed as it came before the link is told
that we have it; the network would throw it away otherwise. It may be somebody's wish to leave, so
a person can look at it. The octets hold numbers: to read them is on record.
"""

from datetime import datetime
from uuid import UUID

from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.paging import Page, read_cursor, write_cursor
from spms.messaging import stray_queries
from spms.messaging.model import StrayRead, StrayShown

LIST = "stray-messages"


async def page(
    read: Connection, *, cursor: str | None, limit: int, actor: Actor
) -> Page[StrayShown]:  # fmt: skip
    """List strays, newest first."""
    key = await read_cursor(read, actor, LIST, cursor, tuple[UUID])
    rows = await stray_queries.page(read, key[0] if key else None, limit + 1)
    items = rows[:limit]
    more = len(rows) > limit
    following = await write_cursor(read, actor, LIST, [items[-1].id]) if more else None
    return Page(items=items, next=following)


async def look(
    tx: Connection, stray_id: UUID, *, reason: str, actor: Actor, now: datetime
) -> StrayRead:
    """Show what came, after writing down who looked and why. Raises `NotFound`."""
    raw = await stray_queries.raw(tx, stray_id)
    if raw is None:
        raise NotFound("no such message")
    await audit.note(
        tx, "message.stray_read", "message_in_stray", stray_id, actor=actor, now=now, reason=reason
    )
    return StrayRead(id=stray_id, raw=raw)
