"""What is wrong in a city's month: each fault on a number of its own, beside what is right."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import NamedTuple

from spms.city.model import Fault, Offer, Sold
from spms.city.month import DAY, HOUR, Deal, Market, new_id
from spms.city.plan import dice

KINDS = tuple(Fault)
"""Planted in turn."""
FAULTS_PER_THOUSAND = 30
"""Numbers that show a fault; at least two for each kind of fault."""
MINUTE = 60
NEAR = 5
"""Seconds around a charge for which its number was barred or suspended."""
SPLIT = 3
"""Orders of a dear service one after another."""
EARLY = 5
"""So many charges of a number come before a wrong one, when it has as many."""
LAST = frozenset({Fault.NUMBER_TERMINATED, Fault.AFTER_TRANSFER, Fault.OVER_CAP})
"""Faults that a number's last charge shows, a day after the one before it: nothing may follow it, and
what comes before it is delivered before it."""


class Line(NamedTuple):
    """A record that a company reports beside what was agreed."""

    record_id: str
    offer: Offer
    at: int
    price_fen: int


class Event(NamedTuple):
    """What happened to a number."""

    at: int
    kind: str
    state: str
    epoch: int


class Wrong:
    """A number's month with a fault in it: what stands otherwise than `Market.deals` has it."""

    def __init__(self, deals: list[Deal], roll: Random) -> None:
        """Nothing yet; `deals` are changed in place."""
        self.deals = deals
        self.roll = roll
        self.lines: list[Line] = []
        self.events: list[Event] = []
        self.bars: list[tuple[int, int, int]] = []
        """Company, from, until."""
        self.caps: list[tuple[int, int]] = []
        """From, limit in fen."""
        self.holds: list[tuple[str, str]] = []
        """Deal, how what was held for it ended."""
        self.labels: list[tuple[str, Fault]] = []

    def label(self, record_id: str, fault: Fault) -> None:
        """Say which record shows which fault."""
        self.labels.append((record_id, fault))

    def beside(self, fault: Fault, offer: Offer, at: int, price_fen: int) -> None:
        """Report a record that nobody agreed to; nobody asked for it either, but for a duplicate."""
        record_id = new_id(self.roll)[:16]
        self.lines.append(Line(record_id, offer, at, price_fen))
        self.label(record_id, fault)
        if fault is not Fault.DUPLICATE:
            self.label(record_id, Fault.NO_DECISION)


