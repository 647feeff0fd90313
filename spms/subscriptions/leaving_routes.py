"""HTTP about leaving through an agent, and about the clocks of what must follow."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.params import Parameter

from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page
from spms.core.phone import Msisdn
from spms.subscriptions import duties, proxy
from spms.subscriptions.leaving_model import Clock, DutyShown, ProxyLeft, ProxyView
from spms.subscriptions.proxy import LookupExpired

Said = Annotated[str, msgspec.Meta(min_length=2, max_length=200, pattern=r"\S")]
Ticket = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9A-Za-z._:/-]{1,40}$(?!\n)", examples=["GD-20260302-17"])
]
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


@post("/proxy-lookups", status_code=201, guards=[only(Role.AGENT)])
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


router = Router("/", route_handlers=[look_up, leave, of_all, acknowledge], tags=["leaving"])
