"""Spot checks over HTTP: plans for compliance officers, evidence for the SP concerned."""

from datetime import datetime
from uuid import UUID

from litestar import Router, get, post

from spms.core.access import Actor, ActorKind, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.once import IdempotencyKey, KeyReused, once
from spms.core.paging import Cursor, CursorInvalid, Limit, Page, read_cursor, write_cursor
from spms.inspections import actions, queries
from spms.inspections.model import Item, NewPlan, Plan, PlanDetail


@post("/inspection-plans", status_code=201, guards=[only(Role.COMPLIANCE)],
      responses=refusals(actions.NothingToInspect, KeyReused))  # fmt: skip
async def draw(
    data: NewPlan,
    tx: Connection,
    actor: Actor,
    now: datetime,
    idempotency_key: IdempotencyKey = None,
) -> Plan:
    """Draw a plan of spot checks. The seed's hash is in the answer, the seed itself is not."""

    async def work() -> Plan:
        return await actions.draw_plan(tx, seed=data.seed, start=data.start, actor=actor, now=now)

    return await once(tx, Plan, idempotency_key, data, work, actor=actor, now=now)


@get("/inspection-plans", guards=[only(Role.COMPLIANCE)], responses=refusals(CursorInvalid))
async def find(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Plan]:
    """List plans, newest first."""
    key = await read_cursor(read, actor, "inspection plans", after, tuple[datetime, UUID])
    rows = await queries.plans(read, key, limit + 1)
    cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = await write_cursor(read, actor, "inspection plans", [last.drawn_at, last.id])
    return Page(items=rows[:limit], next=cursor)


@get("/inspection-plans/{plan_id:uuid}", guards=[only(Role.COMPLIANCE)],
     responses=refusals(NotFound, CursorInvalid))  # fmt: skip
async def show(
    plan_id: UUID, read: Connection, actor: Actor, limit: Limit = 100, after: Cursor = None
) -> PlanDetail:
    """Show a plan with its items, their calls and verdicts; by SP and number, in pages."""
    name = f"inspection plan {plan_id}"
    key = await read_cursor(read, actor, name, after, tuple[UUID, str])
    plan = await actions.plan(read, plan_id)
    rows = await queries.items_of_plan(read, plan_id, key, limit + 1)
    cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = await write_cursor(read, actor, name, [last.sp_id, last.hotline])
    return PlanDetail(plan=plan, items=rows[:limit], next=cursor)


@get("/inspection-items", guards=[only(Role.SP)], responses=refusals(CursorInvalid))
async def list_mine(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Item]:
    """List the spot checks of one's own hotlines that are judged, with every call as evidence."""
    key = await read_cursor(read, actor, "inspection items", after, tuple[UUID])
    rows = await queries.items_of_sp(read, actor.sp_id, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = (
        await write_cursor(read, actor, "inspection items", [rows[limit - 1].id]) if more else None
    )
    return Page(items=rows[:limit], next=cursor)


@get("/inspection-items/{item_id:uuid}", guards=[only(Role.SP, Role.COMPLIANCE)],
     responses=refusals(NotFound))  # fmt: skip
async def show_item(item_id: UUID, read: Connection, actor: Actor) -> Item:
    """Show one spot check with its calls; to the SP only its own, and only when it is judged."""
    item = await actions.item(read, item_id)
    if actor.kind is ActorKind.SP and (actor.sp_id != item.sp_id or item.verdict is None):
        raise NotFound
    return item


router = Router("/", route_handlers=[draw, find, show, list_mine, show_item], tags=["inspections"])
