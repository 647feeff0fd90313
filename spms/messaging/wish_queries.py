"""Statements on wishes to leave that are not settled. Writes leave_wish only."""

from datetime import datetime
from uuid import UUID

from spms.core.db import Connection, changed, many, one
from spms.messaging.model import OpenWish

OPEN = """
    SELECT w.msisdn, w.received_at, w.message_id, m.called, m.text, m.outcome
      FROM leave_wish w
      JOIN message_in m ON m.msisdn = w.msisdn AND m.received_at = w.received_at
           AND m.id = w.message_id
     WHERE w.settled_at IS NULL AND m.handled_at IS NOT NULL
       AND ($1::timestamptz IS NULL OR (w.received_at, w.message_id) > ($1, $2::uuid))
     ORDER BY w.received_at, w.message_id LIMIT $3
"""


async def page(
    read: Connection, after: tuple[datetime, UUID] | None, limit: int
) -> list[OpenWish]:  # fmt: skip
    """List the wishes that wait for a person, oldest first."""
    return many(OpenWish, await read.fetch(OPEN, *(after or (None, None)), limit))


FIND = """
    SELECT w.msisdn, w.received_at, w.message_id, m.called, m.text, m.outcome
      FROM leave_wish w
      JOIN message_in m ON m.msisdn = w.msisdn AND m.received_at = w.received_at
           AND m.id = w.message_id
     WHERE w.settled_at IS NULL AND m.handled_at IS NOT NULL AND w.message_id = $1
"""


async def find(read: Connection, message_id: UUID) -> OpenWish | None:
    """Load a wish that waits for a person."""
    return one(OpenWish, await read.fetchrow(FIND, message_id))


SETTLE = """
    UPDATE leave_wish SET settled_at = GREATEST($4, received_at), settled_by = $5
     WHERE msisdn = $1 AND received_at = $2 AND message_id = $3 AND settled_at IS NULL
"""


async def settle(tx: Connection, wish: OpenWish, *, actor: str, now: datetime) -> bool:
    """Close a wish; False when it was closed meanwhile."""
    done = await tx.execute(SETTLE, wish.msisdn, wish.received_at, wish.message_id, now, actor)
    return changed(done) == 1
