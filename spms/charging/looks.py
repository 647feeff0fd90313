"""How often an agent may look at bills, and the numbers nobody has a reason to look at."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec

from spms.charging import bill_queries, look_queries
from spms.core import audit, rulebook
from spms.core.access import Actor, Role
from spms.core.clock import SHANGHAI, start_of_day
from spms.core.db import Connection
from spms.core.errors import TooManyRequests
from spms.core.instance import instance_secret
from spms.subscribers import actions as subscribers


class LooksRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rulebook section `looks`: how many bills and lines one agent may look at."""

    hour: Annotated[int, msgspec.Meta(ge=1)] = 60
    day: Annotated[int, msgspec.Meta(ge=1)] = 300


class LooksUsedUp(TooManyRequests):
    """This agent has looked at as many bills as one may in an hour, or in a day."""

    code = "looks_used_up"


class CanaryTouch(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody looked at a number that nobody has a reason to look at."""

    id: UUID
    touched_by: str
    at: datetime
    reason: str


async def count(tx: Connection, msisdn: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """Count a look before anything is shown; raise `LooksUsedUp`.

    A look at a canary number goes on as any other, and is told to compliance.
    """
    rules = await rulebook.section(tx, LooksRules, at=now)
    hour = now.astimezone(SHANGHAI).replace(minute=0, second=0, microsecond=0)
    spans = (("hour", hour, rules.hour, timedelta(hours=1)),
             ("day", start_of_day(now.astimezone(SHANGHAI).date()), rules.day, timedelta(days=1)))  # fmt: skip
    for span, starts_at, limit, length in spans:
        if not await look_queries.use(tx, actor.label, span, starts_at, limit=limit):
            wait = int((starts_at + length - now).total_seconds()) + 1
            raise LooksUsedUp(f"at most {limit} in a {span}", headers={"Retry-After": str(wait)})
    await look_queries.touch(tx, msisdn, by=actor.label, reason=reason, now=now)


async def count_charge(
    tx: Connection, charge_id: UUID, *, reason: str, actor: Actor, now: datetime
) -> None:
    """Count an agent's look at what a charge rests on as one at its number's bill.

    Raises `LooksUsedUp`. An officer's look is on record and not counted.
    """
    found = await bill_queries.owner_of(tx, charge_id)
    if found is not None and actor.has(Role.AGENT):
        await count(tx, found.msisdn, reason=reason, actor=actor, now=now)


async def add_canary(tx: Connection, msisdn: str, *, actor: Actor, now: datetime) -> None:
    """Make a number a canary; the same one again changes nothing."""
    await look_queries.add_canary(tx, msisdn, by=actor.label, now=now)
    name = subscribers.audit_name(await instance_secret(tx), msisdn)
    await audit.note(tx, "canary.added", "number", name, actor=actor, now=now)


async def touches(read: Connection) -> Sequence[CanaryTouch]:
    """Return the latest looks at canary numbers, newest first."""
    return [CanaryTouch(**row) for row in await look_queries.touches(read)]
