"""The verbs: draw a plan, take calls, record what they came to, judge."""

import secrets
from datetime import date, datetime
from uuid import UUID

from spms.core import audit, outbox, rulebook
from spms.core.access import Actor
from spms.core.clock import business_day, start_of_day
from spms.core.db import Connection
from spms.core.errors import Conflict, NotFound
from spms.core.ids import new_id
from spms.inspections import queries
from spms.inspections.model import (
    TOPIC_JUDGED,
    InspectionRules,
    Item,
    LineIn,
    Placing,
    Plan,
    Start,
    Verdict,
    Why,
)
from spms.inspections.queries import Cut, Found
from spms.inspections.rules import commitment, draw, earliest, may_call, next_opening
from spms.inspections.sip import CallResult
from spms.inspections.verdict import Judgement, NextCall, decide, speaks_against
from spms.partners import actions as partners

SEED_BYTES = 16


class NothingToInspect(Conflict):
    """No SP has a hotline in force."""

    code = "nothing_to_inspect"


async def draw_plan(
    tx: Connection,
    *,
    seed: str | None,
    actor: Actor,
    now: datetime,
    start: Start = Start.SPREAD,
) -> Plan:
    """Draw a plan among the hotlines in force of all active SPs; raise `NothingToInspect`.

    Without a seed a random one is taken. The hash of the seed is stored and shown at once, the
    seed itself is shown when all items are judged.
    """
    plan_id = await _draw(tx, seed=seed, day=None, start=start, actor=actor, now=now)
    return await plan(tx, plan_id)


async def draw_daily(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Draw the plan of the business day, unless it is drawn; say what came of it."""
    day = business_day(now)
    try:
        plan_id = await _draw(tx, seed=None, day=day, start=Start.SPREAD, actor=actor, now=now)
    except NothingToInspect:
        return "no hotline in force"
    except DrawnAlready:
        return "drawn already"
    return f"{(await plan(tx, plan_id)).items_total} hotlines drawn"


class DrawnAlready(Conflict):
    """The day has its plan already."""

    code = "drawn_already"


async def _draw(
    tx: Connection,
    *,
    seed: str | None,
    day: date | None,
    start: Start,
    actor: Actor,
    now: datetime,
) -> UUID:
    rules = await rulebook.section(tx, InspectionRules, at=now)
    candidates = await partners.active_hotlines(tx, at=now)
    if not candidates:
        raise NothingToInspect
    lot = seed or secrets.token_hex(SEED_BYTES)
    plan_id = new_id()
    if not await queries.add_plan(
        tx, plan_id, day=day, drawn_at=now, drawn_by=actor.label, seed=(lot, commitment(lot)),
        candidates=len(candidates), rulebook_version=await rulebook.version_at(tx, now),
    ):  # fmt: skip
        raise DrawnAlready
    drawn = draw(
        sorted(candidates, key=lambda hotline: (hotline.sp_id, hotline.number)),
        seed=lot, rules=rules, start=start, now=now,
    )  # fmt: skip
    items = [new_id() for _ in drawn]
    numbers = [hotline.number for hotline, _ in drawn]
    await queries.add_items(tx, plan_id, items, [hotline.sp_id for hotline, _ in drawn], numbers)
    await queries.add_calls(tx, items, numbers, [due for _, due in drawn], attempt_no=1)
    await audit.note(tx, "inspection drawn", "inspection_plan", plan_id, actor=actor, now=now)
    return plan_id


async def plan(read: Connection, plan_id: UUID) -> Plan:
    """Return a plan; raise `NotFound`."""
    found = await queries.plan(read, plan_id)
    if found is None:
        raise NotFound
    return found


async def item(read: Connection, item_id: UUID) -> Item:
    """Return an item with its calls; raise `NotFound`."""
    found = await queries.item(read, item_id)
    if found is None:
        raise NotFound
    return found


async def take_due_calls(
    tx: Connection, *, caller: str, limit: int, now: datetime
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
    return await queries.take(tx, now, caller, limit)


async def record_call(tx: Connection, call: Placing, result: CallResult, *, now: datetime) -> None:
    """Store what a call came to and judge its item; nothing when it was given up meanwhile."""
    if await queries.record(tx, call, result):
        await judge(tx, call.item_id, now=now)


async def record_unknown(tx: Connection, call: Placing, *, now: datetime) -> None:
    """End a call of which nothing is known; it is never placed again as the same attempt."""
    if await queries.mark_unknown(tx, call, now):
        await judge(tx, call.item_id, now=now)


async def give_up_lost(tx: Connection, *, now: datetime) -> int:
    """End calls whose worker died in the middle; their items get another call."""
    lost = await queries.give_up_lost(tx, now)
    for item_id in _in_order_of_locks(lost):
        await judge(tx, item_id, now=now)
    return len(lost)


async def drop_withdrawn(tx: Connection, *, now: datetime) -> int:
    """End items whose hotline is no longer in force, when their next call comes due."""
    dropped = await queries.drop_withdrawn(tx, now)
    for item_id in _in_order_of_locks(dropped):
        await judge(tx, item_id, withdrawn=True, now=now)
    return len(dropped)


def _in_order_of_locks(cuts: list[Cut]) -> list[UUID]:
    """Order items so that transactions which judge several take the plans in one order."""
    return [cut.item_id for cut in sorted(cuts, key=lambda cut: (cut.plan_id, cut.item_id))]


async def judge(tx: Connection, item_id: UUID, *, withdrawn: bool = False, now: datetime) -> None:
    """Give an item its verdict, or make its next call due; by the rules in force at the draw.

    A hotline that is no longer in force, or was seen so (`withdrawn`), gets no finding against it.
    """
    found = await queries.lock_item(tx, item_id, now)
    if found is None:
        return
    rules = await rulebook.section(tx, InspectionRules, at=found.drawn_at)
    made = await queries.attempts(tx, item_id)
    outcome = decide(made, rules)
    gone = withdrawn or not found.in_force
    if gone and (isinstance(outcome, NextCall) or speaks_against(outcome.verdict)):
        outcome = Judgement(verdict=Verdict.INCONCLUSIVE, reason=Why.WITHDRAWN)
    if isinstance(outcome, Judgement):
        await _settle(tx, found, outcome, now=now)
        return
    hours = await rulebook.section(tx, InspectionRules, at=now)
    due = earliest(now + outcome.after, hours)
    await queries.add_calls(tx, [item_id], [found.hotline], [due], attempt_no=len(made) + 1)


async def _settle(tx: Connection, found: Found, outcome: Judgement, *, now: datetime) -> None:
    """Store the verdict, tell the rooms above, and finish the plan with its last item."""
    if not await queries.judge(tx, found.id, outcome.verdict, outcome.reason, now):
        return
    payload = {
        "item_id": str(found.id), "sp_id": str(found.sp_id), "hotline": found.hotline,
        "verdict": outcome.verdict.value,
    }  # fmt: skip
    await outbox.put(tx, TOPIC_JUDGED, payload, now=now)
    await queries.finish(tx, found.plan_id, now)


async def put_line(tx: Connection, line: LineIn, *, actor: Actor, now: datetime) -> None:
    """Set how a hotline of the sandbox behaves from its next call on."""
    await queries.put_line(tx, line, now)
    await audit.note(
        tx, "sandbox line set", "sandbox_line", line.number, actor=actor, now=now,
        detail={"behaviour": line.behaviour.value},
    )  # fmt: skip
