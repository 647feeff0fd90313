"""HTTP about numbers: the registry reports, staff look up, the holder sees her own."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, get, post

from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotAllowed, NotFound
from spms.core.http import refusals
from spms.core.phone import Msisdn
from spms.subscribers import actions
from spms.subscribers.actions import EventClash
from spms.subscribers.model import NumberEventIn, NumberFile, NumberView, Recorded
from spms.subscribers.rules import EventNotPossible, NumberUnknown


class NumberEvents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch from the number registry: all of it is recorded, or nothing."""

    events: Annotated[list[NumberEventIn], msgspec.Meta(min_length=1, max_length=1000)]


class Lookup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which number, and why it is looked at."""

    msisdn: Msisdn
    reason: Annotated[str, msgspec.Meta(min_length=2, max_length=200)]
    """Kept in the audit log: a ticket, a call, a request of the holder."""


@post(
    "/number-events",
    status_code=200,
    guards=[only(Role.GATEWAY)],
    responses=refusals(EventNotPossible, NumberUnknown, NotAllowed, EventClash),
)
async def record(data: NumberEvents, tx: Connection, actor: Actor, now: datetime) -> Recorded:
    """Record what happened to numbers.

    Events may come late and in any order, also within a batch; sending a batch again is harmless.
    """
    return await actions.record_events(tx, data.events, actor=actor, now=now)


@post(
    "/numbers/lookup",
    status_code=200,
    guards=[only(Role.AGENT, Role.COMPLIANCE)],
    responses=refusals(NotFound),
)
async def look_up(data: Lookup, tx: Connection, actor: Actor, now: datetime) -> NumberFile:
    """Look a number up, with a reason that is recorded."""
    return await actions.look_up(tx, data.msisdn, reason=data.reason, actor=actor, now=now)


@get("/my/number", guards=[only(Role.SUBSCRIBER)])
async def my_number(read: Connection, actor: Actor) -> NumberView:
    """Show the signed-in subscriber her number."""
    return actions.view(await actions.held(read, actor))


router = Router("/", route_handlers=[record, look_up, my_number], tags=["subscribers"])
