"""From findings to breaches: whoever reports, one finding is one breach until it is cured."""

from datetime import datetime
from uuid import UUID

from spms.catalogue import actions as catalogue
from spms.core import outbox, rulebook
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.outbox import OutboxItem
from spms.core.workdays import CalendarRules
from spms.inspections.model import TOPIC_JUDGED, TOPIC_SET_ASIDE, Verdict
from spms.inspections.proof import TOPIC_SLOW
from spms.penalties import appeal_queries, point_queries, remedies, remedy_queries
from spms.penalties.catalogue import terms
from spms.penalties.detectors import FROM_VERDICT
from spms.penalties.effect import add, end_interim, fall, interim_shield, locked, move, take_effect
from spms.penalties.model import (
    STANDING,
    Breach,
    BreachAction,
    BreachKind,
    BreachState,
    Finding,
    PenaltyRules,
    Source,
)
from spms.subscriptions.leaving_model import TOPIC_OVERDUE, DutyKind

WORDS = {
    BreachKind.HOTLINE_CHANGED: "the hotline was found changed without notice, and again on retest",
    BreachKind.HOTLINE_UNREACHABLE: "the hotline was not reached, nor on any retest",
}


async def report(tx: Connection, found: Finding, *, actor: Actor, now: datetime) -> Breach:
    """Serve the notice of a breach: the SP may speak, then a second person decides.

    For every room and person that finds something. The same finding of the same source, and one
    about the same subject that is not cured, is the same breach; who reported it is recorded. The
    services of the gravest are shielded meanwhile.
    """
    rules = await rulebook.section(tx, PenaltyRules, at=now)
    calendar = await rulebook.section(tx, CalendarRules, at=now)
    brings = terms(found.kind, rules)
    answer_by = calendar.days_later(now, rules.statement_working_days)
    breach = await add(
        tx, found, grade=brings.grade, points=brings.points, answer_by=answer_by, actor=actor,
        now=now,
    )  # fmt: skip
    if breach.state is BreachState.PROPOSED and breach.found_at == now:
        await interim_shield(tx, breach, rules, actor=actor, now=now)
    return breach


async def follow_inspections(tx: Connection, *, actor: Actor, now: datetime) -> int:
    """Turn verdicts of spot checks into breaches, which take effect at once; return how many.

    The verdict rests on retests already (design §5), so no person decides it before an appeal; of
    a slow month and of a dead mobile notice is served, and the SP may speak first. A
    line that a later check found good is cured; a finding that an objection set aside is quashed.
    """
    items = await outbox.take(tx, TOPIC_JUDGED, now=now)
    items += await outbox.take(tx, TOPIC_SLOW, now=now)
    count = 0
    for item in sorted(items, key=lambda item: item.payload["sp_id"]):  # SPs are locked in order
        follow = _slow if item.topic == TOPIC_SLOW else _follow
        count += await follow(tx, item, actor=actor, now=now)
    aside = await outbox.take(tx, TOPIC_SET_ASIDE, now=now)
    for item in aside:
        await _set_aside(tx, str(item.payload["item_id"]), actor=actor, now=now)
    await outbox.done(tx, [*items, *aside], now=now)
    return count


async def _follow(tx: Connection, item: OutboxItem, *, actor: Actor, now: datetime) -> int:
    verdict, sp_id = Verdict(item.payload["verdict"]), UUID(item.payload["sp_id"])
    hotline, item_id = item.payload["hotline"], item.payload["item_id"]
    if verdict is Verdict.REACHABLE:
        await remedies.found_good(tx, sp_id, hotline, UUID(item_id), actor=actor, now=now)
    kind = FROM_VERDICT.get(verdict)
    if verdict is Verdict.DEAD:
        return await _dead_mobile(tx, sp_id, item, actor=actor, now=now)
    if kind is None or item.payload.get("same_as"):  # nothing new: one finding, one breach
        return 0
    found = Finding(
        sp_id=sp_id, kind=kind, source=Source.INSPECTION, source_id=item_id, subject=hotline,
        service_ids=await catalogue.services_showing_hotline(tx, sp_id, hotline),
        statement=WORDS[kind],
    )  # fmt: skip
    await point_queries.lock_sp(tx, sp_id)
    brings = terms(kind, await rulebook.section(tx, PenaltyRules, at=now))
    breach = await add(tx, found, grade=brings.grade, points=brings.points, actor=actor, now=now)
    if breach.state is not BreachState.PROPOSED or breach.source_kind is not Source.INSPECTION:
        return 0
    await take_effect(tx, breach, decided_by=None, actor=actor, now=now)
    return 1


