"""Claims that the evidence here cannot decide: pay once, ask the SP, then pay again or not.

Source: first refund, then verify (先退费后查证, reference domain §1.7 F3); an SP that is silent for
its time has accepted (rulebook). What was paid is never taken back: nothing here can.
"""

from datetime import datetime, timedelta
from uuid import UUID

from spms.charging import actions as charging
from spms.compensation import journal_queries
from spms.compensation import verification_queries as statements
from spms.compensation.actions import charge_of_holder
from spms.compensation.model import CompensationRules, Disputed, Source
from spms.compensation.reasons import cause_named
from spms.compensation.refusals import (
    AuditDecides,
    Moved,
    OverRemaining,
    SamePerson,
    VerifiedBefore,
)
from spms.compensation.rules import check_age, judge, multiples, outstanding
from spms.compensation.verification_model import (
    TRANSITIONS,
    Preview,
    VerificationAction,
    VerificationRequest,
    VerificationRow,
    VerificationState,
)
from spms.compensation.verification_paying import pay_first, pay_second
from spms.core import audit, rulebook
from spms.core.access import Actor, ActorKind, job_actor
from spms.core.clock import business_day, start_of_day
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import new_id
from spms.core.machine import advance

State = VerificationState
BATCH_MAX = 200


async def preview(
    tx: Connection, data: VerificationRequest, *, msisdn: str, actor: Actor, now: datetime
) -> Preview:
    """Tell what a claim would bring; writes only what the audit finds.

    Raises `ReasonUnknown`, `NotFound` for a charge that is not the present holder's.
    """
    versions = await rulebook.versions(tx, CompensationRules)
    rules = versions.at(now).rules
    cause = cause_named(rules.reasons, data.cause)
    charge = await _audited(tx, msisdn, data.charge_id, actor=actor, now=now)
    then = versions.at(charge.charged_at).rules
    bearers = then.borne(cause)
    remaining_fen = charge.charged_fen - charge.principal_fen
    claimed_fen = min(data.claimed_fen or remaining_fen, remaining_fen)
    proven = outstanding(charge, judge(charge).due_fen, then)
    second = multiples(claimed_fen, then).compensation_fen
    return Preview(
        charge_id=charge.charge_id,
        charged_fen=charge.charged_fen,
        refunded_fen=charge.principal_fen + charge.compensation_fen,
        remaining_fen=remaining_fen,
        findings=sorted(fault.kind for fault in charge.faults),
        proven_fen=sum(proven),
        first_fen=claimed_fen,
        second_fen=second,
        bearer=bearers.first,
        second_bearer=bearers.second,
        needs_second_person=await _needs_second(tx, msisdn, claimed_fen, rules, now),
    )


async def open_claim(
    tx: Connection,
    data: VerificationRequest,
    *,
    msisdn: str,
    source: Source,
    actor: Actor,
    now: datetime,
) -> VerificationRow:
    """Claim with a cause that charge records cannot show: the first multiple is paid at once.

    Above the limits a second person must agree first. Claiming again answers with the first,
    whatever became of its code.

    Raises `NotFound`, `ReasonUnknown`, `ClaimTooOld`, `AuditDecides` where a finding decides,
    `OverRemaining`, `VerifiedBefore`.
    """
    versions = await rulebook.versions(tx, CompensationRules)
    code_version, rules = versions.at(now)
    await _audited(tx, msisdn, data.charge_id, actor=actor, now=now)
    # Whoever holds the number's book looks and counts alone: what is left, and the limit of a day.
    await journal_queries.hold_heads(tx, [msisdn], now)
    charge = await charge_of_holder(tx, msisdn, data.charge_id, actor)
    known = await statements.verifications(tx, msisdn=msisdn, charge_id=data.charge_id)
    if known and known[0].state is not State.DECLINED:
        return known[0]
    cause = cause_named(rules.reasons, data.cause)
    check_age(charge, now, rules)
    if judge(charge).due_fen < charge.honoured_due_fen:
        raise AuditDecides
    remaining_fen = charge.charged_fen - charge.principal_fen
    claimed_fen = data.claimed_fen or remaining_fen
    if not 0 < claimed_fen <= remaining_fen:
        raise OverRemaining(f"at most {remaining_fen} fen of this charge can be claimed")
    waits = await _needs_second(tx, msisdn, claimed_fen, rules, now)
    version, then = versions.at(charge.charged_at)
    verification_id = new_id()
    opened = await statements.open_one(
        tx, verification_id, charge, source=source, code=data.cause,
        code_version=code_version, cause=cause, bearers=then.borne(cause),
        rulebook_version=version, reason=data.reason,
        claimed_fen=claimed_fen,
        state=State.AWAITING_APPROVAL if waits else State.AWAITING_SP,
        object_until=None if waits else now + timedelta(hours=rules.objection_hours),
        now=now, actor=actor.label,
    )  # fmt: skip
    if not opened:
        raise VerifiedBefore
    row = await _row(tx, verification_id)
    await audit.note(
        tx, "verification.opened", "verification", row.id, actor=actor, now=now, reason=data.reason
    )
    if not waits:
        await pay_first(tx, row, actor=actor, now=now)
    return await _row(tx, verification_id)


