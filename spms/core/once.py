"""An idempotency key: the same request again gets the first answer, never a second effect.

A convenience on top of natural keys, never the promise itself. The key and the hash of the input
are claimed in the transaction that carries the effect; a concurrent repeat waits for the first.
"""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from litestar.params import HeaderParameter

from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import Unprocessable

T = TypeVar("T")

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=64,
        description="The same key with the same body gets the first answer again (kept 7 days)",
    ),
]


class KeyReused(Unprocessable):
    """This idempotency key came before with another body."""

    code = "idempotency_key_reused"


CLAIM = """
    INSERT INTO idempotency (actor, key, input_sha256, created_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING
"""
STORED = "SELECT input_sha256, response FROM idempotency WHERE actor = $1 AND key = $2"
STORE = "UPDATE idempotency SET response = $3 WHERE actor = $1 AND key = $2"


async def came_before(read: Connection, key: str | None, *, actor: Actor) -> bool:
    """Whether an actor's key has an answer already: whoever asks again is shown nothing new."""
    if key is None:
        return False
    return await read.fetchrow(STORED, str(actor.credential_id), key) is not None


async def once(
    tx: Connection,
    kind: type[T],
    key: str | None,
    body: object,
    work: Callable[[], Awaitable[T]],
    *,
    actor: Actor,
    now: datetime,
) -> T:
    """Do the work once per (actor, key); without a key, just do it.

    Raises `KeyReused` when the key came before with another body.
    """
    if key is None:
        return await work()
    who = str(actor.credential_id)
    digest = hashlib.sha256(msgspec.json.encode(body, order="deterministic")).digest()
    if await tx.execute(CLAIM, who, key, digest, now) == "INSERT 0 1":
        result = await work()
        await tx.execute(STORE, who, key, msgspec.json.encode(result))
        return result
    stored = await tx.fetchrow(STORED, who, key)
    if stored is None or stored["input_sha256"] != digest:
        raise KeyReused
    return msgspec.json.decode(stored["response"], type=kind)
