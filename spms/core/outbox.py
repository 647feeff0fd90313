"""What a room must tell a room above it: written in the transaction, taken by that room's job."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from spms.core.db import Connection, many
from spms.core.ids import new_id


class OutboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to be told."""

    id: UUID
    topic: str
    payload: dict[str, Any]
    created_at: datetime
    attempts: int


PUT = """
    INSERT INTO outbox (id, topic, payload, created_at, due_at) VALUES ($1, $2, $3, $4, $4)
"""


async def put(tx: Connection, topic: str, payload: dict[str, Any], *, now: datetime) -> None:
    """Leave an item for the job that reads `topic`."""
    await tx.execute(PUT, new_id(), topic, payload, now)


TAKE = """
    SELECT id, topic, payload, created_at, attempts FROM outbox
     WHERE topic = $1 AND done_at IS NULL AND due_at <= $2
     ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
"""


async def take(tx: Connection, topic: str, *, now: datetime, limit: int = 100) -> list[OutboxItem]:
    """Take due items; no other worker gets them until this transaction ends."""
    return many(OutboxItem, await tx.fetch(TAKE, topic, now, limit))


DONE = "UPDATE outbox SET done_at = $2, attempts = attempts + 1 WHERE id = ANY($1::uuid[])"


async def done(tx: Connection, items: list[OutboxItem], *, now: datetime) -> None:
    """Mark items as told, in the transaction that carries their effect."""
    await tx.execute(DONE, [item.id for item in items], now)
