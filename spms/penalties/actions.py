"""The verbs of a decision: notice, statement, decision, appeal. Cures are in `remedies`."""

from datetime import datetime
from uuid import UUID

from spms.catalogue import actions as catalogue
from spms.core import audit, rulebook
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import new_id
from spms.core.machine import advance
from spms.core.workdays import CalendarRules
from spms.partners import actions as partners
from spms.penalties import appeal_queries, fine_queries, point_queries, queries
from spms.penalties.catalogue import CATALOGUE, terms
from spms.penalties.effect import (
    cure_date,
    end_interim,
    fall,
    get,
    give_back,
    locked,
    move,
    take_effect,
)
from spms.penalties.model import (
    Appeal,
    Balance,
    Breach,
    BreachAction,
    Finding,
    Grade,
    NewBreach,
    PenaltyRules,
    Remedy,
    Source,
)
from spms.penalties.queries import Change
from spms.penalties.refusals import (
    AnsweredAlready,
    AppealTooLate,
    Decided,
    NotHeard,
    NotMilder,
    SamePerson,
    WrongSource,
)
from spms.penalties.reporting import (
    follow_inspections,
    follow_leavings,
    report,
)
from spms.penalties.rules import TRANSITIONS, rank_of

__all__ = [
    "AnsweredAlready", "AppealTooLate", "Decided", "NotHeard", "NotMilder", "SamePerson",
    "WrongSource", "answer", "appeal", "balance", "decide", "decide_appeal", "follow_inspections",
    "follow_leavings", "get", "propose", "report",
]  # fmt: skip


async def propose(tx: Connection, data: NewBreach, *, actor: Actor, now: datetime) -> Breach:
    """Propose a breach on an officer's own motion, or what a complaint or audit found.

    Another officer decides it.

    The same finding (reference and kind, or one about the same subject that is not cured) is the
    same breach and is returned again. Raises `NotFound` for an SP or service that is none, and
    `WrongSource` for a source that does not report this kind.
    """
    await partners.get(tx, data.sp_id)
    for service_id in data.service_ids:
        if (await catalogue.get(tx, service_id)).sp_id != data.sp_id:
            raise NotFound
    source = Source(data.source.value)
    if source not in CATALOGUE[data.kind].causes:
        raise WrongSource
    found = Finding(
        sp_id=data.sp_id, kind=data.kind, source=source, subject=data.subject,
        source_id=f"{data.sp_id}/{data.reference}", service_ids=sorted(set(data.service_ids)),
        statement=data.statement,
    )  # fmt: skip
    return await report(tx, found, actor=actor, now=now)


async def answer(
    tx: Connection, breach_id: UUID, statement: str, *, actor: Actor, now: datetime
) -> Breach:
    """Take the SP's statement about a notice; raise `AnsweredAlready`, or `NotAllowed`."""
    breach = await locked(tx, breach_id)
    advance(TRANSITIONS, breach.state, BreachAction.CONFIRM)
    if not await queries.answer(tx, breach_id, at=now, actor=actor.label, statement=statement):
        raise AnsweredAlready
    return await get(tx, breach_id)


async def decide(
    tx: Connection, breach_id: UUID, *, confirm: bool, reason: str, actor: Actor, now: datetime
) -> Breach:
    """Confirm or dismiss a proposed breach.

    Raises `SamePerson` for its proposer and everybody who reported it too, `NotAllowed` when it is decided, and `NotHeard` for a
    confirmation before the SP spoke or its time to do so is over.
    """
    breach = await locked(tx, breach_id)
    advance(TRANSITIONS, breach.state, BreachAction.CONFIRM)
    if breach.proposed_by == actor.label or await queries.has_reported(tx, breach_id, actor.label):
        raise SamePerson
    if confirm:
        waits = breach.answered_at is None and breach.answer_by is not None
        if waits and breach.answer_by is not None and now < breach.answer_by:
            raise NotHeard
        return await take_effect(
            tx, breach, decided_by=actor.label, actor=actor, now=now, reason=reason
        )
    await move(
        tx, breach, BreachAction.DISMISS, actor=actor, now=now, reason=reason,
        change=Change(decided_by=actor.label),
    )  # fmt: skip
    await end_interim(tx, breach, "dismissed", actor=actor, now=now)
    return await get(tx, breach_id)


