"""The verbs. Each runs inside the caller's transaction and never ends it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from spms.charging import (
    file_queries,
    judging,
    limit_queries,
    month_queries,
    notices,
    queries,
    reopening_queries,
    stray_queries,
    suspicions,
)
from spms.charging.facts import Item, Verdict
from spms.charging.model import (
    Charge,
    ChargingRules,
    Finding,
    Landing,
    Line,
    LineOutcome,
    LineResult,
    Reason,
)
from spms.charging.parsing import content_sha256
from spms.charging.rating import Standing, review
from spms.core import rulebook
from spms.core.access import Actor
from spms.core.clock import business_month
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import new_id


class Fresh(NamedTuple):
    """A well-formed record of a known service, on its way to claim its record id."""

    line: Line
    item: Item
    sha256: bytes
    late: Reason | None
    """Why it comes too late to become a charge; but it may have landed before."""


async def land(
    tx: Connection,
    lines: Sequence[Line],
    *,
    sp_id: UUID,
    file_id: UUID | None,
    actor: Actor,
    now: datetime,
    first_seen_at: datetime | None = None,
) -> Landing:
    """Land the lines of one SP: each becomes a judged charge, is known already, or is quarantined.

    `first_seen_at` is when the lines first reached us (a file that is continued came earlier); a
    record's age is measured from there. Charges of one number are judged by one transaction at a
    time, so neither a cap nor a month can be passed by two loaders at once.
    """
    outcomes: dict[int, LineOutcome] = {}
    bad: list[Line] = []
    fresh = await _admit(tx, lines, bad, sp_id=sp_id, at=first_seen_at or now)
    # Numbers before ids, as files and charges in one step take them: so nobody waits crosswise.
    punctual = [f for f in fresh if f.late is None]
    await queries.hold_numbers(tx, list({f.item.msisdn for f in punctual}))
    won = await queries.claim_keys(
        tx, sp_id, [(f.item.record_id, f.sha256, f.item.charge_id) for f in punctual]
    )
    lost = [f for f in fresh if f.item.charge_id not in won]
    landing = [f for f in fresh if f.item.charge_id in won]
    for outcome in await _compare(tx, lost, landing, bad, sp_id=sp_id):
        outcomes[outcome.line_no] = outcome
    judged = await judging.judged(tx, [f.item for f in landing])
    await queries.add_charges(tx, judged, sp_id=sp_id, file_id=file_id, now=now)
    await queries.add_findings(tx, judged, found_by=actor.label, now=now)
    await suspicions.keep(tx, judged, sp_id=sp_id, found_by=actor.label, now=now)
    await notices.landed(tx, [item.charge_id for item, _, _ in judged], now=now)
    await file_queries.add_quarantine(tx, bad, sp_id=sp_id, file_id=file_id, now=now)
    verdicts = {item.charge_id: verdict for item, verdict, _ in judged}
    for f in landing:
        outcomes[f.line.line_no] = _landed(f, verdicts[f.item.charge_id])
    for line in bad:
        outcomes[line.line_no] = LineOutcome(
            line_no=line.line_no,
            result=LineResult.QUARANTINED,
            record_id=line.record.record_id if line.record else None,
            reason=line.reason,
        )
    return Landing(
        lines=len(lines),
        landed=len(landing),
        quarantined=len(bad),
        duplicates=len(lines) - len(landing) - len(bad),
        outcomes=[outcomes[line.line_no] for line in lines],
    )


async def charge(read: Connection, msisdn: str, charge_id: UUID) -> Charge:
    """Return a charge of a number as it stands now; raise `NotFound`."""
    found = await queries.charge(read, msisdn, charge_id)
    if found is None:
        raise NotFound
    return found


async def reaudit(
    tx: Connection, msisdn: str, charge_id: UUID, *, now: datetime, actor: Actor
) -> list[Finding]:
    """Judge a charge again by what is known now of its instant; return the findings it adds.

    What can come out differently is what is told late: that the person had left, that the number
    was suspended or had another holder. A finding is never taken back. Raises `NotFound`.
    """
    await queries.hold_numbers(tx, [msisdn])
    stored = await charge(tx, msisdn, charge_id)
    item = _item(stored)
    pick = await judging.rules_over(tx, stored.charged_at, stored.charged_at)
    rules = pick(stored.charged_at)
    known = await queries.facts(tx, [item], rules.order_lifetime)
    known = await stray_queries.with_strays(tx, [item], known)
    (fact,) = await limit_queries.with_limits(tx, [item], known)
    _, faults = review(item, fact, Standing(), rules.order_lifetime)
    verdict = Verdict(faults, 0, stored.consent_id, stored.tariff_id, stored.authorisation_id)
    judged = [(item, verdict, stored.rulebook_version)]
    added = await queries.add_findings(tx, judged, found_by=actor.label, now=now)
    return [Finding(kind) for kind in added]


async def reaudit_recent(
    tx: Connection,
    *,
    now: datetime,
    actor: Actor,
    back: timedelta = timedelta(days=7),
    limit: int = 1000,
) -> int:
    """Judge again the charges which a fact recorded in the last days (`back`) makes wrong.

    Returns how many got a new finding. Run it until it returns 0.
    """
    wrong = await reopening_queries.made_wrong(tx, since=now - back, limit=limit)
    count = 0
    for msisdn, charge_id in wrong:
        count += bool(await reaudit(tx, msisdn, charge_id, now=now, actor=actor))
    return count


async def _admit(
    tx: Connection, lines: Sequence[Line], bad: list[Line], *, sp_id: UUID, at: datetime
) -> list[Fresh]:
    """Sort out what can become a charge of this SP; the rest goes to `bad` with its reason."""
    rules = await rulebook.section(tx, ChargingRules, at=at)
    latest = at + timedelta(minutes=rules.ahead_minutes)
    oldest = at - timedelta(hours=rules.oldest_hours)
    sealed = await month_queries.sealed(tx)
    codes = {line.record.service_code for line in lines if line.record is not None}
    services = await queries.services(tx, sp_id, list(codes))
    fresh: list[Fresh] = []
    for line in lines:
        record = line.record
        if record is None:
            bad.append(line)
        elif record.service_code not in services:
            bad.append(msgspec.structs.replace(line, reason=Reason.SERVICE_UNKNOWN))
        elif record.charged_at > latest:
            bad.append(msgspec.structs.replace(line, reason=Reason.TIME_FUTURE))
        else:
            service_id, kind = services[record.service_code]
            item = Item(
                new_id(), record.record_id, record.msisdn, service_id, kind,
                record.charged_at, record.price_fen, record.delivery, sp_id,
            )  # fmt: skip
            late = None
            if business_month(record.charged_at) in sealed:
                late = Reason.PERIOD_CLOSED
            elif record.charged_at < oldest:
                late = Reason.TIME_OLD
            fresh.append(Fresh(line, item, content_sha256(record), late))
    return fresh


async def _compare(
    tx: Connection, lost: Sequence[Fresh], landing: Sequence[Fresh], bad: list[Line], *, sp_id: UUID
) -> list[LineOutcome]:
    """Tell records that came before from those that only share their id (these go to `bad`).

    To one that comes too late, what lands below it did not come before.
    """
    if not lost:
        return []
    known = await queries.keys(tx, sp_id, [f.item.record_id for f in lost])
    line_of = {f.item.charge_id: f.line.line_no for f in landing}
    seen = []
    for f in lost:
        sha256, charge_id = known.get(f.item.record_id, (None, None))
        if sha256 == f.sha256:
            seen.append(
                LineOutcome(
                    line_no=f.line.line_no,
                    result=LineResult.SEEN,
                    record_id=f.item.record_id,
                    charge_id=charge_id,
                )
            )
        else:
            below = charge_id is not None and line_of.get(charge_id, 0) > f.line.line_no
            reason = f.late if sha256 is None or (f.late and below) else Reason.DUP_CONFLICT
            bad.append(msgspec.structs.replace(f.line, reason=reason))
    return seen


def _landed(f: Fresh, verdict: Verdict) -> LineOutcome:
    return LineOutcome(
        line_no=f.line.line_no,
        result=LineResult.LANDED,
        record_id=f.item.record_id,
        charge_id=f.item.charge_id,
        findings=tuple(fault.kind for fault in verdict.faults),
        due_fen=verdict.due_fen,
    )


def _item(stored: Charge) -> Item:
    return Item(
        stored.id, stored.record_id, stored.msisdn, stored.service_id, stored.kind,
        stored.charged_at, stored.price_fen, stored.delivery, stored.sp_id,
    )  # fmt: skip
