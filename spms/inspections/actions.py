"""The verbs: draw a plan, take calls, record what they came to."""

import secrets
from datetime import date, datetime
from uuid import UUID

import msgspec

from spms.core import audit, rulebook
from spms.core.access import Actor
from spms.core.clock import business_day, start_of_day
from spms.core.db import Connection
from spms.core.errors import Conflict, NotFound
from spms.core.ids import new_id
from spms.inspections import evidence, judging, plan_queries, queries
from spms.inspections.model import (
    Candidate,
    HotlineCall,
    Item,
    LineIn,
    Placing,
    Plan,
    PlanDocument,
    Start,
)
from spms.inspections.policy import InspectionRules
from spms.inspections.rules import draw, hours_of, may_call, next_opening, write_document
from spms.inspections.sip import CallResult
from spms.partners import actions as partners

SEED_BYTES = 16


class NothingToInspect(Conflict):
    """No SP has a hotline in force that can be drawn."""

    code = "nothing_to_inspect"


class DrawnAlready(Conflict):
    """The day has its plan already."""

    code = "drawn_already"


class NotFinished(Conflict):
    """The plan is not finished: until then it is told to nobody."""

    code = "plan_not_finished"


async def draw_plan(
    tx: Connection,
    *,
    seed: str | None,
    actor: Actor,
    now: datetime,
    start: Start = Start.SPREAD,
) -> Plan:
    """Draw a plan among the hotlines in force of all active SPs; raise `NothingToInspect`.

    The seed given, if any, gets 128 random bits after it: nobody draws whom he wants. Hashes of
    seed and document are stored and shown at once, themselves when all items are judged.
    """
    candidates = await _in_force(tx, now)
    rules = await rulebook.section(tx, InspectionRules, at=now)
    plan_id = await _draw(
        tx, candidates, [], percent=rules.plan_sample_percent, seed=seed, day=None, start=start,
        actor=actor, now=now,
    )  # fmt: skip
    return await plan(tx, plan_id)


