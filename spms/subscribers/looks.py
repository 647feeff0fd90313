"""How often an agent may look at numbers, and the numbers nobody has a reason to look at.

Whatever shows an agent something about a number counts here, of whichever room it is. A subscriber
and an SP see their own, and an officer's look is on record: they are not counted.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec

from spms.core import audit, db, rulebook
from spms.core.access import Actor, Role
from spms.core.clock import SHANGHAI, start_of_day
from spms.core.db import Connection, Pool
from spms.core.errors import TooManyRequests
from spms.core.instance import instance_secret
from spms.core.once import came_before
from spms.subscribers import look_queries, queries
from spms.subscribers.actions import audit_name, view
from spms.subscribers.model import NumberFile


class LooksRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rulebook section `looks`: how often one agent may look at something about a number."""

    hour: Annotated[int, msgspec.Meta(ge=1)] = 60
    day: Annotated[int, msgspec.Meta(ge=1)] = 300


class LooksUsedUp(TooManyRequests):
    """This agent has looked at numbers as often as one may in an hour, or in a day."""

    code = "looks_used_up"


class CanaryTouch(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody looked at a number that nobody has a reason to look at."""

    id: UUID
    touched_by: str
    at: datetime
    reason: str


async def count(
    tx: Connection,
    msisdn: str,
    *,
    reason: str,
    actor: Actor,
    now: datetime,
    refuse: bool = True,
) -> None:
    """Count an agent's look before anything is shown; raise `LooksUsedUp`. Nobody else's counts.

    A look at a canary number goes on as any other, and is told to compliance. `refuse` is false for
    leaving, which always works: it counts like the others and is never held up.
    """
    if not actor.has(Role.AGENT):
        return
    rules = await rulebook.section(tx, LooksRules, at=now)
    hour = now.astimezone(SHANGHAI).replace(minute=0, second=0, microsecond=0)
    spans = (("hour", hour, rules.hour, timedelta(hours=1)),
             ("day", start_of_day(now.astimezone(SHANGHAI).date()), rules.day, timedelta(days=1)))  # fmt: skip
    for span, starts_at, most, length in spans:
        limit = most if refuse else None
        if not await look_queries.use(tx, actor.label, span, starts_at, limit=limit):
            wait = int((starts_at + length - now).total_seconds()) + 1
            raise LooksUsedUp(f"at most {most} in a {span}", headers={"Retry-After": str(wait)})
    await look_queries.touch(tx, msisdn, by=actor.label, reason=reason, now=now)


@asynccontextmanager
async def counted_first(
    pool: Pool,
    msisdn: str,
    *,
    reason: str,
    actor: Actor,
    now: datetime,
    key: str | None = None,
    refuse: bool = True,
) -> AsyncIterator[Connection]:
    """Count an agent's look, note it and why, and commit; then open the transaction of what follows.

    For whatever may be refused: a refusal says something about a number as well ("has it already",
    "is barred"), and undoes the second transaction only. What came before with the same
    idempotency `key` is no further look. Raises `LooksUsedUp`, unless told not to `refuse`.
    """
    if actor.has(Role.AGENT):
        async with db.transaction(pool) as tx:
            if not await came_before(tx, key, actor=actor):
                await count(tx, msisdn, reason=reason, actor=actor, now=now, refuse=refuse)
                name = audit_name(await instance_secret(tx), msisdn)
                await audit.note(
                    tx, "number.looked_at", "number", name, actor=actor, now=now, reason=reason
                )
    async with db.transaction(pool) as tx:
        yield tx


async def look_up(
    tx: Connection, msisdn: str, *, reason: str, actor: Actor, now: datetime
) -> NumberFile | None:
    """Show a number and its history to staff; who looked and why is recorded first.

    None when nobody ever had it. That is no refusal: the record of the look must be committed.
    An agent's look counts; raises `LooksUsedUp`.
    """
    await count(tx, msisdn, reason=reason, actor=actor, now=now)
    name = audit_name(await instance_secret(tx), msisdn)
    await audit.note(tx, "number.looked_up", "number", name, actor=actor, now=now, reason=reason)
    number = await queries.get(tx, msisdn)
    if number is None:
        return None
    return NumberFile(number=view(number), history=await queries.history(tx, msisdn))


async def add_canary(tx: Connection, msisdn: str, *, actor: Actor, now: datetime) -> None:
    """Make a number a canary; the same one again changes nothing."""
    await look_queries.add_canary(tx, msisdn, by=actor.label, now=now)
    name = audit_name(await instance_secret(tx), msisdn)
    await audit.note(tx, "canary.added", "number", name, actor=actor, now=now)


async def touches(read: Connection) -> Sequence[CanaryTouch]:
    """Return the latest looks at canary numbers, newest first."""
    return [CanaryTouch(**row) for row in await look_queries.touches(read)]
