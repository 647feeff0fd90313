"""HTTP about numbers: the registry reports, staff look up, the holder sees her own."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.datastructures import State

from spms.core import db
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import Forbidden, NotAllowed, NotFound
from spms.core.http import refusals
from spms.core.phone import Msisdn
from spms.subscribers import actions, limits, looks
from spms.subscribers.actions import EventClash
from spms.subscribers.limit_model import BarIn, CapIn, Limits
from spms.subscribers.limits import AlreadyBarred, BarUnclear, CapUnclear
from spms.subscribers.looks import LooksUsedUp
from spms.subscribers.model import Language, NumberEventIn, NumberFile, NumberView, Recorded
from spms.subscribers.rules import EventNotPossible, NumberUnknown


class NumberEvents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch from the number registry: all of it is recorded, or nothing."""

    events: Annotated[list[NumberEventIn], msgspec.Meta(min_length=1, max_length=1000)]


class Lookup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which number, and why it is looked at."""

    msisdn: Msisdn
    reason: Annotated[str, msgspec.Meta(min_length=2, max_length=200, pattern=r"\S")]
    """Kept in the audit log: a ticket, a call, a request of the holder."""


class StaffBar(BarIn, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bar on the wish of a number's holder, as staff recorded it."""

    msisdn: Msisdn
    reason: Annotated[str, msgspec.Meta(min_length=2, max_length=200, pattern=r"\S")]
    """What the holder said, and under which ticket."""


class LanguageIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In which language to be told things."""

    language: Language


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
    responses=refusals(NotFound, LooksUsedUp),
)
async def look_up(data: Lookup, state: State, actor: Actor, now: datetime) -> NumberFile:
    """Look a number up, with a reason that is recorded, also for a number nobody ever had."""
    async with db.transaction(state.pool) as tx:
        found = await looks.look_up(tx, data.msisdn, reason=data.reason, actor=actor, now=now)
    if found is None:  # refused only after the commit, so that the record of the look stays
        raise NotFound
    return found


@get("/my/number", guards=[only(Role.SUBSCRIBER)])
async def my_number(read: Connection, actor: Actor) -> NumberView:
    """Show the signed-in subscriber her number."""
    return actions.view(await actions.held(read, actor))


@get("/my/limits", guards=[only(Role.SUBSCRIBER)])
async def my_limits(read: Connection, actor: Actor) -> Limits:
    """List the signed-in subscriber's own bars and caps in force."""
    return await limits.limits(read, await actions.held(read, actor))


@post(
    "/my/bars",
    status_code=200,
    guards=[only(Role.SUBSCRIBER)],
    responses=refusals(NotFound, Forbidden, AlreadyBarred, BarUnclear),
)
async def bar(data: BarIn, tx: Connection, actor: Actor, now: datetime) -> Limits:
    """Bar everything, one SP or one category: no order, no message and no charge, at once."""
    return await limits.bar(tx, actor.msisdn, data, actor=actor, now=now)


@post(
    "/my/bars/{bar_id:uuid}/lift",
    status_code=200,
    guards=[only(Role.SUBSCRIBER)],
    responses=refusals(NotFound, Forbidden),
)
async def lift(bar_id: UUID, tx: Connection, actor: Actor, now: datetime) -> Limits:
    """Lift a bar of one's own; nobody else can."""
    return await limits.lift(tx, actor.msisdn, bar_id, actor=actor, now=now)


@post(
    "/numbers/bars",
    status_code=200,
    guards=[only(Role.AGENT)],
    responses=refusals(NotFound, AlreadyBarred, BarUnclear, LooksUsedUp),
)
async def bar_for(data: StaffBar, state: State, actor: Actor, now: datetime) -> Limits:
    """Set a bar for a number's holder, on the wish that is recorded with it; it is a look too."""
    wish = BarIn(scope=data.scope, sp_code=data.sp_code, category=data.category)
    async with looks.counted_first(
        state.pool, data.msisdn, reason=data.reason, actor=actor, now=now
    ) as tx:
        return await limits.bar(tx, data.msisdn, wish, actor=actor, now=now, reason=data.reason)


@post(
    "/my/caps",
    status_code=200,
    guards=[only(Role.SUBSCRIBER)],
    responses=refusals(NotFound, Forbidden, CapUnclear),
)
async def cap(data: CapIn, tx: Connection, actor: Actor, now: datetime) -> Limits:
    """Raise or lower a monthly cap, or go back to the operator's; it holds at once."""
    return await limits.set_cap(tx, actor.msisdn, data, actor=actor, now=now)


@post(
    "/my/language",
    status_code=200,
    guards=[only(Role.SUBSCRIBER)],
    responses=refusals(Forbidden),
)
async def language(data: LanguageIn, tx: Connection, actor: Actor) -> NumberView:
    """Choose the language of all notices."""
    await limits.set_language(tx, actor.msisdn, data.language, actor=actor)
    return actions.view(await actions.held(tx, actor))


router = Router(
    "/",
    route_handlers=[
        record, look_up, my_number, my_limits, bar, lift, bar_for, cap, language,
    ],
    tags=["subscribers"],
)  # fmt: skip
