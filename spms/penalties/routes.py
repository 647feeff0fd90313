"""Breaches, appeals and points over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.params import Parameter

from spms.core.access import Actor, ActorKind, Role, only
from spms.core.clock import business_day
from spms.core.db import Connection
from spms.core.errors import NotAllowed, NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, Limit, Page, read_cursor, write_cursor
from spms.partners import actions as partners
from spms.penalties import actions, appeal_queries, queries, remedies
from spms.penalties.catalogue import CATALOGUE, Offence
from spms.penalties.model import (
    Appeal,
    Balance,
    Breach,
    BreachEvent,
    BreachState,
    Grade,
    NewBreach,
    Statement,
)

State = Annotated[str | None, Parameter(pattern=f"^(?:{'|'.join(BreachState)})$")]


class BreachDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a proposed breach takes effect, and why."""

    confirm: bool
    reason: Statement


class NewAppeal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the SP says against a breach."""

    statement: Statement


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """All kinds of breaches."""

    items: list[Offence]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that happened to a breach, in order."""

    items: list[BreachEvent]


class Retest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a retest has shown."""

    passed: bool
    reason: Statement


class AppealDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a breach is upheld, perhaps at a lower grade, or quashed, and why."""

    uphold: bool
    vary_to: Grade | None = None
    """With `uphold`: the lower grade at which it stands."""
    reason: Statement


async def visible(read: Connection, breach_id: UUID, actor: Actor) -> Breach:
    """Return a breach; another SP's looks like nothing at all."""
    breach = await actions.get(read, breach_id)
    if actor.kind is ActorKind.SP and breach.sp_id != actor.sp_id:
        raise NotFound
    return breach


@get("/breach-catalogue", guards=[only(Role.COMPLIANCE, Role.AGENT, Role.SP)])
async def catalogue() -> Catalogue:
    """Show the catalogue of breaches."""
    return Catalogue(items=list(CATALOGUE.values()))


@post("/breaches", status_code=201, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, actions.WrongSource))  # fmt: skip
async def propose(data: NewBreach, tx: Connection, actor: Actor, now: datetime) -> Breach:
    """Propose a breach; another officer decides whether it takes effect."""
    return await actions.propose(tx, data, actor=actor, now=now)


@get("/breaches", guards=[only(Role.COMPLIANCE, Role.AGENT, Role.SP)])
async def find(
    read: Connection,
    actor: Actor,
    status: State = None,
    limit: Limit = 20,
    after: Cursor = None,
) -> Page[Breach]:
    """List breaches, newest first; `proposed` ones wait. An SP sees its own only."""
    scope = actor.sp_id if actor.kind is ActorKind.SP else None
    kind = f"breaches {status}" if status else "breaches"
    key = await read_cursor(read, actor, kind, after, tuple[datetime, UUID])
    rows = await queries.page(read, scope, key, limit + 1, state=status)
    cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = await write_cursor(read, actor, kind, [last.found_at, last.id])
    return Page(items=rows[:limit], next=cursor)


@get("/breaches/{breach_id:uuid}", guards=[only(Role.COMPLIANCE, Role.AGENT, Role.SP)],
     responses=refusals(NotFound))  # fmt: skip
async def show(breach_id: UUID, read: Connection, actor: Actor) -> Breach:
    """Show one breach."""
    return await visible(read, breach_id, actor)


@get("/breaches/{breach_id:uuid}/history", guards=[only(Role.COMPLIANCE, Role.AGENT, Role.SP)],
     responses=refusals(NotFound))  # fmt: skip
async def history(breach_id: UUID, read: Connection, actor: Actor) -> History:
    """Show everything that happened to a breach, in order."""
    await visible(read, breach_id, actor)
    return History(items=await queries.history(read, breach_id))


@post("/breaches/{breach_id:uuid}/statement", status_code=201, guards=[only(Role.SP)],
      responses=refusals(NotFound, NotAllowed, actions.AnsweredAlready))  # fmt: skip