async def _dead_mobile(
    tx: Connection, sp_id: UUID, item: OutboxItem, *, actor: Actor, now: datetime
) -> int:
    """Serve notice of a responsible person's dead mobile; the number stands nowhere in it."""
    if item.payload.get("same_as"):
        return 0
    found = Finding(
        sp_id=sp_id, kind=BreachKind.CONTACT_UNREACHABLE, source=Source.INSPECTION,
        source_id=item.payload["item_id"], subject=item.payload["hotline"], service_ids=[],
        statement="the responsible person's mobile was found dead, and again on retest",
    )  # fmt: skip
    await report(tx, found, actor=actor, now=now)
    return 1


async def _slow(tx: Connection, item: OutboxItem, *, actor: Actor, now: datetime) -> int:
    """Serve notice of a month in which an SP's hotlines answered too slowly."""
    told = item.payload
    found = Finding(
        sp_id=UUID(told["sp_id"]), kind=BreachKind.HOTLINE_SLOW, source=Source.INSPECTION,
        source_id=f"{told['sp_id']}/{told['month']}", subject="time to answer", service_ids=[],
        statement=f"in the month of {told['month']} the hotlines answered {told['in_time']} of"
        f" {told['answered']} calls within {told['seconds']} s; {told['percent']} % are asked for",
    )  # fmt: skip
    await report(tx, found, actor=actor, now=now)
    return 1


async def _set_aside(tx: Connection, item_id: str, *, actor: Actor, now: datetime) -> None:
    for found in await remedy_queries.of_item(tx, item_id):
        breach = await locked(tx, found.id)
        words = "the SP's objection to the spot check was sustained"
        if breach.state is BreachState.PROPOSED:
            await move(tx, breach, BreachAction.DISMISS, actor=actor, now=now, reason=words)
            await end_interim(tx, breach, "dismissed", actor=actor, now=now)
            continue
        if breach.state not in STANDING:
            continue
        await appeal_queries.close_appeal(tx, breach.id, at=now, actor=actor.label, reason=words)
        await move(tx, breach, BreachAction.QUASH, actor=actor, now=now, reason=words)
        await fall(tx, breach, actor=actor, now=now)


async def follow_leavings(tx: Connection, *, actor: Actor, now: datetime) -> int:
    """Serve notice to SPs that did not take the news of a leaving within its clock; return how many.

    While one notice of it is not settled, every further clock of the SP is a report of the same.
    News that did not lie in its feed in time, and a confirmation that did not reach the person, are
    our own fault and no SP's: they stay in the list of clocks.
    """
    items = await outbox.take(tx, TOPIC_OVERDUE, now=now)
    count = 0
    for item in sorted(items, key=lambda item: item.payload["sp_id"]):  # SPs are locked in order
        told = item.payload
        if told["kind"] != DutyKind.SP_TOLD or not told["told_in_time"]:
            continue
        found = Finding(
            sp_id=UUID(told["sp_id"]), kind=BreachKind.LEAVING_OBSTRUCTED,
            source=Source.LEAVING_CLOCK, source_id=told["duty_id"], subject="news of leaving",
            statement=f"the end of relation {told['subscription_id']} was not taken by"
            f" {told['due_at']}, neither by webhook nor from the feed",
        )  # fmt: skip
        await report(tx, found, actor=actor, now=now)
        count += 1
    await outbox.done(tx, items, now=now)
    return count
