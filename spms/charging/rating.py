"""What is wrong with a charge and how much of it was due: pure, facts and rules are arguments.

A verdict is never changed by a record that arrives later: what landed first stands first, and
records of one batch are taken by (charged_at, id). So what is due in a month never exceeds a cap,
and a month is never due twice, whatever the order of arrival.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from spms.authorisation.model import CapRules
from spms.charging.doubts import UNUSED, doubts, sort_out, unlicensed
from spms.charging.facts import Facts, Fault, Holder, Item, OwnLimits, Relation, Rules, Verdict
from spms.charging.model import Delivery, Finding, Kind
from spms.core.clock import business_month
from spms.subscribers.model import NumberState
from spms.subscriptions.model import EndReason

LEFT = frozenset({EndReason.SUBSCRIBER, EndReason.AGENT})
"""The person left, herself or through an agent: a charge from then on is `after_unsubscribe`."""

LAPSED = frozenset({EndReason.LAPSED})
"""How an order ends by itself. What bounds a charge on it is its lifetime in the rulebook, not the
minute in which a job closed it."""


class Standing:
    """What already stands: dues of the month and what they were for. Rating adds to it."""

    def __init__(self) -> None:
        """Start with nothing charged."""
        self.total_fen: defaultdict[Holder, int] = defaultdict(int)
        self.service_fen: defaultdict[tuple[Holder, UUID], int] = defaultdict(int)
        self.category_fen: defaultdict[tuple[Holder, str | None], int] = defaultdict(int)
        self.monthly: dict[tuple[Holder, UUID], UUID] = {}
        """The charge that paid for the month."""
        self.orders: dict[UUID, UUID] = {}
        """Order → the charge made on it."""
        self.row: defaultdict[tuple[Holder, UUID], list[tuple[datetime, int]]] = defaultdict(list)
        """Of each holder and SP the latest uses that stand: when, and how much is due."""

    def add(self, holder: Holder, service_id: UUID, category: str | None, due_fen: int) -> None:
        """Count a due."""
        self.total_fen[holder] += due_fen
        self.service_fen[holder, service_id] += due_fen
        self.category_fen[holder, category] += due_fen


def judge(item: Item, facts: Facts, standing: Standing, rules: Rules) -> Verdict:
    """Find what is wrong with a charge and what of it was due, and let it stand for the next."""
    relation, faults = review(item, facts, standing, rules.order_lifetime)
    asked = asked_about(item, relation, facts.relations, rules.order_lifetime)
    authorisation_id = None if asked is None else asked.authorisation_id
    if relation is None or facts.epoch is None:
        bare = Verdict(faults, 0, None, facts.tariff_id, authorisation_id)
        return sort_out(bare, doubts(item, asked, rules.audit, ()), rules.audit)
    holder = Holder(item.msisdn, facts.epoch, business_month(item.charged_at))
    faults += duplicate(item, relation, holder, standing)
    due_fen = min([item.price_fen, *(fault.due_fen for fault in faults)])
    faults += over_cap(due_fen, room_fen(item, facts, holder, standing, rules.caps), rules.version)
    due_fen = min([due_fen, *(fault.due_fen for fault in faults)])
    if due_fen > 0:
        standing.add(holder, item.service_id, facts.category, due_fen)
        if item.kind is Kind.MONTHLY:
            standing.monthly[holder, item.service_id] = item.charge_id
        else:
            standing.orders[relation.subscription_id] = item.charge_id
    row = standing.row[holder, item.sp_id]
    suspect = doubts(item, asked, rules.audit, row)
    if due_fen > 0 and item.kind is Kind.ON_DEMAND:
        row.append((item.charged_at, due_fen))
    verdict = Verdict(
        faults, due_fen, relation.subscription_id, relation.tariff_id, authorisation_id
    )
    return sort_out(verdict, suspect, rules.audit)


def review(
    item: Item, facts: Facts, standing: Standing, order_lifetime: timedelta
) -> tuple[Relation | None, list[Fault]]:
    """Return the relation that licenses a charge, and what is wrong with the charge by itself."""
    relation, faults = consent(item, facts, standing, order_lifetime)
    of_number = number(facts)
    if relation is not None and not of_number:
        faults += in_trial(item, relation)
    faults += of_number + barred(facts.own) + undelivered(item)
    if relation is not None:
        faults += price_mismatch(item, relation)
    return relation, faults


def consent(
    item: Item, facts: Facts, standing: Standing, order_lifetime: timedelta
) -> tuple[Relation | None, list[Fault]]:
    """Return the relation whose consent licenses the charge, or the finding that none does."""
    at = item.charged_at
    if item.kind is Kind.MONTHLY:
        live = [r for r in facts.relations[:1] if _runs(r, at)]
    else:
        live = [r for r in facts.relations if _order_holds(r, at, order_lifetime)]
        live = _order_meant(item, live, standing) or live
    if live:
        return live[0], []
    latest = facts.relations[0] if facts.relations else None
    if latest is not None and latest.end_reason in LEFT:
        detail = {"subscription_id": str(latest.subscription_id), "ended_at": latest.ended_at}
        return None, [Fault(Finding.AFTER_UNSUBSCRIBE, 0, detail)]
    if latest is not None and facts.state == NumberState.TERMINATED:
        return None, []  # the number's end ended the relation; `number` says so
    if latest is None:
        return None, [unlicensed(item, facts.stray)]
    detail = {"subscription_id": str(latest.subscription_id)}
    return None, [Fault(Finding.NO_CONSENT, 0, detail)]


def number(facts: Facts) -> list[Fault]:
    """Return the finding that the number was not in service."""
    if facts.state == NumberState.SUSPENDED:
        return [Fault(Finding.NUMBER_SUSPENDED, 0, {})]
    if facts.state == NumberState.TERMINATED:
        return [Fault(Finding.NUMBER_TERMINATED, 0, {})]
    return []


def asked_about(
    item: Item, relation: Relation | None, relations: Sequence[Relation], lifetime: timedelta
) -> Relation | None:
    """Return the relation whose decision a charge cites.

    That of which the charge is held under the record's own name, whatever other charge has come to
    stand on it meanwhile; else the one that licenses the charge, or the latest that there was. An
    order that has run out (`lifetime`) is no such, nor what was let go.
    """
    over = item.charged_at - lifetime
    named = (
        r for r in relations
        if r.reference == item.record_id and r.reservation not in UNUSED
        and (item.kind is Kind.MONTHLY or r.active_from > over)
    )  # fmt: skip
    return next(named, None) or relation or next(iter(relations), None)


def in_trial(item: Item, relation: Relation) -> list[Fault]:
    """Return the finding that nothing was due yet."""
    if item.charged_at >= relation.charge_from:
        return []
    return [Fault(Finding.IN_TRIAL, 0, {"charge_from": relation.charge_from})]


def barred(own: OwnLimits) -> list[Fault]:
    """Return the finding that a bar of the holder's kept the service away."""
    return [] if own.barred_by is None else [Fault(Finding.BARRED, 0, {"scope": own.barred_by})]


