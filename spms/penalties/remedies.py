"""Cures: reported by the SP, shown by a retest, closed; or escalated when their date passes."""

from datetime import datetime, timedelta
from uuid import UUID

from spms.core import rulebook
from spms.core.access import Actor, ActorKind
from spms.core.clock import business_day
from spms.core.db import Connection
from spms.core.machine import advance
from spms.partners import actions as partners
from spms.penalties import fine_queries, point_queries, remedy_queries
from spms.penalties.catalogue import terms
from spms.penalties.effect import CAUSE, add, enforce, get, locked, take_effect
from spms.penalties.model import (
    Breach,
    BreachState,
    Finding,
    PenaltyRules,
    Remedy,
    RemedyAction,
    Source,
)
from spms.penalties.refusals import Decided, SamePerson
from spms.penalties.rules import REMEDIES, WORSE, escalation_points

BATCH = 200


async def _step(
    tx: Connection,
    breach: Breach,
    action: RemedyAction,
    *,
    actor: Actor,
    now: datetime,
    reason: str,
) -> None:
    after = advance(REMEDIES, breach.remedy or Remedy.VOID, action)
    if not await remedy_queries.move(tx, breach, after, at=now, actor=actor.label, reason=reason):
        raise Decided


async def report_cure(
    tx: Connection, breach_id: UUID, statement: str, *, actor: Actor, now: datetime
) -> Breach:
    """Let an SP say that a breach is cured; a retest will show. Raises `NotAllowed`."""
    breach = await locked(tx, breach_id)
    await _step(tx, breach, RemedyAction.REPORT, actor=actor, now=now, reason=statement)
    return await get(tx, breach_id)


async def retest(
    tx: Connection, breach_id: UUID, *, passed: bool, reason: str, actor: Actor, now: datetime
) -> Breach:
    """Record a retest: cured and closed; or not, which escalates once the cure date is over.

    Raises `NotAllowed` for a cure that is neither due nor reported, `SamePerson` for the SP.
    """
    breach = await locked(tx, breach_id)
    if actor.kind is ActorKind.SP:
        raise SamePerson
    if passed:
        return await _close(tx, breach, actor=actor, now=now, reason=reason)
    if breach.remedy is Remedy.REPORTED:
        await _step(tx, breach, RemedyAction.FAIL, actor=actor, now=now, reason=reason)
    else:
        advance(REMEDIES, breach.remedy or Remedy.VOID, RemedyAction.ESCALATE)
    breach = await get(tx, breach_id)
    over = breach.cure_by is not None and now >= breach.cure_by
    if over and breach.state is not BreachState.APPEALED:
        await _escalate(tx, breach, actor=actor, now=now)
    return await get(tx, breach_id)


async def _close(
    tx: Connection, breach: Breach, *, actor: Actor, now: datetime, reason: str
) -> Breach:
    """Close a breach as cured: what shielded its services goes, its points stay."""
    await _step(tx, breach, RemedyAction.CLOSE, actor=actor, now=now, reason=reason)
    await fine_queries.void_suspended(tx, breach.id, at=now)
    entry = await point_queries.points_of(tx, breach.id)
    if entry is not None:
        rules = await rulebook.section(tx, PenaltyRules, at=now)
        await enforce(tx, breach.sp_id, entry.year, rules, actor=actor, now=now)
    return await get(tx, breach.id)


async def found_good(
    tx: Connection, sp_id: UUID, hotline: str, item_id: UUID, *, actor: Actor, now: datetime
) -> None:
    """Close the breaches about a hotline that a later spot check has found good."""
    await point_queries.lock_sp(tx, sp_id)
    for breach in await remedy_queries.shown_good(tx, sp_id, hotline, item_id):
        words = f"spot check {item_id} found the line good"
        await _close(tx, breach, actor=actor, now=now, reason=words)


async def watch(tx: Connection, *, actor: Actor, now: datetime) -> int:
    """Escalate what should have been cured and of which nobody says so; return how many.

    Also lifts what breaches of earlier years brought that are cured. No cure is enforced while an
    appeal is open.
    """
    rules = await rulebook.section(tx, PenaltyRules, at=now)
    before = now - timedelta(hours=rules.cure_grace_hours)
    late = await remedy_queries.overdue(tx, before, BATCH)
    done = 0
    for breach_id in late:
        breach = await locked(tx, breach_id)
        if breach.remedy is Remedy.DUE and breach.state is not BreachState.APPEALED:
            await _escalate(tx, breach, actor=actor, now=now)
            done += 1
    for cause in await remedy_queries.over(tx, business_day(now).year, BATCH):
        await partners.lift(
            tx, cause_kind=CAUSE, cause_id=cause, reason="of an earlier year, and cured",
            actor=actor, now=now,
        )  # fmt: skip
    return done


async def _escalate(tx: Connection, breach: Breach, *, actor: Actor, now: datetime) -> None:
    """Put a breach of the next grade in the place of one that was not cured in time.

    It deducts what the higher grade does beyond the lower; a grave one is another grave one.
    """
    await _step(tx, breach, RemedyAction.ESCALATE, actor=actor, now=now, reason="not cured in time")
    await fine_queries.fall_due(tx, breach.id)
    rules = await rulebook.section(tx, PenaltyRules, at=now)
    before = terms(breach.kind, rules, grade=breach.grade)
    worse = terms(breach.kind, rules, grade=WORSE[breach.grade])
    found = Finding(
        sp_id=breach.sp_id, kind=breach.kind, source=Source.ESCALATION,
        source_id=str(breach.id), subject=breach.subject, service_ids=breach.service_ids,
        statement="not cured in time",
    )  # fmt: skip
    child = await add(
        tx, found, grade=worse.grade, points=escalation_points(before, worse),
        caused_by=breach.id, actor=actor, now=now,
    )  # fmt: skip
    if child.state is BreachState.PROPOSED:
        await take_effect(tx, child, decided_by=None, actor=actor, now=now)
