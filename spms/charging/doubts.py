"""Rules of the audit that name or doubt a charge; each is one piece, pure, and has its mode."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from spms.charging.facts import Fault, Item, Relation, Stray, Verdict
from spms.charging.model import AuditRules, Delivery, Finding, Kind, Mode

UNUSED = frozenset({"released", "expired"})
"""How a reservation ends for which nothing was delivered."""


def sort_out(verdict: Verdict, suspect: Sequence[Fault], rules: AuditRules) -> Verdict:
    """Let each of the rules that strike have what its mode says."""
    if not suspect:
        return verdict
    refunded = [fault for fault in suspect if rules.mode(fault.kind) is Mode.REFUND]
    return verdict._replace(
        faults=[*verdict.faults, *refunded],
        due_fen=min([verdict.due_fen, *(fault.due_fen for fault in refunded)]),
        suspicions=[fault for fault in suspect if rules.mode(fault.kind) is Mode.REVIEW],
        observed=[fault.kind for fault in suspect if rules.mode(fault.kind) is Mode.OBSERVE],
    )


def doubts(
    item: Item, asked: Relation | None, rules: AuditRules, row: Sequence[tuple[datetime, int]]
) -> list[Fault]:
    """Return what looks wrong with a charge although it may be right.

    `asked` is the relation about which the SP should have asked; `row` as in `split`.
    """
    suspect = split(item, row, rules) if item.kind is Kind.ON_DEMAND else []
    suspect += no_decision(item, asked)
    return suspect + reserved_not_delivered(item, asked.reservation if asked is not None else None)


def no_decision(item: Item, asked: Relation | None) -> list[Fault]:
    """Return whether nobody asked if this may be charged, or was told no.

    A yes is about one relation, and about one month of it or one order: it says nothing of the next
    month, of another order or of the number's next holder. An attempt that is not due (it failed)
    does not use it up, and as a month and an order are due once, no yes covers two that stand.
    """
    if asked is not None and asked.authorisation_id is not None:
        return []
    return [Fault(Finding.NO_DECISION, item.price_fen, {})]


def reserved_not_delivered(item: Item, reservation: str | None) -> list[Fault]:
    """Return whether a charge is for what was held and then let go, or ran out, unused.

    Unless the network saw it delivered: then somebody forgot to capture. What it saw fail is a
    finding already.
    """
    if reservation not in UNUSED or item.delivery is not Delivery.NONE:
        return []
    return [Fault(Finding.RESERVED_NOT_DELIVERED, 0, {"reservation": reservation})]


def split(item: Item, row: Sequence[tuple[datetime, int]], rules: AuditRules) -> list[Fault]:
    """Return whether a charge is the one that takes a quick succession over the limit.

    `row` is what stood before it: the earlier charges of the SP to the same holder.
    """
    since = item.charged_at - timedelta(minutes=rules.split_minutes)
    near = [due_fen for at, due_fen in row if since < at <= item.charged_at]
    sum_fen = sum(near) + item.price_fen
    if len(near) + 1 < rules.split_charges or sum_fen <= rules.split_fen:
        return []
    detail = {"charges": len(near) + 1, "sum_fen": sum_fen, "minutes": rules.split_minutes}
    return [Fault(Finding.SPLIT_CHARGES, 0, detail)]


def unlicensed(item: Item, stray: Stray) -> Fault:
    """Name a charge for which this holder never had anything to do with the service."""
    if stray.former_id is not None:
        return Fault(Finding.AFTER_TRANSFER, 0, {"subscription_id": str(stray.former_id)})
    if stray.other_id is not None:
        detail = {"subscription_id": str(stray.other_id), "service_code": stray.other_code}
        return Fault(Finding.OTHER_SERVICE, 0, detail)
    if item.kind is Kind.ON_DEMAND:
        return Fault(Finding.MT_WITHOUT_MO, 0, {})
    return Fault(Finding.NO_CONSENT, 0, {})