def undelivered(item: Item) -> list[Fault]:
    """Return the finding that the network saw it fail to arrive."""
    return [Fault(Finding.UNDELIVERED, 0, {})] if item.delivery is Delivery.FAILED else []


def price_mismatch(item: Item, relation: Relation) -> list[Fault]:
    """Return the finding that more was charged than was agreed; less is no error."""
    if item.price_fen <= relation.price_fen:
        return []
    detail = {"agreed_fen": relation.price_fen, "charged_fen": item.price_fen}
    return [Fault(Finding.PRICE_MISMATCH, relation.price_fen, detail)]


def duplicate(item: Item, relation: Relation, holder: Holder, standing: Standing) -> list[Fault]:
    """Return the finding that another charge stands for the month, or on the order."""
    if item.kind is Kind.MONTHLY:
        earlier = standing.monthly.get((holder, item.service_id))
    else:
        earlier = standing.orders.get(relation.subscription_id)
    if earlier is None:
        return []
    return [Fault(Finding.DUPLICATE, 0, {"earlier_charge_id": str(earlier)})]


def over_cap(due_fen: int, fits_fen: int, version: int) -> list[Fault]:
    """Return the finding that only a part of what would be due, or nothing, still fits the caps."""
    if due_fen <= fits_fen:
        return []
    detail = {"fits_fen": fits_fen, "rulebook_version": version}
    return [Fault(Finding.OVER_CAP, fits_fen, detail)]


def room_fen(item: Item, facts: Facts, holder: Holder, standing: Standing, caps: CapRules) -> int:
    """Return what all caps still leave, in fen: due_i = min(cap, R_i) − min(cap, R_{i−1})."""
    of_service, of_all = facts.own.service_month_fen, facts.own.total_month_fen
    of_service = caps.service_month_fen if of_service is None else of_service
    of_all = caps.total_month_fen if of_all is None else of_all
    left = [
        of_service - standing.service_fen[holder, item.service_id],
        of_all - standing.total_fen[holder],
    ]
    of_category = caps.category_month_fen.get(facts.category or "")
    if of_category is not None:
        left.append(of_category - standing.category_fen[holder, facts.category])
    return max(0, min(left))


def _runs(relation: Relation, at: datetime) -> bool:
    if relation.free_until is not None and relation.free_until <= at:
        return False
    return relation.ended_at is None or relation.ended_at > at


def _order_holds(relation: Relation, at: datetime, lifetime: timedelta) -> bool:
    if at >= relation.active_from + lifetime:
        return False
    over = relation.ended_at is not None and relation.ended_at <= at
    return not over or relation.end_reason in LAPSED


def _order_meant(item: Item, live: Sequence[Relation], standing: Standing) -> list[Relation]:
    """Return the order that a use is charged on, of those that nothing was charged on yet; or none.

    One held under the record's own name; else the latest of those that the SP was told it may charge
    and did not let go, as it asks before each use, in whatever order records come; else the oldest,
    as it is the one that runs out first.
    """
    unused = [r for r in live if r.subscription_id not in standing.orders]
    asked = [r for r in unused if r.authorisation_id and r.reservation not in UNUSED]
    named = [r for r in asked if r.reference == item.record_id]
    return (named or asked)[:1] or unused[-1:]
