"""The verbs of judgement: a verdict or the next call, findings and their cure, objections."""

from datetime import datetime, timedelta
from uuid import UUID

from spms.core import audit, outbox, rulebook
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import Conflict, NotFound
from spms.inspections import plan_queries, queries, verdict_queries
from spms.inspections.model import (
    TOPIC_JUDGED,
    TOPIC_SET_ASIDE,
    Greeting,
    ItemKind,
    NewObjection,
    Objection,
    Verdict,
    Why,
)
from spms.inspections.policy import InspectionRules
from spms.inspections.rules import due, person
from spms.inspections.verdict import Judgement, NextCall, decide, decide_person, speaks_against
from spms.inspections.verdict_queries import Found


class NothingToObjectTo(Conflict):
    """The verdict does not speak against the SP."""

    code = "nothing_to_object_to"


class ObjectedAlready(Conflict):
    """This verdict was objected to already."""

    code = "objected_already"


class ObjectionDecided(Conflict):
    """This objection was decided already."""

    code = "already_decided"


class DrewThePlan(Conflict):
    """Whoever drew the plan does not decide on objections to it."""

    code = "same_person"


async def judge(tx: Connection, item_id: UUID, *, withdrawn: bool = False, now: datetime) -> None:
    """Give an item its verdict, or make its next call due; by the rules in force at the draw.

    A hotline that is no longer in force, or was seen so (`withdrawn`), gets no finding against
    it; nor does one that the SP asked to give up before it was first called.
    """
    found = await verdict_queries.lock_item(tx, item_id, now)
    if found is None:
        return
    rules = await rulebook.section(tx, InspectionRules, at=found.drawn_at)
    made = await verdict_queries.attempts(tx, item_id)
    called = found.kind is ItemKind.RESPONSIBLE
    outcome = decide_person(made, rules) if called else decide(made, rules)
    gone = withdrawn or not found.in_force
    if gone and (isinstance(outcome, NextCall) or speaks_against(outcome.verdict)):
        outcome = Judgement(verdict=Verdict.INCONCLUSIVE, reason=Why.WITHDRAWN)
    if isinstance(outcome, Judgement):
        if found.given_up and speaks_against(outcome.verdict):
            outcome = Judgement(verdict=Verdict.INCONCLUSIVE, reason=Why.CHANGE_REQUESTED)
        await _settle(tx, found, outcome, rules, now=now)
        return
    hours = await rulebook.section(tx, InspectionRules, at=now)
    name = person(found.sp_id) if called else found.hotline
    at = due(found.seed, name, after=now + outcome.after, start=found.start, rules=hours)
    await queries.add_calls(tx, [item_id], [found.hotline], [at], attempt_no=len(made) + 1)


async def _settle(
    tx: Connection, found: Found, outcome: Judgement, rules: InspectionRules, *, now: datetime
) -> None:
    """Store the verdict, tell the rooms above, and finish the plan with its last item."""
    same_as = None
    if speaks_against(outcome.verdict):
        cure_by = now + timedelta(days=rules.cure_days)
        same_as = await verdict_queries.same_finding(tx, found, outcome.verdict, now, cure_by)
    elif outcome.verdict is Verdict.REACHABLE:
        await verdict_queries.cure(tx, found, now)
    if not await verdict_queries.judge(
        tx, found.id, outcome.verdict, outcome.reason, at=now, same_as=same_as
    ):
        return
    payload = {
        "item_id": str(found.id), "sp_id": str(found.sp_id), "hotline": found.kind.value if found.kind is ItemKind.RESPONSIBLE else found.hotline,
        "verdict": outcome.verdict.value, "same_as": same_as and str(same_as),
    }  # fmt: skip
    await outbox.put(tx, TOPIC_JUDGED, payload, now=now)
    await verdict_queries.finish(tx, found.plan_id, now)


async def object_to(
    tx: Connection, item_id: UUID, new: NewObjection, *, actor: Actor, now: datetime
) -> Objection:
    """Open an SP's objection to a verdict against it.

    Raises `NotFound` for another SP's item or one without a verdict, `NothingToObjectTo`,
    `ObjectedAlready`.
    """
    item = await plan_queries.item(tx, item_id)
    if item is None or item.verdict is None or item.sp_id != actor.sp_id:
        raise NotFound
    if not speaks_against(item.verdict):
        raise NothingToObjectTo
    if not await verdict_queries.add_objection(
        tx, item_id, item.sp_id, new, at=now, by=actor.label
    ):
        raise ObjectedAlready
    return await objection(tx, item_id)


async def objection(read: Connection, item_id: UUID) -> Objection:
    """Return the objection to an item; raise `NotFound`."""
    found = await verdict_queries.objection(read, item_id)
    if found is None:
        raise NotFound
    return found


async def decide_objection(
    tx: Connection, item_id: UUID, *, sustain: bool, reason: str, actor: Actor, now: datetime
) -> Objection:
    """Decide an objection; a sustained one sets the finding aside and tells the rooms above.

    Raises `NotFound`, `DrewThePlan`, `ObjectionDecided`.
    """
    await objection(tx, item_id)
    if await verdict_queries.drawn_by(tx, item_id) == actor.label:
        raise DrewThePlan
    if not await verdict_queries.decide_objection(
        tx, item_id, sustained=sustain, at=now, by=actor.label, reason=reason
    ):
        raise ObjectionDecided
    word = "sustained" if sustain else "overruled"
    await audit.note(
        tx, f"objection {word}", "inspection_item", item_id, actor=actor, now=now, reason=reason
    )
    if sustain and await verdict_queries.set_aside(tx, item_id, now):
        await outbox.put(tx, TOPIC_SET_ASIDE, {"item_id": str(item_id)}, now=now)
    return await objection(tx, item_id)


async def register_greeting(
    tx: Connection, greeting: Greeting, *, actor: Actor, now: datetime
) -> None:
    """Register the code that an SP's hotline plays when it answers; from now on it is compared.

    Raises `NotFound` for a number that is no hotline of the SP's in force.
    """
    if not await verdict_queries.add_greeting(
        tx, actor.sp_id, greeting.number, greeting.code, at=now, by=actor.label
    ):
        raise NotFound
