"""HTTP about leaving, oneself and through an agent, and about the clocks of what must follow."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from spms.core import db
from spms.core.access import Actor, ActorKind, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound, Unprocessable
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page
from spms.core.phone import Msisdn
from spms.subscribers import looks
from spms.subscribers.looks import LooksUsedUp
from spms.subscriptions import actions, duties, proxy, queries, wishes
from spms.subscriptions.evidence import show
from spms.subscriptions.leaving_model import (
    Clock,
    DutyShown,
    ProxyLeft,
    ProxyView,
    Ticket,
    WishSettled,
    WishShown,
)
from spms.subscriptions.model import SubscriptionShown
from spms.subscriptions.proxy import LookupExpired
from spms.subscriptions.routes import (
    NumberMissing,
    Reason,
    ReasonMissing,
    number_of,
    require_reason,
    visible,
)

Said = Annotated[str, msgspec.Meta(min_length=2, max_length=200, pattern=r"\S")]
Show = Annotated[Clock | None, Parameter(description="Only those whose clock stands so")]


class Look(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose relations an agent looks at, why, and under which ticket."""

    msisdn: Msisdn
    reason: Said
    ticket: Ticket


class LeaveFor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to leave for the number's holder."""

    subscription_ids: Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=100)] | None = (
        None
    )
    """Left out or null: everything."""


class SettleWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a wish to leave meant, as an agent found out."""

    subscription_ids: Annotated[list[UUID], msgspec.Meta(max_length=100)] | None = None
    """Left out or null: everything that the number had when it came in. Empty: nothing."""
    reason: Said
    ticket: Ticket


class TicketMissing(Unprocessable):
    """Whoever leaves for a subscriber says under which ticket."""

    code = "ticket_missing"


class Leave(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leaving one relation."""

    reason: Reason | None = None
    """Obligatory for an agent."""
    ticket: Ticket | None = None
    """Obligatory for an agent: the call's or complaint's reference."""