async def draw_daily(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Draw the plan of the business day, unless it is drawn; say what came of it.

    Lines that are under inspection, or were found bad and have time left to cure it, are left out.
    """
    in_force = await _in_force(tx, now)
    busy = set(await plan_queries.busy_lines(tx, now))
    left_out = [line for line in in_force if line in busy]
    rules = await rulebook.section(tx, InspectionRules, at=now)
    try:
        plan_id = await _draw(
            tx, [line for line in in_force if line not in busy], left_out,
            percent=rules.daily_sample_percent, seed=None, day=business_day(now),
            start=Start.SPREAD, actor=actor, now=now,
        )  # fmt: skip
    except NothingToInspect:
        return "no hotline to draw"
    except DrawnAlready:
        return "drawn already"
    return f"{(await plan(tx, plan_id)).items_total} hotlines drawn"


async def _in_force(read: Connection, at: datetime) -> list[Candidate]:
    found = await partners.active_hotlines(read, at=at)
    return [Candidate(sp_id=line.sp_id, number=line.number) for line in found]


async def _draw(
    tx: Connection,
    candidates: list[Candidate],
    left_out: list[Candidate],
    *,
    percent: int,
    seed: str | None,
    day: date | None,
    start: Start,
    actor: Actor,
    now: datetime,
) -> UUID:
    if not candidates:
        raise NothingToInspect
    rules = await rulebook.section(tx, InspectionRules, at=now)
    lot = "".join(filter(None, (seed, seed and ".", secrets.token_hex(SEED_BYTES))))
    drawn = draw(candidates, seed=lot, percent=percent, rules=rules, start=start, now=now)
    document = PlanDocument(
        plan_id=new_id(), drawn_at=now, seed=lot, start=start, percent=percent, rules=rules,
        candidates=candidates, left_out=left_out, items=drawn,
    )  # fmt: skip
    if not await plan_queries.add_plan(
        tx, document, day=day, drawn_by=actor.label, document=write_document(document),
        rulebook_version=await rulebook.version_at(tx, now),
    ):  # fmt: skip
        raise DrawnAlready
    items = [new_id() for _ in drawn]
    await plan_queries.add_items(tx, document.plan_id, items, drawn)
    numbers, due = [line.number for line in drawn], [line.due_at for line in drawn]
    await queries.add_calls(tx, items, numbers, due, attempt_no=1)
    await audit.note(
        tx, "inspection drawn", "inspection_plan", document.plan_id, actor=actor, now=now
    )
    return document.plan_id


async def plan(read: Connection, plan_id: UUID) -> Plan:
    """Return a plan; raise `NotFound`."""
    found = await plan_queries.plan(read, plan_id)
    if found is None:
        raise NotFound
    return found


async def document(read: Connection, plan_id: UUID) -> str:
    """Return the text of a finished plan, as it was committed to; raise `NotFound`, `NotFinished`."""
    found = await plan_queries.document(read, plan_id)
    if found is None:
        raise NotFound
    text, finished = found
    if not finished:
        raise NotFinished
    return text


async def item(read: Connection, item_id: UUID) -> Item:
    """Return an item with its calls; raise `NotFound`."""
    found = await plan_queries.item(read, item_id)
    if found is None:
        raise NotFound
    return found


async def take_due_calls(
    tx: Connection, *, callers: list[str], limit: int, lease_seconds: float, now: datetime
) -> list[Placing]:
    """Take calls that are due; the caller commits before it places them, and places each once.

    Outside the permitted hours nothing is taken and what is due waits for the next opening; so
    does a call to a number that was called often enough on this day. May raise asyncpg's
    `UniqueViolationError` when another worker took a call to the same number: try again.
    """
    rules = await rulebook.section(tx, InspectionRules, at=now)
    if not may_call(now, rules):
        await queries.postpone(tx, now, next_opening(now, rules))
        return []
    await queries.postpone_called_often(
        tx, now, since=start_of_day(business_day(now)), until=next_opening(now, rules),
        most=rules.calls_per_day,
    )  # fmt: skip
    opens, closes = hours_of(business_day(now), rules)
    taken = await queries.take(tx, now, callers=callers, limit=limit, lease_seconds=lease_seconds)
    return [
        msgspec.structs.replace(call, ring_seconds=rules.rings, opens_at=opens, closes_at=closes)
        for call in taken
    ]


async def record_call(tx: Connection, call: Placing, result: CallResult, *, now: datetime) -> None:
    """Store what a call came to and judge its item; nothing when it was given up meanwhile."""
    found = await queries.record(tx, call, result)
    if found is not None:
        await _seal(tx, call.item_id, call.number, found)
        await judging.judge(tx, call.item_id, now=now)


async def record_unknown(tx: Connection, call: Placing, *, now: datetime) -> None:
    """End a call of which nothing is known; it is never placed again as the same attempt."""
    found = await queries.mark_unknown(tx, call, now)
    if found is not None:
        await _seal(tx, call.item_id, call.number, found)
        await judging.judge(tx, call.item_id, now=now)


async def give_up_lost(tx: Connection, *, now: datetime) -> int:
    """End a call whose worker died in the middle, if any; its item gets another. Ask until 0."""
    lost = await queries.give_up_lost(tx, now)
    for cut in lost:
        found = await queries.call(tx, cut.item_id, cut.attempt_no)
        if found is not None:
            await _seal(tx, cut.item_id, cut.number, found)
        await judging.judge(tx, cut.item_id, now=now)
    return len(lost)


async def drop_withdrawn(tx: Connection, *, now: datetime) -> int:
    """End an item whose hotline is out of force, when its next call comes due. Ask until 0."""
    dropped = await queries.drop_withdrawn(tx, now)
    for cut in dropped:
        await judging.judge(tx, cut.item_id, withdrawn=True, now=now)
    return len(dropped)


async def _seal(tx: Connection, item_id: UUID, number: str, call: HotlineCall) -> None:
    """Link a call to the one before it of the same number; that one is over and committed."""
    last = await queries.last_evidence(tx, number)
    await queries.add_evidence(tx, evidence.seal(last, item_id, number, call))


async def put_line(tx: Connection, line: LineIn, *, actor: Actor, now: datetime) -> None:
    """Set how a hotline of the sandbox behaves from its next call on."""
    await queries.put_line(tx, line, now)
    await audit.note(
        tx, "sandbox line set", "sandbox_line", line.number, actor=actor, now=now,
        detail={"behaviour": line.behaviour.value},
    )  # fmt: skip
