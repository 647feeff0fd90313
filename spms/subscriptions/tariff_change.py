"""Terms that take over from a running relation's: only by a fresh yes, else nothing changes.

A new price of a service binds nobody who has it: whoever does not agree pays the old one until
the end. An SP's own free trial ends by itself; going on, and paying, needs a fresh yes as well
(domain C4). Both are a prompt beside the running relation; the yes ends the one and begins the
other in one statement (`order_queries.confirm`).
"""

from datetime import datetime

from spms.catalogue.model import Offer, ServiceKind
from spms.core import rulebook
from spms.core.db import Connection
from spms.subscribers.model import Number
from spms.subscriptions import order_queries, queries
from spms.subscriptions.model import Status, Subscription
from spms.subscriptions.trial import ChargeRule, FirstCharge, TrialRules, first_charge

RUNNING = frozenset({Status.ACTIVE, Status.SUSPENDED})


async def running(tx: Connection, number: Number, offer: Offer) -> Subscription | None:
    """Return the relation this owner has with a monthly service; None when there is none."""
    if offer.kind is not ServiceKind.MONTHLY:
        return None
    for one in await queries.live(tx, number.msisdn):
        theirs = (one.service_id, one.epoch) == (offer.service_id, number.epoch)
        if theirs and one.status in RUNNING:
            return one
    return None


def on_new_terms(current: Subscription | None, offer: Offer, *, free: bool) -> bool:
    """Whether an offer is something else than what the person has already.

    Another price, or to pay after an SP's free trial; never another trial.
    """
    if current is None or free:
        return False
    return current.free_until is not None or current.price_fen != offer.price_fen


async def first_charge_of(
    tx: Connection,
    number: Number,
    offer: Offer,
    current: Subscription | None,
    *,
    free_until: datetime | None,
    at: datetime,
) -> FirstCharge:
    """Return from when a relation may be charged that a yes at an instant would begin.

    New terms of a running relation never bring a charge forward: a first order that is free stays
    free, and what an SP gave for nothing stays so to its end.
    """
    if offer.kind is not ServiceKind.MONTHLY:
        return FirstCharge(at=at, rule=ChargeRule.AT_ONCE)
    if free_until is not None:
        return FirstCharge(at=max(at, free_until), rule=ChargeRule.AFTER_CONSENT)
    earliest = at
    if current is not None and current.charge_from is not None:
        earliest = max(at, current.charge_from)
        if current.free_until is None:
            return FirstCharge(at=earliest, rule=ChargeRule.TAKEN_OVER)
    first = first_charge(
        at,
        ordered_before=await order_queries.last_begun(tx, number, offer.service_id, at=at),
        category=offer.category,
        rules=await rulebook.section(tx, TrialRules, at=at),
    )
    return FirstCharge(at=max(first.at, earliest), rule=first.rule)
