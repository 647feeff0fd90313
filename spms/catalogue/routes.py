"""The catalogue over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post

from spms.catalogue import actions, queries
from spms.catalogue.model import (
    NewAccessNumber,
    NewService,
    NewTariff,
    Notice,
    Offer,
    Registered,
    Repriced,
    Service,
    Tariff,
)
from spms.core.access import Actor, ActorKind, Role, only
from spms.core.db import Connection
from spms.core.errors import NotAllowed, NotFound, Unprocessable
from spms.core.http import refusals
from spms.core.paging import Cursor, Limit, Page, read_cursor, write_cursor
from spms.partners.actions import SpNotActive

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Because(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: Reason


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Yes or no, and why."""

    approve: bool
    reason: Reason | None = None
    """Needed to say no: whoever asked must learn why."""

    def __post_init__(self) -> None:
        """Refuse a no without a reason."""
        if not self.approve and self.reason is None:
            raise ValueError("a refusal needs a reason")


class Tariffs(msgspec.Struct, frozen=True, kw_only=True):
    """A service's tariff versions, the latest to take force first."""

    items: list[Tariff]


async def own_service(read: Connection, service_id: UUID, actor: Actor) -> Service:
    """Return a service; another SP's looks like nothing at all."""
    service = await actions.get(read, service_id)
    if actor.kind is ActorKind.SP and service.sp_id != actor.sp_id:
        raise NotFound
    return service


@post("/access-numbers", status_code=201, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, SpNotActive, actions.NumberTaken, Unprocessable))  # fmt: skip
async def assign(
    data: NewAccessNumber, tx: Connection, actor: Actor, now: datetime
) -> NewAccessNumber:
    """Give an access number to an SP."""
    await actions.assign_access_number(tx, data.sp_id, data.number, actor=actor, now=now)
    return data


@post("/services", status_code=201, guards=[only(Role.SP)],
      responses=refusals(NotFound, SpNotActive, actions.SellingRestricted, actions.PriceRestricted,
                         actions.CodeTaken, Unprocessable))  # fmt: skip
async def register(data: NewService, tx: Connection, actor: Actor, now: datetime) -> Registered:
    """Register a service; it is sold once its notice is approved."""
    return await actions.register_service(tx, actor.sp_id, data, actor=actor, now=now)


@get("/services", guards=[only(*Role)])
async def on_sale(
    read: Connection, actor: Actor, now: datetime, limit: Limit = 20, after: Cursor = None
) -> Page[Offer]:
    """List what is on sale, by service code."""
    key = await read_cursor(read, actor, "offers", after, tuple[str])
    rows = await queries.offers(read, now, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = (
        await write_cursor(read, actor, "offers", [rows[limit - 1].service_code]) if more else None
    )
    return Page(items=rows[:limit], next=cursor)


@get("/my/services", guards=[only(Role.SP)])
async def mine(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Service]:
    """List the SP's own services, on sale or not."""
    key = await read_cursor(read, actor, "services", after, tuple[str])
    rows = await queries.services_of(read, actor.sp_id, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = await write_cursor(read, actor, "services", [rows[limit - 1].code]) if more else None
    return Page(items=rows[:limit], next=cursor)


@get("/services/{service_id:uuid}", guards=[only(Role.SP, Role.AGENT, Role.COMPLIANCE, Role.ADMIN)],
     responses=refusals(NotFound))  # fmt: skip
async def show(service_id: UUID, read: Connection, actor: Actor) -> Service:
    """Show one service; an SP sees its own only."""
    return await own_service(read, service_id, actor)


@post("/services/{service_id:uuid}/tariffs", status_code=201, guards=[only(Role.SP)],
      responses=refusals(NotFound, actions.TariffClash, actions.Withdrawn, actions.PriceRestricted,
                         Unprocessable))  # fmt: skip
async def add_tariff(
    service_id: UUID, data: NewTariff, tx: Connection, actor: Actor, now: datetime
) -> Repriced:
    """Add a tariff version; its notice must be approved before anything is sold at that price."""
    await own_service(tx, service_id, actor)
    return await actions.add_tariff(tx, service_id, data, actor=actor, now=now)


@get("/services/{service_id:uuid}/tariffs",
     guards=[only(Role.SP, Role.AGENT, Role.COMPLIANCE, Role.ADMIN)],
     responses=refusals(NotFound))  # fmt: skip
async def tariffs(service_id: UUID, read: Connection, actor: Actor) -> Tariffs:
    """List a service's tariff versions."""
    await own_service(read, service_id, actor)
    return Tariffs(items=await queries.tariffs(read, service_id))


@get("/notices", guards=[only(Role.COMPLIANCE)])
async def waiting_notices(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Notice]:
    """List notices that wait for a decision, oldest first."""
    key = await read_cursor(read, actor, "notices", after, tuple[UUID])
    rows = await queries.drafted_notices(read, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = await write_cursor(read, actor, "notices", [rows[limit - 1].id]) if more else None
    return Page(items=rows[:limit], next=cursor)


@post("/notices/{notice_id:uuid}/decision", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, NotAllowed, actions.SamePerson, actions.Decided,
                         actions.Withdrawn, actions.PriceRestricted))  # fmt: skip
async def decide_notice(
    notice_id: UUID, data: Decision, tx: Connection, actor: Actor, now: datetime
) -> Notice:
    """Approve or reject a notice; approving a draft's notice puts the service on sale."""
    return await actions.decide_notice(
        tx, notice_id, approve=data.approve, reason=data.reason, actor=actor, now=now
    )


@post("/services/{service_id:uuid}/offline", status_code=200,
      guards=[only(Role.SP, Role.COMPLIANCE)], responses=refusals(NotFound, NotAllowed))  # fmt: skip
async def take_offline(
    service_id: UUID, data: Because, tx: Connection, actor: Actor, now: datetime
) -> Service:
    """Take a service off sale."""
    await own_service(tx, service_id, actor)
    return await actions.take_offline(tx, service_id, actor=actor, now=now, reason=data.reason)


@post("/services/{service_id:uuid}/online", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, NotAllowed, actions.NoticeMissing))  # fmt: skip
async def bring_online(
    service_id: UUID, data: Because, tx: Connection, actor: Actor, now: datetime
) -> Service:
    """Put a service back on sale."""
    return await actions.bring_online(tx, service_id, actor=actor, now=now, reason=data.reason)


@post("/services/{service_id:uuid}/withdrawal", status_code=200,
      guards=[only(Role.SP, Role.COMPLIANCE)], responses=refusals(NotFound, NotAllowed))  # fmt: skip
async def withdraw(
    service_id: UUID, data: Because, tx: Connection, actor: Actor, now: datetime
) -> Service:
    """End a service for good."""
    await own_service(tx, service_id, actor)
    return await actions.withdraw(tx, service_id, actor=actor, now=now, reason=data.reason)


router = Router(
    "/",
    route_handlers=[
        assign, register, on_sale, mine, show, add_tariff, tariffs, waiting_notices, decide_notice,
        take_offline, bring_online, withdraw,
    ],
    tags=["catalogue"],
)  # fmt: skip