async def answer(
    breach_id: UUID, data: NewAppeal, tx: Connection, actor: Actor, now: datetime
) -> Breach:
    """Say something about a notice, before it is decided."""
    await visible(tx, breach_id, actor)
    return await actions.answer(tx, breach_id, data.statement, actor=actor, now=now)


@post("/breaches/{breach_id:uuid}/cure", status_code=201, guards=[only(Role.SP)],
      responses=refusals(NotFound, NotAllowed, actions.Decided))  # fmt: skip
async def report_cure(
    breach_id: UUID, data: NewAppeal, tx: Connection, actor: Actor, now: datetime
) -> Breach:
    """Say that a breach is cured, and how; a retest will show."""
    await visible(tx, breach_id, actor)
    return await remedies.report_cure(tx, breach_id, data.statement, actor=actor, now=now)


@post("/breaches/{breach_id:uuid}/retest", status_code=201, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, NotAllowed, actions.SamePerson, actions.Decided))  # fmt: skip
async def retest(
    breach_id: UUID, data: Retest, tx: Connection, actor: Actor, now: datetime
) -> Breach:
    """Record a retest: cured, or not; after the cure date the latter escalates."""
    return await remedies.retest(
        tx, breach_id, passed=data.passed, reason=data.reason, actor=actor, now=now
    )


@post("/breaches/{breach_id:uuid}/decision", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, NotAllowed, actions.SamePerson, actions.Decided,
                         actions.NotHeard))  # fmt: skip
async def decide(
    breach_id: UUID, data: BreachDecision, tx: Connection, actor: Actor, now: datetime
) -> Breach:
    """Confirm or dismiss a proposed breach."""
    return await actions.decide(
        tx, breach_id, confirm=data.confirm, reason=data.reason, actor=actor, now=now
    )


@post("/breaches/{breach_id:uuid}/appeal", status_code=201, guards=[only(Role.SP)],
      responses=refusals(NotFound, NotAllowed, actions.AppealTooLate, actions.Decided))  # fmt: skip
async def appeal(
    breach_id: UUID, data: NewAppeal, tx: Connection, actor: Actor, now: datetime
) -> Appeal:
    """Appeal against a breach that is in effect."""
    await visible(tx, breach_id, actor)
    return await actions.appeal(tx, breach_id, data.statement, actor=actor, now=now)


@get("/appeals", guards=[only(Role.COMPLIANCE)])
async def open_appeals(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Appeal]:
    """List appeals that wait for a decision, oldest first."""
    key = await read_cursor(read, actor, "appeals", after, tuple[UUID])
    rows = await appeal_queries.open_appeals(read, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = await write_cursor(read, actor, "appeals", [rows[limit - 1].id]) if more else None
    return Page(items=rows[:limit], next=cursor)


@post("/appeals/{appeal_id:uuid}/decision", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, NotAllowed, actions.SamePerson, actions.Decided,
                         actions.NotMilder))  # fmt: skip
async def decide_appeal(
    appeal_id: UUID, data: AppealDecision, tx: Connection, actor: Actor, now: datetime
) -> Appeal:
    """Uphold, vary or quash a breach on appeal."""
    return await actions.decide_appeal(
        tx, appeal_id, uphold=data.uphold, vary_to=data.vary_to, reason=data.reason, actor=actor,
        now=now,
    )  # fmt: skip


@get("/sps/{sp_id:uuid}/points", guards=[only(Role.COMPLIANCE, Role.AGENT, Role.SP)],
     responses=refusals(NotFound))  # fmt: skip
async def points(sp_id: UUID, read: Connection, actor: Actor, now: datetime) -> Balance:
    """Show what is left of an SP's points of this year."""
    if actor.kind is ActorKind.SP and actor.sp_id != sp_id:
        raise NotFound
    await partners.get(read, sp_id)
    return await actions.balance(read, sp_id, year=business_day(now).year, at=now)


router = Router(
    "/",
    route_handlers=[
        catalogue, propose, find, show, history, answer, decide, report_cure, retest, appeal,
        open_appeals, decide_appeal, points,
    ],
    tags=["penalties"],
)  # fmt: skip
