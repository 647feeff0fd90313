"""The verbs: from finding to breach, its decision, its appeal, and the measures that follow."""

from datetime import datetime
from uuid import UUID

from spms.catalogue import actions as catalogue
from spms.core import audit, outbox
from spms.core.access import Actor
from spms.core.clock import business_day
from spms.core.db import Connection
from spms.core.errors import Conflict, NotFound
from spms.core.ids import new_id
from spms.core.machine import advance
from spms.core.rulebook import section
from spms.inspections.model import TOPIC_JUDGED, Verdict
from spms.partners import actions as partners
from spms.penalties import queries
from spms.penalties.model import (
    Appeal,
    Balance,
    Breach,
    BreachAction,
    BreachKind,
    BreachState,
    NewBreach,
    PenaltyRules,
)
from spms.penalties.rules import TRANSITIONS, cause_of, consequences, working_days_later

FROM_VERDICT = {
    Verdict.NUMBER_CHANGED: BreachKind.HOTLINE_CHANGED,
    Verdict.UNREACHABLE: BreachKind.HOTLINE_UNREACHABLE,
}
WORDS = {
    BreachKind.HOTLINE_CHANGED: "the hotline was found changed without notice, and again on retest",
    BreachKind.HOTLINE_UNREACHABLE: "the hotline was not reached, nor on any retest",
}
CAUSE = "breach"


class SamePerson(Conflict):
    """Whoever proposed or decided it may not decide this."""

    code = "same_person"


class AppealTooLate(Conflict):
    """The time to appeal is over."""

    code = "appeal_too_late"


class Decided(Conflict):
    """This was decided already."""

    code = "already_decided"


async def get(read: Connection, breach_id: UUID) -> Breach:
    """Return a breach; raise `NotFound`."""
    breach = await queries.breach(read, breach_id)
    if breach is None:
        raise NotFound
    return breach


async def follow_inspections(tx: Connection, *, actor: Actor, now: datetime) -> int:
    """Turn verdicts of spot checks into breaches, which take effect at once; return how many.

    The verdict rests on retests already (design §5), so no person decides it before an appeal.
    """
    items = await outbox.take(tx, TOPIC_JUDGED, now=now)
    count = 0
    for item in sorted(items, key=lambda item: item.payload["sp_id"]):
        kind = FROM_VERDICT.get(Verdict(item.payload["verdict"]))
        if kind is None or item.payload.get("same_as"):  # nothing new: one finding, one breach
            continue
        sp_id, hotline = UUID(item.payload["sp_id"]), item.payload["hotline"]
        services = await catalogue.services_showing_hotline(tx, sp_id, hotline)
        breach = await _propose(
            tx, sp_id=sp_id, kind=kind, service_ids=services, source_kind="inspection",
            source_id=f"{sp_id}/{hotline}@{business_day(now)}", statement=WORDS[kind], actor=actor, now=now,
        )  # fmt: skip
        if breach.state is BreachState.PROPOSED:
            await _take_effect(tx, breach, decided_by=None, actor=actor, now=now)
            count += 1
    await outbox.done(tx, items, now=now)
    return count


async def propose(tx: Connection, data: NewBreach, *, actor: Actor, now: datetime) -> Breach:
    """Propose a breach on an officer's own motion; another officer decides it.

    The same finding (reference and kind) is the same breach and is returned again.
    """
    await partners.get(tx, data.sp_id)
    for service_id in data.service_ids:
        if (await catalogue.get(tx, service_id)).sp_id != data.sp_id:
            raise NotFound
    source = f"{data.sp_id}/{data.reference}"
    return await _propose(
        tx, sp_id=data.sp_id, kind=data.kind, service_ids=sorted(set(data.service_ids)),
        source_kind="officer", source_id=source, statement=data.statement, actor=actor, now=now,
    )  # fmt: skip


async def _propose(
    tx: Connection,
    *,
    sp_id: UUID,
    kind: BreachKind,
    service_ids: list[UUID],
    source_kind: str,
    source_id: str,
    statement: str,
    actor: Actor,
    now: datetime,
) -> Breach:
    rules = await section(tx, PenaltyRules, at=now)
    grade = rules.grades[kind]
    new = Breach(
        id=new_id(), sp_id=sp_id, kind=kind, grade=grade, points=rules.points[grade],
        service_ids=service_ids, source_kind=source_kind, source_id=source_id,
        statement=statement, state=BreachState.PROPOSED, found_at=now, proposed_by=actor.label,
    )  # fmt: skip
    await queries.add(tx, new)
    breach = await queries.breach_by_source(tx, source_kind, source_id, kind)
    if breach is None:
        raise NotFound
    return breach


async def decide(
    tx: Connection, breach_id: UUID, *, confirm: bool, reason: str, actor: Actor, now: datetime
) -> Breach:
    """Confirm or dismiss a proposed breach; raise `SamePerson` for its proposer."""
    breach = await _locked(tx, breach_id)
    if breach.proposed_by == actor.label:
        raise SamePerson
    if confirm:
        return await _take_effect(
            tx, breach, decided_by=actor.label, actor=actor, now=now, reason=reason
        )
    await _move(
        tx, breach, BreachAction.DISMISS, actor=actor, now=now, reason=reason,
        decided_by=actor.label,
    )  # fmt: skip
    return await get(tx, breach_id)


