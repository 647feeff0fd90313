"""Spot checks over HTTP: plans for compliance officers, evidence for the SP concerned."""

from datetime import date, datetime
from uuid import UUID

from litestar import Router, get, post

from spms.core.access import Actor, ActorKind, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.once import IdempotencyKey, KeyReused, once
from spms.core.paging import Cursor, CursorInvalid, Limit, Page, read_cursor, write_cursor
from spms.inspections import actions, judging, plan_queries, proof_queries, verdict_queries
from spms.inspections.model import (
    Commitment,
    Greeting,
    Item,
    NewObjection,
    NewPlan,
    Objection,
    ObjectionDecision,
    Plan,
    PlanDetail,
    RevealedPlan,
)
from spms.inspections.proof import ServiceProof


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
    rows = await plan_queries.plans(read, key, limit + 1)
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
    rows = await plan_queries.items_of_plan(read, plan_id, key, limit + 1)
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
    rows = await plan_queries.items_of_sp(read, actor.sp_id, key[0] if key else None, limit + 1)
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


@get("/inspection-commitments", guards=[only(Role.SP, Role.COMPLIANCE)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def commitments(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Commitment]:
    """List the hashes that every plan was bound to before its first call, newest first."""
    key = await read_cursor(read, actor, "commitments", after, tuple[datetime, UUID])
    rows = await plan_queries.commitments(read, key, limit + 1)
    cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = await write_cursor(read, actor, "commitments", [last.drawn_at, last.id])
    return Page(items=rows[:limit], next=cursor)


@get("/inspection-plans/{plan_id:uuid}/document", guards=[only(Role.SP, Role.COMPLIANCE)],
     responses=refusals(NotFound, actions.NotFinished))  # fmt: skip
async def reveal(plan_id: UUID, read: Connection) -> RevealedPlan:
    """Show a finished plan word for word: its SHA-256 is what was published before the calls."""
    return RevealedPlan(document=await actions.document(read, plan_id))


@post("/inspection-items/{item_id:uuid}/objection", status_code=201, guards=[only(Role.SP)],
      responses=refusals(NotFound, judging.NothingToObjectTo, judging.ObjectedAlready))  # fmt: skip
async def object_to(
    item_id: UUID, data: NewObjection, tx: Connection, actor: Actor, now: datetime
) -> Objection:
    """Object to a verdict against one's own hotline, with the evidence in words and documents."""
    return await judging.object_to(tx, item_id, data, actor=actor, now=now)


@get("/inspection-objections", guards=[only(Role.COMPLIANCE)])
async def waiting_objections(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Objection]:
    """List the objections that wait for a decision, oldest first."""
    key = await read_cursor(read, actor, "objections", after, tuple[datetime, UUID])
    rows = await verdict_queries.waiting_objections(read, key, limit + 1)
    cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = await write_cursor(read, actor, "objections", [last.opened_at, last.item_id])
    return Page(items=rows[:limit], next=cursor)


@get("/inspection-items/{item_id:uuid}/objection", guards=[only(Role.SP, Role.COMPLIANCE)],
     responses=refusals(NotFound))  # fmt: skip
async def show_objection(item_id: UUID, read: Connection, actor: Actor) -> Objection:
    """Show the objection to a verdict and what was decided."""
    found = await judging.objection(read, item_id)
    if actor.kind is ActorKind.SP and actor.sp_id != found.sp_id:
        raise NotFound
    return found


@post("/inspection-items/{item_id:uuid}/objection/decision", status_code=200,
      guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, judging.DrewThePlan, judging.ObjectionDecided))  # fmt: skip
async def decide_objection(
    item_id: UUID, data: ObjectionDecision, tx: Connection, actor: Actor, now: datetime
) -> Objection:
    """Decide an objection; who drew the plan may not. A sustained one sets the finding aside."""
    return await judging.decide_objection(
        tx, item_id, sustain=data.sustain, reason=data.reason, actor=actor, now=now
    )


@post("/hotline-greetings", status_code=201, guards=[only(Role.SP)],
      responses=refusals(NotFound))  # fmt: skip
async def register_greeting(
    data: Greeting, tx: Connection, actor: Actor, now: datetime
) -> Greeting:
    """Register the touch tones that one's hotline plays when it answers: proof of who answers."""
    await judging.register_greeting(tx, data, actor=actor, now=now)
    return data


@get("/service-proofs", guards=[only(Role.SP, Role.COMPLIANCE)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def service_proofs(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[ServiceProof]:
    """List what the spot checks of each month have shown of hotlines; to an SP, of its own."""
    key = await read_cursor(read, actor, "service proofs", after, tuple[date, UUID])
    whose = actor.sp_id if actor.kind is ActorKind.SP else None
    rows = await proof_queries.proofs(read, whose, key, limit + 1)
    cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = await write_cursor(read, actor, "service proofs", [last.month, last.sp_id])
    return Page(items=rows[:limit], next=cursor)


router = Router(
    "/",
    route_handlers=[
        draw, find, show, list_mine, show_item, commitments, reveal, object_to, waiting_objections,
        show_objection,
        decide_objection, register_greeting, service_proofs,
    ],
    tags=["inspections"],
)  # fmt: skip