async def approve(
    tx: Connection,
    verification_id: UUID,
    *,
    accept: bool,
    reason: str,
    actor: Actor,
    now: datetime,
) -> VerificationRow:
    """Let a claim above the limits be paid once, or not at all; by another person than opened it.

    Raises `NotFound`, `NotAllowed`, `SamePerson`, `Moved`.
    """
    row = await _row(tx, verification_id)
    action = VerificationAction.APPROVE if accept else VerificationAction.DECLINE
    rules = await rulebook.section(tx, CompensationRules, at=now)
    until = now + timedelta(hours=rules.objection_hours) if accept else None
    await _move(tx, row, action, words=reason, until=until, actor=actor, now=now)
    if accept:
        await pay_first(tx, row, actor=actor, now=now)
    return await _row(tx, verification_id)


async def object_to(
    tx: Connection, verification_id: UUID, evidence: str, *, actor: Actor, now: datetime
) -> VerificationRow:
    """Object with evidence, as the SP whose charge it is, before its time is up.

    Raises `NotFound`, `NotAllowed`, `Moved` once the time is up.
    """
    row = await _row(tx, verification_id)
    if row.sp_id != actor.sp_id:
        raise NotFound
    await _move(tx, row, VerificationAction.OBJECT, words=evidence, actor=actor, now=now)
    return await _row(tx, verification_id)


async def decide(
    tx: Connection,
    verification_id: UUID,
    *,
    accept: bool,
    reason: str,
    actor: Actor,
    now: datetime,
) -> VerificationRow:
    """Decide after an objection: the second multiple, or what was paid and no more.

    Raises `NotFound`, `NotAllowed`, `SamePerson`, `Moved`.
    """
    row = await _row(tx, verification_id)
    if row.state is not State.OBJECTED:
        advance(TRANSITIONS, row.state, VerificationAction.KEEP_SINGLE)
    action = VerificationAction.ACCEPT if accept else VerificationAction.KEEP_SINGLE
    await _move(tx, row, action, words=reason, actor=actor, now=now)
    if accept:
        await pay_second(tx, [row], actor=actor, now=now)
    return await _row(tx, verification_id)


async def settle_silent(tx: Connection, *, now: datetime, limit: int = BATCH_MAX) -> int:
    """Pay the second multiple where the SP let its time pass; return how many.

    Source: rulebook, "SP silent on a claim: accepted after 24 h".
    """
    actor = job_actor("settle_claims")
    rows = await statements.take_silent(tx, now, min(limit, BATCH_MAX))
    if not rows:
        return 0
    await statements.move(
        tx, rows, before=State.AWAITING_SP, after=State.DOUBLED, words="the SP was silent",
        now=now, actor=actor.label,
    )  # fmt: skip
    await pay_second(tx, rows, actor=actor, now=now)
    return len(rows)


async def _audited(
    tx: Connection, msisdn: str, charge_id: UUID, *, actor: Actor, now: datetime
) -> Disputed:
    await charge_of_holder(tx, msisdn, charge_id, actor)
    await charging.reaudit(tx, msisdn, charge_id, now=now, actor=actor)
    return await charge_of_holder(tx, msisdn, charge_id, actor)


async def _needs_second(
    read: Connection, msisdn: str, claimed_fen: int, rules: CompensationRules, now: datetime
) -> bool:
    if claimed_fen > rules.four_eyes_fen:
        return True
    today = start_of_day(business_day(now))
    return await statements.count_since(read, msisdn, today) >= rules.four_eyes_per_day


async def _row(read: Connection, verification_id: UUID) -> VerificationRow:
    found = await statements.verifications(read, verification_id=verification_id)
    if not found:
        raise NotFound
    return found[0]


async def _move(
    tx: Connection,
    row: VerificationRow,
    action: VerificationAction,
    *,
    words: str,
    until: datetime | None = None,
    actor: Actor,
    now: datetime,
) -> None:
    after = advance(TRANSITIONS, row.state, action)
    if actor.kind is ActorKind.STAFF and actor.label == row.opened_by:
        raise SamePerson
    moved = await statements.move(
        tx, [row], before=row.state, after=after, words=words, object_until=until, now=now,
        actor=actor.label,
    )  # fmt: skip
    if not moved:
        raise Moved
    await audit.note(
        tx, f"verification.{after}", "verification", row.id, actor=actor, now=now, reason=words
    )