def plan(market: Market) -> dict[int, Fault]:
    """Choose the numbers that show a fault, by chance, and which: each kind in turn."""
    month = market.month
    free = deque(dice(month.seed, "faults").sample(range(month.numbers), month.numbers))
    wanted = max(2 * len(KINDS), month.numbers * FAULTS_PER_THOUSAND // 1000)
    found: dict[int, Fault] = {}
    for n in range(wanted):
        fault = KINDS[n % len(KINDS)]
        for _ in range(len(free)):
            place = free.popleft()
            if spoil(market, place, fault) is not None:
                found[place] = fault
                break
            free.append(place)
    return found


def spoil(market: Market, place: int, fault: Fault) -> Wrong | None:
    """Put a fault into a number's month; None when the number has nothing to put it on."""
    deals = market.deals(place)
    later = deals[min(EARLY, len(deals) - 1) :]
    monthly = next((deal for deal in later if deal.offer.sold is Sold.MONTHLY), None)
    last = deals[-1]
    if monthly is None or (fault in LAST and len(deals) > 1 and last.at - deals[-2].at < DAY):
        return None
    wrong = Wrong(deals, dice(market.month.seed, "fault", place))
    done = _SPOILERS[fault](wrong, market, last if fault in LAST else monthly)
    return None if done is False else wrong


def _on_record(fault: Fault, change: Callable[[Wrong, Deal], object]) -> "_Spoiler":
    """Make a spoiler that changes something about a charge which then shows the fault."""

    def spoiler(wrong: Wrong, _: Market, deal: Deal) -> bool:
        if change(wrong, deal) is False:
            return False
        wrong.label(deal.record_id, fault)
        return True

    return spoiler


def _of_another(fault: Fault, sold: Sold, *, at_its_price: bool) -> "_Spoiler":
    """Make a spoiler that reports another service of the company, which the number does not hold."""

    def spoiler(wrong: Wrong, market: Market, deal: Deal) -> bool:
        held = {each.offer.n for each in wrong.deals}
        other = next(
            (
                offer
                for offer in market.offers
                if offer.company == deal.offer.company and offer.sold is sold
                and offer.price_fen != deal.price_fen and offer.n not in held
            ),
            None,
        )  # fmt: skip
        if other is None:
            return False
        price_fen = other.price_fen if at_its_price else deal.price_fen
        wrong.beside(fault, other, deal.at + MINUTE, price_fen)
        return True

    return spoiler


def _dearer(_: Wrong, deal: Deal) -> None:
    deal.price_fen += 50


def _failed(_: Wrong, deal: Deal) -> None:
    deal.delivery = "failed"


def _left(_: Wrong, deal: Deal) -> None:
    deal.ended_at = deal.at - MINUTE


def _free_until_later(_: Wrong, deal: Deal) -> None:
    deal.charge_from = deal.at + MINUTE


def _alone(deal: Deal, deals: Iterable[Deal]) -> bool:
    """Whether nothing else is charged meanwhile: it would be as wrong, and nobody would say so."""
    return all(one is deal or abs(one.at - deal.at) > NEAR for one in deals)


def _barred(wrong: Wrong, deal: Deal) -> bool:
    company = deal.offer.company
    if not _alone(deal, [one for one in wrong.deals if one.offer.company == company]):
        return False
    wrong.bars.append((company, deal.at - NEAR, deal.at + NEAR))
    return True


def _suspended(wrong: Wrong, deal: Deal) -> bool:
    if not _alone(deal, wrong.deals):
        return False
    wrong.events.append(Event(deal.at - NEAR, "suspended", "suspended", 1))
    wrong.events.append(Event(deal.at + NEAR, "resumed", "active", 1))
    return True


def _terminated(wrong: Wrong, deal: Deal) -> None:
    wrong.events.append(Event(deal.at - MINUTE, "terminated", "terminated", 1))


def _transferred(wrong: Wrong, deal: Deal) -> None:
    wrong.events.append(Event(deal.at - MINUTE, "transferred", "active", 2))
    wrong.label(deal.record_id, Fault.NO_DECISION)  # the one before had been asked about


def _over_cap(wrong: Wrong, _: Deal) -> None:
    before = sum(each.price_fen for each in wrong.deals[:-1])
    wrong.caps.append((wrong.deals[0].at - DAY, before))


def _unasked(wrong: Wrong, deal: Deal) -> None:
    """Nobody asked, or only in the month before."""
    deal.asked_at = wrong.roll.choice([None, deal.agreed_at + HOUR])


def _let_go(wrong: Wrong, deal: Deal) -> None:
    wrong.holds.append((deal.id, "released"))


def _duplicate(wrong: Wrong, _: Market, deal: Deal) -> None:
    wrong.beside(Fault.DUPLICATE, deal.offer, deal.at + 30 * MINUTE, deal.price_fen)


def _split(wrong: Wrong, market: Market, deal: Deal) -> None:
    dear = max(
        (one for one in market.offers if one.company == deal.offer.company
         and one.sold is Sold.ON_DEMAND),
        key=lambda offer: offer.price_fen,
    )  # fmt: skip
    for n in range(1, SPLIT + 1):
        order = Deal(new_id(wrong.roll), dear, deal.at + n * 2 * MINUTE)
        wrong.deals.append(order)
    wrong.label(order.record_id, Fault.SPLIT_CHARGES)


def _not_reported(wrong: Wrong, _: Market, __: Deal) -> bool:
    early = next(each for each in wrong.deals if each.offer.sold is Sold.MONTHLY)
    early.reported = False
    wrong.holds.append((early.id, "captured"))
    wrong.label(early.record_id, Fault.DELIVERED_NOT_CHARGED)
    return True


_Spoiler = Callable[[Wrong, Market, Deal], bool | None]
_CHANGES: Mapping[Fault, Callable[[Wrong, Deal], object]] = {
    Fault.PRICE_MISMATCH: _dearer,
    Fault.UNDELIVERED: _failed,
    Fault.AFTER_UNSUBSCRIBE: _left,
    Fault.IN_TRIAL: _free_until_later,
    Fault.BARRED: _barred,
    Fault.NUMBER_SUSPENDED: _suspended,
    Fault.NUMBER_TERMINATED: _terminated,
    Fault.AFTER_TRANSFER: _transferred,
    Fault.OVER_CAP: _over_cap,
    Fault.NO_DECISION: _unasked,
    Fault.RESERVED_NOT_DELIVERED: _let_go,
}
_SPOILERS: Mapping[Fault, _Spoiler] = {
    **{fault: _on_record(fault, change) for fault, change in _CHANGES.items()},
    Fault.DUPLICATE: _duplicate,
    Fault.NO_CONSENT: _of_another(Fault.NO_CONSENT, Sold.MONTHLY, at_its_price=True),
    Fault.MT_WITHOUT_MO: _of_another(Fault.MT_WITHOUT_MO, Sold.ON_DEMAND, at_its_price=True),
    Fault.OTHER_SERVICE: _of_another(Fault.OTHER_SERVICE, Sold.MONTHLY, at_its_price=False),
    Fault.SPLIT_CHARGES: _split,
    Fault.DELIVERED_NOT_CHARGED: _not_reported,
}