class LeaveAll(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Leaving everything."""

    msisdn: Msisdn | None = None
    """For agents; a signed-in subscriber leaves it out."""
    reason: Reason | None = None
    """Obligatory for an agent."""
    ticket: Ticket | None = None
    """Obligatory for an agent: the call's or complaint's reference."""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """How much was left."""

    left: int


@post("/proxy-lookups", status_code=201, guards=[only(Role.AGENT)], responses=refusals(LooksUsedUp))
async def look_up(data: Look, tx: Connection, actor: Actor, now: datetime) -> ProxyView:
    """Look a number up in order to leave for its holder; this is on record before it is answered.

    The answer may be acted upon for half an hour, by the same agent, for this number only.
    """
    return await proxy.look_up(
        tx, data.msisdn, reason=data.reason, ticket=data.ticket, actor=actor, now=now
    )


@post(
    "/proxy-lookups/{lookup_id:uuid}/leave",
    status_code=200,
    guards=[only(Role.AGENT)],
    responses=refusals(NotFound, LookupExpired),
)
async def leave(
    lookup_id: UUID, data: LeaveFor, tx: Connection, actor: Actor, now: datetime
) -> ProxyLeft:
    """Leave for a number's holder, at once, and show the 12 h clock of what must follow."""
    return await proxy.leave(
        tx, lookup_id, subscription_ids=data.subscription_ids, actor=actor, now=now
    )


@get(
    "/leaving-duties",
    guards=[only(Role.COMPLIANCE, Role.AGENT, Role.SP)],
    responses=refusals(CursorInvalid),
)
async def of_all(
    *,
    read: Connection,
    actor: Actor,
    now: datetime,
    clock: Show = None,
    after: Cursor = None,
    limit: Limit = 50,
) -> Page[DutyShown]:
    """List what must follow leavings through agents, newest first, each with its clock.

    An SP sees what it is to be told: pseudonym, service and time of its own relations.
    """
    return await duties.duties(read, clock=clock, cursor=after, limit=limit, actor=actor, now=now)


@post(
    "/leaving-duties/{duty_id:uuid}/acknowledgement",
    status_code=200,
    guards=[only(Role.SP)],
    responses=refusals(NotFound),
)
async def acknowledge(duty_id: UUID, tx: Connection, actor: Actor, now: datetime) -> DutyShown:
    """Say that the SP's systems know of the end of a relation; once is enough."""
    return await duties.acknowledge(tx, duty_id, actor=actor, now=now)


@post(
    "/subscriptions/{subscription_id:uuid}/leave",
    status_code=200,
    guards=[only(Role.SUBSCRIBER, Role.AGENT)],
    responses=refusals(NotFound, ReasonMissing, TicketMissing),
)
async def leave_one(
    subscription_id: UUID, data: Leave, state: State, actor: Actor, now: datetime
) -> SubscriptionShown:
    """End a relation at once; leaving what is over already changes nothing.

    An agent's way is `POST /proxy-lookups` and its `leave`; here both are one step.
    """
    async with db.acquired(state.pool) as read:
        current = await visible(read, subscription_id, actor)
    async with _looked_first(state, current.msisdn, data, actor=actor, now=now) as tx:
        if actor.kind is ActorKind.STAFF:
            await _leave_for(tx, current.msisdn, data, [subscription_id], actor=actor, now=now)
            left = await queries.find(tx, current.msisdn, subscription_id) or current
        else:
            left = await actions.leave(
                tx,
                msisdn=current.msisdn,
                subscription_id=subscription_id,
                reason=None,
                actor=actor,
                now=now,
            )
        (shown,) = await show(tx, [left], actor=actor)
        return shown


@post(
    "/subscriptions/leave-all",
    status_code=200,
    guards=[only(Role.SUBSCRIBER, Role.AGENT)],
    responses=refusals(NotFound, ReasonMissing, TicketMissing, NumberMissing),
)
async def leave_all(data: LeaveAll, state: State, actor: Actor, now: datetime) -> Left:
    """End everything a number has, at once.

    An agent's way is `POST /proxy-lookups` and its `leave`; here both are one step.
    """
    msisdn = number_of(data.msisdn, actor)
    async with _looked_first(state, msisdn, data, actor=actor, now=now) as tx:
        if actor.kind is ActorKind.STAFF:
            return Left(left=await _leave_for(tx, msisdn, data, None, actor=actor, now=now))
        left = await actions.leave_all(tx, msisdn=msisdn, reason=None, actor=actor, now=now)
        return Left(left=left)


def _looked_first(
    state: State, msisdn: str, data: Leave | LeaveAll, *, actor: Actor, now: datetime
) -> AbstractAsyncContextManager[Connection]:
    """Open the transaction of a leaving, after an agent's look has been counted and committed.

    The look is counted whatever becomes of the leaving, and never holds it up. Raises
    `ReasonMissing` and `TicketMissing`, before there was a look.
    """
    if actor.kind is ActorKind.STAFF:
        require_reason(data.reason, actor)
        if data.ticket is None:
            raise TicketMissing
    return looks.counted_first(
        state.pool, msisdn, reason=data.reason or "", actor=actor, now=now, refuse=False
    )


async def _leave_for(
    tx: Connection, msisdn: str, data: Leave | LeaveAll, ids: list[UUID] | None, *, actor: Actor,
    now: datetime,
) -> int:  # fmt: skip
    """Leave for a number's holder, bound to a look-up on record; return how much ended."""
    found = await proxy.look_up(
        tx,
        msisdn,
        reason=data.reason or "",
        ticket=data.ticket or "",
        actor=actor,
        now=now,
        counted=True,
    )
    left = await proxy.leave(tx, found.lookup_id, subscription_ids=ids, actor=actor, now=now)
    return len(left.left)


@get("/leave-wishes", guards=[only(Role.COMPLIANCE, Role.AGENT)], responses=refusals(CursorInvalid))
async def list_wishes(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[WishShown]:
    """List SMS that may be wishes to leave and could not be handled, oldest first.

    Nothing that the number had when they came in may be charged until they are settled.
    """
    return await wishes.page(read, cursor=after, limit=limit, actor=actor)


@post(
    "/leave-wishes/{wish_id:uuid}/settlement",
    status_code=200,
    guards=[only(Role.AGENT)],
    responses=refusals(NotFound),
)
async def settle_wish(
    wish_id: UUID, data: SettleWish, state: State, actor: Actor, now: datetime
) -> WishSettled:
    """Settle a wish to leave for the person: what is named, or everything, ended when it came in.

    An empty list says that it was no wish to leave. It counts to the agent's looks, refused or not,
    and is not held up by them.
    """
    async with db.acquired(state.pool) as read:
        msisdn = await wishes.number_of(read, wish_id)
    async with looks.counted_first(
        state.pool, msisdn, reason=data.reason, actor=actor, now=now, refuse=False
    ) as tx:
        return await wishes.settle(
            tx, wish_id, subscription_ids=data.subscription_ids, reason=data.reason,
            ticket=data.ticket, actor=actor, now=now,
        )  # fmt: skip


router = Router(
    "/",
    route_handlers=[
        leave_one,
        leave_all,
        look_up,
        leave,
        of_all,
        acknowledge,
        list_wishes,
        settle_wish,
    ],
    tags=["leaving"],
)
