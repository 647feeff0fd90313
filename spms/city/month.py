"""A city's month in bulk: so many numbers that each is charged so often, and what is wrong in it.

No lives are drawn here, as `plan` and `lives` do, and nobody answers anybody: each number holds some
services, each is charged once, and a few numbers show one fault each. Everything follows from the
seed and a number's place, so that nothing is kept in memory and a month may have millions of charges.
Times are seconds from the month's beginning.
"""

from datetime import UTC, datetime
from random import Random

import msgspec

from spms.city.model import CityError, Offer, Sold
from spms.city.plan import dice

BEGAN = datetime(2026, 2, 28, 16, tzinfo=UTC)
"""March in Shanghai."""
DAYS = 30
CHARGES = 25
"""Of a number in the month."""
OFFERS = 10
"""Of a company; the last three are sold on demand."""
ON_DEMAND_FROM = 7
DEAR_FEN = 400
"""Price of the last of them: three in a row are too many."""
COMPANIES_PER_MILLION, COMPANIES_MIN = 300, 30
DAY, HOUR = 86_400, 3_600
ASKED_BEFORE = 10
"""Seconds before a charge at which the company asks whether it may."""


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """What a month is drawn from."""

    numbers: int
    seed: int = 1
    companies: int = 0
    """0: as many as a city of this size has."""
    charges: int = CHARGES
    """Of each number."""
    days: int = DAYS
    began: datetime = BEGAN
    apart: int = 1
    """How far a number is from the one before it."""

    def __post_init__(self) -> None:
        """Find how many companies there are; raise `CityError` for what cannot be drawn."""
        if not self.companies:
            found = max(COMPANIES_MIN, COMPANIES_PER_MILLION * self.numbers // 1_000_000)
            msgspec.structs.force_setattr(self, "companies", found)
        if not 1 <= self.charges <= self.offers:
            raise CityError(f"{self.companies} companies sell 1 to {self.offers} services a number")
        if not 1 <= self.companies <= COMPANIES_PER_MILLION:
            raise CityError(f"a month has 1 to {COMPANIES_PER_MILLION} companies")
        if self.numbers * self.apart > 10**8:
            raise CityError("a month has at most a hundred million numbers")

    @property
    def offers(self) -> int:
        """Return how many services there are."""
        return self.companies * OFFERS

    @property
    def step(self) -> int:
        """How far apart a number's services lie: none comes twice, and all kinds come."""
        wide = range(1, self.offers // self.charges + 1)
        return max(step for step in wide if step % 2 and step % 5)

    def msisdn(self, place: int) -> str:
        """Return the number of a place."""
        return f"86139{place * self.apart:08d}"


class Deal:
    """A service that a number holds, and the one charge for it."""

    __slots__ = (
        "agreed_at", "asked_at", "at", "charge_from", "delivery", "ended_at", "id", "offer", "price_fen",
        "reported",
    )  # fmt: skip

    def __init__(self, id_: str, offer: Offer, at: int) -> None:
        """A right one: a monthly service held since long, or an order of an hour before."""
        self.id, self.offer, self.at = id_, offer, at
        self.agreed_at = -DAY if offer.sold is Sold.MONTHLY else at - HOUR
        self.charge_from = self.agreed_at
        self.ended_at: int | None = None
        self.asked_at: int | None = at - ASKED_BEFORE
        """When the company asked whether it may charge; None: it did not."""
        self.price_fen, self.delivery = offer.price_fen, "none"
        self.reported = True

    @property
    def record_id(self) -> str:
        """Return the id of the charge's record."""
        return self.id[:16]


def offer_of(n: int) -> Offer:
    """Return a service by its place among all."""
    company, k = divmod(n, OFFERS)
    price_fen = DEAR_FEN if k == OFFERS - 1 else 100 + 10 * k
    sold = Sold.ON_DEMAND if k >= ON_DEMAND_FROM else Sold.MONTHLY
    return Offer(n=n, company=company, sold=sold, price_fen=price_fen, keyword="", name="")


def service_code(n: int) -> str:
    """Return a service's code (业务代码)."""
    return str(500_000 + n)


def company_code(company: int) -> str:
    """Return an SP's code."""
    return str(950_000 + company)


def new_id(roll: Random) -> str:
    """Draw an id."""
    return f"{roll.getrandbits(128):032x}"


class Market:
    """A month's services, and what is bought of them."""

    def __init__(self, month: Month) -> None:
        """Lay them out."""
        self.month = month
        self.offers = [offer_of(n) for n in range(month.offers)]
        self._step = month.step
        self._span = month.days * DAY - 2 * HOUR  # what follows a charge is of the month as well

    def deals(self, place: int) -> list[Deal]:
        """Return what the number of a place is charged, in order of time."""
        roll = dice(self.month.seed, "month", place)
        count, first = len(self.offers), roll.randrange(len(self.offers))
        found = [
            Deal(
                new_id(roll),
                self.offers[(first + k * self._step) % count],
                60 + int(roll.random() * self._span),
            )
            for k in range(self.month.charges)
        ]
        found.sort(key=lambda deal: (deal.at, deal.id))
        return found
