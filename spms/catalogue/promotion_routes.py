"""Joint promotion over HTTP."""

from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Router, get, post

from spms.catalogue import promotion_queries as queries
from spms.catalogue import promotions
from spms.catalogue.promotion_model import NewPromotion, Promoted, Promotion
from spms.catalogue.refusals import (
    Decided,
    NotOnSale,
    PromotionRestricted,
    PromotionWaits,
    SamePerson,
)
from spms.catalogue.routes import Decision, own_service
from spms.core.access import Actor, ActorKind, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound, Unprocessable
from spms.core.http import refusals
from spms.core.paging import Cursor, Limit, Page, read_cursor, write_cursor

MOST = 200
"""So many promoted services at one time; more is no promotion."""


class PromotedNow(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator promotes now."""

    items: list[Promoted]


@post("/services/{service_id:uuid}/promotions", status_code=201, guards=[only(Role.SP)],
      responses=refusals(NotFound, PromotionRestricted, NotOnSale, PromotionWaits, Unprocessable)
      )  # fmt: skip
async def ask(
    service_id: UUID, data: NewPromotion, tx: Connection, actor: Actor, now: datetime
) -> Promotion:
    """Ask that the operator promotes a service for a time; an officer decides."""
    await own_service(tx, service_id, actor)
    return await promotions.ask(tx, service_id, data, actor=actor, now=now)


@get("/promotions", guards=[only(Role.SP, Role.COMPLIANCE)])
async def find(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Promotion]:
    """List what was asked for, newest first; an SP sees its own only."""
    scope = actor.sp_id if actor.kind is ActorKind.SP else None
    key = await read_cursor(read, actor, "promotions", after, tuple[UUID])
    rows = await queries.page(read, scope, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = await write_cursor(read, actor, "promotions", [rows[limit - 1].id]) if more else None
    return Page(items=rows[:limit], next=cursor)


@post("/promotions/{promotion_id:uuid}/decision", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, PromotionRestricted, SamePerson, Decided))  # fmt: skip
async def decide(
    promotion_id: UUID, data: Decision, tx: Connection, actor: Actor, now: datetime
) -> Promotion:
    """Approve or reject a promotion."""
    return await promotions.decide(
        tx, promotion_id, approve=data.approve, reason=data.reason, actor=actor, now=now
    )


@get("/promoted-services", guards=[only(*Role)])
async def running(read: Connection, now: datetime) -> PromotedNow:
    """List what the operator promotes now: on sale, and of SPs that nothing keeps from it."""
    return PromotedNow(items=await queries.running(read, now, MOST))


router = Router("/", route_handlers=[ask, find, decide, running], tags=["catalogue"])
