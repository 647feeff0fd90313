"""Charges judged by the rules: what is known of them and what stands is read, the rules decide.

Charges of one number are judged by one transaction at a time, which holds it, so neither a cap nor a
month can be passed by two loaders at once.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from spms.authorisation.model import CapRules
from spms.charging import limit_queries, queries, stray_queries
from spms.charging.facts import Facts, Holder, Item, Rules, Verdict
from spms.charging.model import AuditRules, Kind
from spms.charging.plain_queries import Span
from spms.charging.rating import Standing, judge
from spms.core import rulebook
from spms.core.clock import business_month, month_range
from spms.core.db import Connection
from spms.subscriptions.model import ConsentRules


async def judged(tx: Connection, items: Sequence[Item]) -> list[tuple[Item, Verdict, int]]:
    """Judge new charges in the order in which they were made; their numbers are held."""
    if not items:
        return []
    items = sorted(items, key=lambda item: (item.charged_at, item.charge_id))
    pick = await rules_over(tx, items[0].charged_at, items[-1].charged_at)
    lifetime = max(pick(item.charged_at).order_lifetime for item in items)
    known = await queries.facts(tx, items, lifetime)
    known = await stray_queries.with_strays(tx, items, known)
    known = await limit_queries.with_limits(tx, items, known)
    back = max(pick(item.charged_at).audit.split_minutes for item in items)
    standing = await _standing(tx, items, known, back=timedelta(minutes=back))
    found = []
    for item, fact in zip(items, known, strict=True):
        rules = pick(item.charged_at)
        found.append((item, judge(item, fact, standing, rules), rules.version))
    return found


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
        for msisdn, epoch, service_id, category, due_fen, monthly in stored:
            holder = Holder(msisdn, epoch, month)
            standing.add(holder, service_id, category, due_fen)
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


async def rules_over(
    tx: Connection, first: datetime, last: datetime
) -> Callable[[datetime], Rules]:
    """Return a function from an instant in a range to the rules in force at that instant."""
    versions = await _versions_over(tx, first, last)
    starts = [since for since, _ in versions]
    return lambda at: versions[bisect_right(starts, at) - 1][1]


async def spans_over(tx: Connection, first: datetime, last: datetime) -> list[Span]:
    """Cut a range (both ends in it) where the rules or the business month change."""
    versions = await _versions_over(tx, first, last)
    end = last + timedelta(microseconds=1)
    spans = []
    for (since, rules), until in zip(
        versions, [*(start for start, _ in versions[1:]), end], strict=True
    ):
        at = since
        while at < until:
            month = month_range(business_month(at))
            spans.append(Span(at, min(until, month[1]), month, rules))
            at = month[1]
    return spans


async def _versions_over(
    tx: Connection, first: datetime, last: datetime
) -> list[tuple[datetime, Rules]]:
    """Return the rules in force within a range, each with the instant since when (from `first`)."""
    versions = []
    for at in (first, *await queries.rule_changes(tx, first, last)):
        consent = await rulebook.section(tx, ConsentRules, at=at)
        rules = Rules(
            version=await rulebook.version_at(tx, at),
            caps=await rulebook.section(tx, CapRules, at=at),
            order_lifetime=timedelta(hours=consent.on_demand_hours),
            audit=await rulebook.section(tx, AuditRules, at=at),
        )
        versions.append((at, rules))
    return versions
