"""What a breach brings when it takes effect, and how all of it goes when it falls.

Everything here runs with the SP's balance held (`locked`), so that the ladder of one SP is worked
out once at a time.
"""

from datetime import datetime, timedelta
from uuid import UUID

from spms.compensation import journal
from spms.core import rulebook
from spms.core.access import Actor
from spms.core.clock import business_day, start_of_day
from spms.core.db import Connection
from spms.core.errors import NotFound, Unavailable
from spms.core.ids import derived_id, new_id
from spms.core.machine import advance
from spms.core.workdays import CalendarRules
from spms.partners import actions as partners
from spms.partners import bad_credit
from spms.partners.model import Measure
from spms.penalties import fine_queries, point_queries, queries, remedy_queries
from spms.penalties.catalogue import CATALOGUE, terms
from spms.penalties.model import (
    STANDING,
    Breach,
    BreachAction,
    BreachState,
    Finding,
    Grade,
    PenaltyRules,
    Remedy,
    Source,
)
from spms.penalties.queries import Change
from spms.penalties.refusals import Decided
from spms.penalties.rules import REMEDIES, TRANSITIONS, cause_of, consequences

CAUSE = "breach"
INTERIM = "interim"
TRIES = 3
GRADES = list(Grade)


async def get(read: Connection, breach_id: UUID) -> Breach:
    """Return a breach; raise `NotFound`."""
    breach = await queries.breach(read, breach_id)
    if breach is None:
        raise NotFound
    return breach


async def locked(tx: Connection, breach_id: UUID) -> Breach:
    """Load a breach with its SP's balance held; raise `NotFound`."""
    breach = await get(tx, breach_id)
    await point_queries.lock_sp(tx, breach.sp_id)
    return await get(tx, breach_id)


async def move(
    tx: Connection,
    breach: Breach,
    action: BreachAction,
    *,
    actor: Actor,
    now: datetime,
    reason: str | None,
    change: Change | None = None,
) -> None:
    """Take one step of the decision; raise `NotAllowed`, or `Decided` when another was quicker."""
    after = advance(TRANSITIONS, breach.state, action)
    if not await queries.move(
        tx, breach, action, after, at=now, actor=actor.label, reason=reason,
        change=change or Change(),
    ):  # fmt: skip
        raise Decided


async def take_effect(
    tx: Connection,
    breach: Breach,
    *,
    decided_by: str | None,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
) -> Breach:
    """Let a proposed breach count: points, cure date, fine, measures; return it as it is then."""
    rules = await rulebook.section(tx, PenaltyRules, at=now)
    calendar = await rulebook.section(tx, CalendarRules, at=now)
    await point_queries.lock_sp(tx, breach.sp_id)
    brings = terms(breach.kind, rules, grade=breach.grade)
    change = Change(
        decided_by=decided_by,
        appeal_by=calendar.days_later(now, rules.appeal_working_days),
        cure_by=cure_date(now, brings.cure_working_days, calendar),
        remedy=Remedy.VOID if breach.source_kind is Source.LINKAGE else Remedy.DUE,
    )
    await move(tx, breach, BreachAction.CONFIRM, actor=actor, now=now, reason=reason, change=change)
    year = business_day(now).year
    await point_queries.add_points(
        tx, new_id(), sp_id=breach.sp_id, year=year, points=breach.points, breach_id=breach.id,
        reverses=None, at=now,
    )  # fmt: skip
    if brings.fine_fen and breach.source_kind is not Source.LINKAGE:
        await fine_queries.impose(
            tx, breach.id, breach.sp_id, brings.fine_fen, suspended=brings.suspended, at=now
        )
    await enforce(tx, breach.sp_id, year, rules, actor=actor, now=now)
    await end_interim(tx, breach, "decided", actor=actor, now=now)
    await _carry_over(tx, breach, rules, actor=actor, now=now)
    return await get(tx, breach.id)


def cure_date(now: datetime, working_days: int, calendar: CalendarRules) -> datetime:
    """Return by when a breach must be cured; nought days is at once."""
    return calendar.days_later(now, working_days) if working_days else now


async def interim_shield(
    tx: Connection, breach: Breach, rules: PenaltyRules, *, actor: Actor, now: datetime
) -> None:
    """Shield the services of the gravest from the notice on, for a limited time."""
    if not CATALOGUE[breach.kind].interim:
        return
    calendar = await rulebook.section(tx, CalendarRules, at=now)
    for service_id in breach.service_ids:
        await partners.restrict(
            tx, sp_id=breach.sp_id, service_id=service_id, measure=Measure.SHIELDED,
            cause_kind=CAUSE, cause_id=f"{breach.id}/{INTERIM}", reason="until it is decided",
            ends_at=calendar.days_later(now, rules.interim_working_days), actor=actor, now=now,
        )  # fmt: skip


async def end_interim(
    tx: Connection, breach: Breach, reason: str, *, actor: Actor, now: datetime
) -> None:
    """End the interim shield: what holds from here on is the ladder's."""
    await partners.lift(
        tx, cause_kind=CAUSE, cause_id=f"{breach.id}/{INTERIM}", reason=reason, actor=actor, now=now
    )


