"""People who spend up to the monthly caps, and one record beyond: their last charge is over a cap.

Everything is right but the last one. Where a month ends in between, the caps begin anew and
nothing is over: the labels follow the calendar (`charges.py`).
"""

from datetime import timedelta
from random import Random
from typing import Protocol

from spms.city.model import Channel, Fault, Offer, Sold, Stake, Story

SERVICE_CAP_FEN = 3_000
TOTAL_CAP_FEN = 10_000
"""The rulebook's defaults: 30 yuan a month for a service, 100 yuan for everything."""

TRIAL_DAYS = 5
"""After so many days what was ordered on the first two is charged, but at the end of a month."""
PROMPTS_A_DAY = 3
ORDERS_MAX = 60
"""Nobody texts more orders than that in one day's play."""


SPLIT_FEN = 1_000
SPLIT_CHARGES = 3
SPLIT_WITHIN = timedelta(minutes=25)
"""From so many uses of one company within half an hour on, their sum must not pass 10 yuan."""


class Shelves(Protocol):
    """What a spender chooses from."""

    def offers(self, sold: Sold, *, bad: bool = False) -> tuple[Offer, ...]:
        """Return what is sold so, by anybody or by bad companies only."""


def thrifty_spender(roll: Random, market: Shelves, *, days: int, late: bool) -> tuple[Stake, ...]:
    """Order one service until the next order no longer fits its own cap."""
    offer = max(market.offers(Sold.ON_DEMAND, bad=True), key=lambda o: (o.price_fen, -o.n))
    count = SERVICE_CAP_FEN // offer.price_fen + 1
    if days == 1:
        orders: tuple[int, ...] = (count,)
        day = 0
    else:
        first = roll.randrange(count // 3, count // 2 + 1)
        orders = (first, count - first)
        half = max(1, (days - 1) // 2)
        day = roll.randrange(half, days - 1) if late and half < days - 1 else roll.randrange(half)
    stake = Stake(
        offer=offer.n, story=Story.BUY, day=day, orders=orders, fault=Fault.OVER_CAP,
    )  # fmt: skip
    return (stake,)


def split(market: Shelves) -> tuple[Offer, tuple[int, ...]]:
    """Return what is charged in many small pieces, and how many orders of a day that takes."""
    offer = max(market.offers(Sold.ON_DEMAND, bad=True), key=lambda o: (o.price_fen, -o.n))
    return offer, (max(SPLIT_CHARGES, SPLIT_FEN // offer.price_fen + 1),)


def big_spender(roll: Random, market: Shelves, *, days: int, late: bool) -> tuple[Stake, ...]:
    """Take services of many companies until the next order no longer fits the number's own cap.

    Two days of monthly services, then a day of orders, then one last order on the day after.
    Where the city sells too little for that, or lives too short, orders one service to its cap.
    """
    monthly = sorted(market.offers(Sold.MONTHLY), key=lambda o: (-o.price_fen, o.n))
    monthly = monthly[: 2 * PROMPTS_A_DAY]
    spent = sum(offer.price_fen for offer in monthly)
    counts: dict[Offer, int] = {}
    last = None
    for offer in sorted(market.offers(Sold.ON_DEMAND), key=lambda o: (-o.price_fen, o.n)):
        fits = SERVICE_CAP_FEN // offer.price_fen
        count = min(fits, (TOTAL_CAP_FEN - spent) // offer.price_fen)
        counts[offer] = count
        spent += count * offer.price_fen
        if count < fits:
            last = offer
            break
    if days < 3 or last is None or sum(counts.values()) > ORDERS_MAX:  # noqa: PLR2004 - as said
        return thrifty_spender(roll, market, days=days, late=late)
    # The monthly services count once they are charged: after their free first days, if the play
    # is long enough. The calendar decides whether the last order is one too many (`charges.py`).
    wait = TRIAL_DAYS if days > TRIAL_DAYS + 2 else 1
    day = roll.randrange(days - wait - 1)
    stakes = [
        Stake(offer=offer.n, story=Story.KEEP, day=day + place // PROMPTS_A_DAY,
              channel=Channel.SMS)
        for place, offer in enumerate(monthly)
    ]  # fmt: skip
    for offer, count in counts.items():
        beyond = (1,) if offer == last else ()
        if count + len(beyond) > 0:
            fault = Fault.OVER_CAP if beyond else None
            stakes.append(
                Stake(offer=offer.n, story=Story.BUY, day=day + wait, orders=(count, *beyond),
                      fault=fault)
            )  # fmt: skip
    return tuple(stakes)
