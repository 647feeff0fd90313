"""The verbs. Each runs inside the caller's transaction and never ends it."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from spms.authorisation.model import CapRules
from spms.charging import (
    file_queries,
    limit_queries,
    month_queries,
    notices,
    queries,
    stray_queries,
    suspicions,
)
from spms.charging.facts import Facts, Holder, Item, Rules, Verdict
from spms.charging.model import (
    AuditRules,
    Charge,
    ChargingRules,
    Finding,
    Kind,
    Landing,
    Line,
    LineOutcome,
    LineResult,
    Reason,
)
from spms.charging.parsing import content_sha256
from spms.charging.rating import Standing, judge, review
from spms.core import rulebook
from spms.core.access import Actor
from spms.core.clock import business_month, month_range
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import new_id
from spms.subscriptions.model import ConsentRules


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
    won = await queries.claim_keys(
        tx, sp_id, [(f.item.record_id, f.sha256, f.item.charge_id) for f in fresh if f.late is None]
    )
    lost = [f for f in fresh if f.item.charge_id not in won]
    for outcome in await _compare(tx, lost, bad, sp_id=sp_id):
        outcomes[outcome.line_no] = outcome
    landing = [f for f in fresh if f.item.charge_id in won]
    judged = await _judge(tx, [f.item for f in landing])
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
    pick = await _rules_over(tx, stored.charged_at, stored.charged_at)
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
    wrong = await queries.made_wrong(tx, since=now - back, limit=limit)
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
    tx: Connection, lost: Sequence[Fresh], bad: list[Line], *, sp_id: UUID
) -> list[LineOutcome]:
    """Tell records that came before from those that only share their id (these go to `bad`)."""
    if not lost:
        return []
    known = await queries.keys(tx, sp_id, [f.item.record_id for f in lost])
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
            reason = f.late if sha256 is None else Reason.DUP_CONFLICT
            bad.append(msgspec.structs.replace(f.line, reason=reason))
    return seen


async def _judge(tx: Connection, items: Sequence[Item]) -> list[tuple[Item, Verdict, int]]:
    """Judge new charges in the order in which they were made; hold their numbers meanwhile."""
    if not items:
        return []
    items = sorted(items, key=lambda item: (item.charged_at, item.charge_id))
    await queries.hold_numbers(tx, list({item.msisdn for item in items}))
    pick = await _rules_over(tx, items[0].charged_at, items[-1].charged_at)
    lifetime = max(pick(item.charged_at).order_lifetime for item in items)
    known = await queries.facts(tx, items, lifetime)
    known = await stray_queries.with_strays(tx, items, known)
    known = await limit_queries.with_limits(tx, items, known)
    back = max(pick(item.charged_at).audit.split_minutes for item in items)
    standing = await _standing(tx, items, known, back=timedelta(minutes=back))
    judged = []
    for item, fact in zip(items, known, strict=True):
        rules = pick(item.charged_at)
        judged.append((item, judge(item, fact, standing, rules), rules.version))
    return judged


async def _standing(
    tx: Connection, items: Sequence[Item], known: Sequence[Facts], *, back: timedelta
) -> Standing:
    """Read what stands already of the months, orders and quick successions of these charges."""
    standing = Standing()
    numbers: defaultdict[date, set[str]] = defaultdict(set)
    orders: dict[UUID, datetime] = {}
    for item, fact in zip(items, known, strict=True):
        if fact.relations:
            numbers[business_month(item.charged_at)].add(item.msisdn)
        if item.kind is Kind.ON_DEMAND:
            orders.update((r.subscription_id, r.active_from) for r in fact.relations)
    for month, msisdns in numbers.items():
        stored = await queries.month(tx, list(msisdns), month_range(month))
        for msisdn, epoch, service_id, due_fen, monthly in stored:
            holder = Holder(msisdn, epoch, month)
            standing.add(holder, service_id, due_fen)
            if monthly is not None:
                standing.monthly[holder, service_id] = monthly
    if orders:
        uses = [item for item in items if item.kind is Kind.ON_DEMAND]
        of = list({item.msisdn for item in uses})
        standing.orders |= await queries.used_orders(tx, of, min(orders.values()), list(orders))
        around = (uses[0].charged_at - back, uses[-1].charged_at)
        for msisdn, epoch, at, due_fen in await queries.uses(tx, uses[0].sp_id, of, around):
            holder = Holder(msisdn, epoch, business_month(at))
            standing.row[holder, uses[0].sp_id].append((at, due_fen))
    return standing


async def _rules_over(
    tx: Connection, first: datetime, last: datetime
) -> Callable[[datetime], Rules]:
    """Return a function from an instant in a range to the rules in force at that instant."""
    starts = [first, *await queries.rule_changes(tx, first, last)]
    versions = []
    for at in starts:
        consent = await rulebook.section(tx, ConsentRules, at=at)
        versions.append(
            Rules(
                version=await rulebook.version_at(tx, at),
                caps=await rulebook.section(tx, CapRules, at=at),
                order_lifetime=timedelta(hours=consent.on_demand_hours),
                audit=await rulebook.section(tx, AuditRules, at=at),
            )
        )
    return lambda at: versions[bisect_right(starts, at) - 1]


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