async def _carry_over(
    tx: Connection, breach: Breach, rules: PenaltyRules, *, actor: Actor, now: datetime
) -> None:
    """联动: let the company's other provinces lose the same points, where the rulebook says so."""
    least = rules.linkage_from
    if least is None or breach.source_kind is Source.LINKAGE:
        return
    if GRADES.index(breach.grade) < GRADES.index(least):
        return
    for sp_id in await bad_credit.linked(tx, breach.sp_id):
        found = Finding(
            sp_id=sp_id, kind=breach.kind, source=Source.LINKAGE,
            source_id=f"{breach.id}/{sp_id}", statement=breach.statement,
        )  # fmt: skip
        carried = await add(
            tx, found, grade=breach.grade, points=breach.points, caused_by=breach.id, actor=actor,
            now=now,
        )  # fmt: skip
        await take_effect(tx, carried, decided_by=None, actor=actor, now=now)


async def add(
    tx: Connection,
    found: Finding,
    *,
    grade: Grade,
    points: int,
    caused_by: UUID | None = None,
    answer_by: datetime | None = None,
    actor: Actor,
    now: datetime,
) -> Breach:
    """Store a finding as a breach, or return the one it is; whoever reports it is recorded."""
    new = Breach(
        id=new_id(), sp_id=found.sp_id, kind=found.kind, grade=grade, points=points,
        service_ids=found.service_ids, source_kind=found.source, source_id=found.source_id,
        subject=found.subject, statement=found.statement, state=BreachState.PROPOSED,
        found_at=now, proposed_by=actor.label, caused_by=caused_by, answer_by=answer_by,
    )  # fmt: skip
    breach = None
    for _ in range(TRIES):
        await queries.add(tx, new)
        breach = await queries.of_finding(tx, found)
        if breach is not None:  # None: it was closed between the two statements
            break
    if breach is None:
        raise Unavailable("this breach is just changing", headers={"Retry-After": "1"})
    await queries.add_report(tx, found, breach.id, at=now, actor=actor.label)
    return breach


async def fall(tx: Connection, breach: Breach, *, actor: Actor, now: datetime) -> None:
    """Give back what a quashed breach brought, and quash what followed from it."""
    await give_back(tx, breach, None, actor=actor, now=now)
    await fine_queries.end(tx, breach.id, "void", at=now)
    if await fine_queries.is_booked(tx, breach.id):
        chain = journal.sp_chain(breach.sp_id)
        await journal.reverse(tx, chain, derived_id("fine", breach.id), actor=actor, now=now)
    await partners.lift(
        tx, cause_kind=CAUSE, cause_id=cause_of(breach.id, Measure.SETTLEMENT_CUT),
        reason="quashed", actor=actor, now=now,
    )  # fmt: skip
    if breach.remedy in {remedy for remedy, _ in REMEDIES}:
        await remedy_queries.move(
            tx, breach, Remedy.VOID, at=now, actor=actor.label, reason="quashed"
        )
    for child in await queries.caused_by(tx, breach.id):
        if child.state in STANDING:
            held = await locked(tx, child.id)
            await move(
                tx, held, BreachAction.QUASH, actor=actor, now=now,
                reason="what it followed from was quashed",
            )  # fmt: skip
            await fall(tx, held, actor=actor, now=now)


async def give_back(
    tx: Connection, breach: Breach, points: int | None, *, actor: Actor, now: datetime
) -> None:
    """Give points back (null: all) by a reversing entry, and work out that year's ladder anew."""
    entry = await point_queries.points_of(tx, breach.id)
    if entry is None:
        return
    back = entry.points if points is None else points
    if back:
        await point_queries.add_points(
            tx, new_id(), sp_id=breach.sp_id, year=entry.year, points=-back,
            breach_id=breach.id, reverses=entry.id, at=now,
        )  # fmt: skip
    rules = await rulebook.section(tx, PenaltyRules, at=now)
    await enforce(tx, breach.sp_id, entry.year, rules, actor=actor, now=now)


async def enforce(
    tx: Connection, sp_id: UUID, year: int, rules: PenaltyRules, *, actor: Actor, now: datetime
) -> None:
    """Make the measures in force those that the ladder gives for the breaches that stand.

    Only breaches of that year are looked at: what earlier years brought stays until it is lifted.
    """
    standing = await queries.standing(tx, sp_id, year)
    wanted = {
        (cause_of(c.breach_id, c.measure), c.service_id): c for c in consequences(standing, rules)
    }
    held = await point_queries.measures_in_force(tx, sp_id, year, now)
    for (cause, service_id), consequence in wanted.items():
        if (cause, service_id) not in held:
            await partners.restrict(
                tx, sp_id=sp_id, service_id=service_id, measure=consequence.measure,
                cause_kind=CAUSE, cause_id=cause, reason="the ladder of points", actor=actor,
                now=now,
            )  # fmt: skip
        if consequence.measure is Measure.OFFLINE:
            await bad_credit.list_bad_credit(
                tx, sp_id, cause=(CAUSE, cause), reason="no points left",
                until=years_later(now, rules.bad_credit_years), actor=actor, now=now,
            )  # fmt: skip
    for cause in sorted({cause for cause, _ in held - set(wanted)}):
        words = "the ladder no longer asks for it"
        await partners.lift(
            tx, cause_kind=CAUSE, cause_id=cause, reason=words, actor=actor, now=now
        )
        await bad_credit.delist(tx, cause=(CAUSE, cause), reason=words, actor=actor, now=now)


def years_later(at: datetime, years: int) -> datetime:
    """Return the end of the same business day so many years on; of 29 February, the 28th's."""
    day = business_day(at)
    try:
        then = day.replace(year=day.year + years)
    except ValueError:
        then = day.replace(year=day.year + years, day=28)
    return start_of_day(then + timedelta(days=1))