async def appeal(
    tx: Connection, breach_id: UUID, statement: str, *, actor: Actor, now: datetime
) -> Appeal:
    """Open an SP's appeal; the measures hold until it is decided, and nothing is collected.

    Raises `AppealTooLate`, or `NotAllowed` for a breach that is not in effect or has an appeal.
    """
    breach = await locked(tx, breach_id)
    advance(TRANSITIONS, breach.state, BreachAction.APPEAL)
    late = breach.appeal_by is not None and now >= breach.appeal_by
    if late or breach.final_at is not None:
        raise AppealTooLate
    new = Appeal(
        id=new_id(), breach_id=breach_id, statement=statement, opened_at=now,
        opened_by=actor.label,
    )  # fmt: skip
    if not await appeal_queries.add_appeal(tx, new):
        raise Decided
    try:
        await move(tx, breach, BreachAction.APPEAL, actor=actor, now=now, reason=statement)
    except Decided as error:  # it became final a moment ago
        raise AppealTooLate from error
    return new


async def decide_appeal(
    tx: Connection,
    appeal_id: UUID,
    *,
    uphold: bool,
    vary_to: Grade | None = None,
    reason: str,
    actor: Actor,
    now: datetime,
) -> Appeal:
    """Uphold, vary (uphold at a lower grade) or quash a breach on appeal.

    Quashing gives back everything that it brought. Raises `SamePerson` for whoever proposed,
    reported or decided the breach, `Decided` for a second decision, `NotMilder`.
    """
    found = await appeal_queries.appeal(tx, appeal_id)
    if found is None:
        raise NotFound
    breach = await locked(tx, found.breach_id)
    known = actor.label in {breach.proposed_by, breach.decided_by, found.opened_by}
    if known or await queries.has_reported(tx, breach.id, actor.label):
        raise SamePerson
    grades = list(Grade)
    if vary_to and not (uphold and grades.index(vary_to) < grades.index(breach.grade)):
        raise NotMilder
    decision = "varied" if vary_to else "upheld" if uphold else "quashed"
    if not await appeal_queries.decide_appeal(
        tx, appeal_id, decision, at=now, actor=actor.label, reason=reason
    ):
        raise Decided
    if uphold:
        await _stand(tx, breach, vary_to, actor=actor, now=now, reason=reason)
    else:
        await move(tx, breach, BreachAction.QUASH, actor=actor, now=now, reason=reason)
        await fall(tx, breach, actor=actor, now=now)
    await audit.note(
        tx, f"appeal {decision}", "breach", breach.id, actor=actor, now=now, reason=reason
    )
    return await appeal_queries.appeal(tx, appeal_id) or found


async def _stand(
    tx: Connection, breach: Breach, grade: Grade | None, *, actor: Actor, now: datetime, reason: str
) -> None:
    """Make a breach final, perhaps at a lower grade; its cure date counts from the decision."""
    rules = await rulebook.section(tx, PenaltyRules, at=now)
    calendar = await rulebook.section(tx, CalendarRules, at=now)
    brings = terms(breach.kind, rules, grade=grade or breach.grade)
    points = min(brings.points, breach.points) if grade else breach.points
    change = Change(
        final_at=now, grade=grade, points=points,
        cure_by=cure_date(now, brings.cure_working_days, calendar)
        if breach.remedy in {Remedy.DUE, Remedy.REPORTED} else None,
    )  # fmt: skip
    action = BreachAction.VARY if grade else BreachAction.UPHOLD
    words = reason if grade is None else f"from {breach.grade} to {grade}: {reason}"
    await move(tx, breach, action, actor=actor, now=now, reason=words, change=change)
    if grade is None:
        return
    if brings.fine_fen:
        suspended = brings.suspended and breach.remedy in {Remedy.DUE, Remedy.REPORTED}
        await fine_queries.set_amount(tx, breach.id, brings.fine_fen, suspended=suspended)
    else:
        await fine_queries.end(tx, breach.id, "void", at=now)
    await give_back(tx, breach, breach.points - points, actor=actor, now=now)


async def balance(read: Connection, sp_id: UUID, *, year: int, at: datetime) -> Balance:
    """Return what is left of an SP's points of a year, and what it may apply for with them."""
    rules = await rulebook.section(read, PenaltyRules, at=at)
    gone = await point_queries.deducted(read, sp_id, year)
    left = rules.yearly_points - gone
    return Balance(
        sp_id=sp_id, year=year, granted=rules.yearly_points, deducted=gone, left=left,
        rank=rank_of(left, rules),
    )  # fmt: skip