async def _take_effect(
    tx: Connection,
    breach: Breach,
    *,
    decided_by: str | None,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
) -> Breach:
    rules = await section(tx, PenaltyRules, at=now)
    await queries.lock_sp(tx, breach.sp_id)
    await _move(
        tx, breach, BreachAction.CONFIRM, actor=actor, now=now, reason=reason,
        decided_by=decided_by, appeal_by=working_days_later(now, rules.appeal_working_days),
    )  # fmt: skip
    year = business_day(now).year
    await queries.add_points(
        tx, new_id(), sp_id=breach.sp_id, year=year, points=breach.points, breach_id=breach.id,
        reverses=None, at=now,
    )  # fmt: skip
    await _enforce(tx, breach.sp_id, year, rules, actor=actor, now=now)
    return await get(tx, breach.id)


async def appeal(
    tx: Connection, breach_id: UUID, statement: str, *, actor: Actor, now: datetime
) -> Appeal:
    """Open an SP's appeal; the measures hold until it is decided.

    Raises `AppealTooLate`, or `NotAllowed` for a breach that is not in effect or has an appeal.
    """
    breach = await _locked(tx, breach_id)
    advance(TRANSITIONS, breach.state, BreachAction.APPEAL)
    if breach.appeal_by is not None and now >= breach.appeal_by:
        raise AppealTooLate
    new = Appeal(
        id=new_id(), breach_id=breach_id, statement=statement, opened_at=now,
        opened_by=actor.label,
    )  # fmt: skip
    if not await queries.add_appeal(tx, new):
        raise Decided
    await _move(tx, breach, BreachAction.APPEAL, actor=actor, now=now, reason=statement)
    return new


async def decide_appeal(
    tx: Connection, appeal_id: UUID, *, uphold: bool, reason: str, actor: Actor, now: datetime
) -> Appeal:
    """Uphold or quash a breach on appeal.

    Quashing gives its points back and lifts what only it brought. Raises `SamePerson` for whoever
    proposed or decided the breach, `Decided` for a second decision.
    """
    found = await queries.appeal(tx, appeal_id)
    if found is None:
        raise NotFound
    breach = await _locked(tx, found.breach_id)
    if actor.label in {breach.proposed_by, breach.decided_by, found.opened_by}:
        raise SamePerson
    decision = "upheld" if uphold else "quashed"
    if not await queries.decide_appeal(
        tx, appeal_id, decision, at=now, actor=actor.label, reason=reason
    ):
        raise Decided
    action = BreachAction.UPHOLD if uphold else BreachAction.QUASH
    await _move(tx, breach, action, actor=actor, now=now, reason=reason)
    if not uphold:
        await _give_back(tx, breach, actor=actor, now=now)
    await audit.note(
        tx, f"appeal {decision}", "breach", breach.id, actor=actor, now=now, reason=reason
    )
    return await queries.appeal(tx, appeal_id) or found


async def _give_back(tx: Connection, breach: Breach, *, actor: Actor, now: datetime) -> None:
    entry = await queries.points_of(tx, breach.id)
    if entry is None:
        return
    await queries.add_points(
        tx, new_id(), sp_id=breach.sp_id, year=entry.year, points=-entry.points,
        breach_id=breach.id, reverses=entry.id, at=now,
    )  # fmt: skip
    rules = await section(tx, PenaltyRules, at=now)
    await _enforce(tx, breach.sp_id, entry.year, rules, actor=actor, now=now)


async def _enforce(
    tx: Connection, sp_id: UUID, year: int, rules: PenaltyRules, *, actor: Actor, now: datetime
) -> None:
    """Make the measures in force those that the ladder gives for the breaches that stand.

    Only breaches of that year are looked at: what earlier years brought stays until it is lifted.
    """
    standing = await queries.standing(tx, sp_id, year)
    wanted = {
        (cause_of(c.breach_id, c.measure), c.service_id): c for c in consequences(standing, rules)
    }
    held = await queries.measures_in_force(tx, sp_id, now)
    for (cause, service_id), consequence in wanted.items():
        if (cause, service_id) not in held:
            await partners.restrict(
                tx, sp_id=sp_id, service_id=service_id, measure=consequence.measure,
                cause_kind=CAUSE, cause_id=cause, reason="the ladder of points", actor=actor,
                now=now,
            )  # fmt: skip
    earlier = {cause for cause, _ in held - set(wanted) if await _counts_in(tx, cause, year)}
    for cause in sorted(earlier):
        await partners.lift(
            tx, cause_kind=CAUSE, cause_id=cause, reason="the ladder no longer asks for it",
            actor=actor, now=now,
        )  # fmt: skip


async def _counts_in(tx: Connection, cause: str, year: int) -> bool:
    entry = await queries.points_of(tx, UUID(cause.partition("/")[0]))
    return entry is not None and entry.year == year


async def _locked(tx: Connection, breach_id: UUID) -> Breach:
    """Load a breach with its SP's balance held."""
    breach = await get(tx, breach_id)
    await queries.lock_sp(tx, breach.sp_id)
    return await get(tx, breach_id)


async def _move(
    tx: Connection,
    breach: Breach,
    action: BreachAction,
    *,
    actor: Actor,
    now: datetime,
    reason: str | None,
    decided_by: str | None = None,
    appeal_by: datetime | None = None,
) -> None:
    after = advance(TRANSITIONS, breach.state, action)
    if not await queries.move(
        tx, breach, action, after, at=now, actor=actor.label, reason=reason,
        decided_by=decided_by, appeal_by=appeal_by,
    ):  # fmt: skip
        raise Decided


async def balance(read: Connection, sp_id: UUID, *, year: int, at: datetime) -> Balance:
    """Return what is left of an SP's points of a year."""
    rules = await section(read, PenaltyRules, at=at)
    gone = await queries.deducted(read, sp_id, year)
    left = rules.yearly_points - gone
    return Balance(sp_id=sp_id, year=year, granted=rules.yearly_points, deducted=gone, left=left)
