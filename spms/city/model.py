"""The nouns of the city: companies, people and their stories, what is planted, the report.

Days are counted from the play's beginning, from 0: where on the calendar that is, and so where a
business month ends, is known only when the instance says what time it is. What happens when is in
`timeline`, what companies report in `records`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class Fault(StrEnum):
    """What is wrong with a planted charge; the platform's findings have the same names."""

    DUPLICATE = "duplicate"
    NO_CONSENT = "no_consent"
    AFTER_UNSUBSCRIBE = "after_unsubscribe"
    IN_TRIAL = "in_trial"
    PRICE_MISMATCH = "price_mismatch"
    NUMBER_SUSPENDED = "number_suspended"
    NUMBER_TERMINATED = "number_terminated"
    UNDELIVERED = "undelivered"
    OVER_CAP = "over_cap"
    AFTER_TRANSFER = "after_transfer"
    BARRED = "barred"
    OTHER_SERVICE = "other_service"
    """The fee code of another service, at the price of the one that is held."""
    MT_WITHOUT_MO = "mt_without_mo"
    SPLIT_CHARGES = "split_charges"
    RESERVED_NOT_DELIVERED = "reserved_not_delivered"
    """Held, let go, and charged all the same."""
    NO_DECISION = "no_decision"
    """Charged without a yes to the question whether it may be."""
    DELIVERED_NOT_CHARGED = "delivered_not_charged"
    """Held, taken, and never reported: the only one that is about no charge."""


REVIEWED = frozenset({Fault.SPLIT_CHARGES, Fault.RESERVED_NOT_DELIVERED})
"""What the platform leaves to a person (the rulebook's defaults); in the city an officer upholds it."""
OBSERVED = frozenset({Fault.NO_DECISION, Fault.DELIVERED_NOT_CHARGED})
"""What the platform only counts."""


class Sold(StrEnum):
    """How a service is paid for."""

    MONTHLY = "monthly"
    ON_DEMAND = "on_demand"


class LineStory(StrEnum):
    """How a hotline behaves when it is called."""

    ANSWER = "answer"
    BUSY_ONCE = "busy_once"
    """Busy at the first call, answered at the next: no breach."""
    NO_ANSWER = "no_answer"
    CHANGED = "changed"
    """The number belongs to somebody else now (410, Q.850 cause 22)."""
    CONGESTION = "congestion"
    """The network fails on the way: says nothing about the SP."""


DEAD_LINES = frozenset({LineStory.NO_ANSWER, LineStory.CHANGED})
"""Stories that are breaches."""


class Hotline(msgspec.Struct, frozen=True, kw_only=True):
    """A number under which a company says it can be reached."""

    n: int
    """Of all in the city; the telephone number follows from it."""
    story: LineStory
    appealed: bool = False
    """The company appeals against the breach and the second officer quashes it."""

    @property
    def is_breach(self) -> bool:
        """Whether a spot check has to end in a breach."""
        return self.story in DEAD_LINES


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A service on sale."""

    n: int
    """Of all in the city."""
    company: int
    sold: Sold
    price_fen: int
    keyword: str
    name: str


class Company(msgspec.Struct, frozen=True, kw_only=True):
    """A service provider."""

    n: int
    name: str
    good: bool
    """A good one never charges wrongly, but over the cap of a number, which it cannot see."""
    hotlines: tuple[Hotline, ...]
    offers: tuple[Offer, ...]


class Channel(StrEnum):
    """Through which door a person asks for a monthly service."""

    SMS = "sms"
    SP = "sp"
    AGENT = "agent"
    WEB = "web"


class Story(StrEnum):
    """What becomes of a person and a service."""

    KEEP = "keep"
    """Asked for, confirmed, kept (or left, when the stake says how)."""
    REFUSE = "refuse"
    SILENT = "silent"
    LATE = "late"
    """The yes comes after the window."""
    UNCLEAR = "unclear"
    """The answer is neither yes nor no."""
    NEVER = "never"
    """The person never heard of it."""
    BUY = "buy"
    """Ordered on demand."""


class Way(StrEnum):
    """How a person leaves."""

    TD = "td"
    """TD and nothing else: the only service there is."""
    TD_CODE = "td_code"
    CHOICE = "choice"
    """0000, then a number of the list."""
    AGENT = "agent"
    WEB = "web"
    ALL_SMS = "all_sms"
    """00000: everything."""
    ALL_AGENT = "all_agent"


class Fate(StrEnum):
    """What happens to a number itself."""

    SUSPENDED = "suspended"
    TERMINATED = "terminated"
    TRANSFERRED = "transferred"


class Stake(msgspec.Struct, frozen=True, kw_only=True):
    """One person's story with one service; no two stakes of a person share a service."""

    offer: int
    story: Story
    day: int
    """Asked for, or first bought, or wrongly charged."""
    channel: Channel = Channel.SMS
    words: str = ""
    """The answer to the prompt, with `{code}` for the prompt's code; the order's own spelling."""
    orders: tuple[int, ...] = ()
    """BUY: how many orders on each day from `day` on."""
    way: Way | None = None
    left_day: int | None = None
    fault: Fault | None = None
    """What the company does wrong."""
    beside: int | None = None
    """OTHER_SERVICE: whose fee code the company uses."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber."""

    n: int
    language: str
    stakes: tuple[Stake, ...]
    fate: Fate | None = None
    fate_day: int | None = None
    back_day: int | None = None
    """SUSPENDED: in service again."""
    barred_day: int | None = None
    """Wants nothing more of the company of the first stake."""
    exit: Way | None = None
    """Leaves everything at once."""
    exit_day: int | None = None
    idle_day: int | None = None
    """Texts something that leads to nothing."""


class City(msgspec.Struct, frozen=True, kw_only=True):
    """All that is drawn from a seed."""

    seed: int
    days: int
    companies: tuple[Company, ...]
    people: tuple[Person, ...]

    @property
    def offers(self) -> dict[int, Offer]:
        """Every service by its number."""
        return {offer.n: offer for company in self.companies for offer in company.offers}


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How an instance is reached, and as whom."""

    url: str
    staff: dict[str, str]
    """Login → password of admin, officer, officer2 and agent."""
    gateway_id: str
    gateway_secret: str


class KindScore(msgspec.Struct, frozen=True, kw_only=True):
    """How well one kind of planted error was found."""

    kind: str
    planted: int
    found: int
    false_alarms: int
    """Findings of this kind on a charge that is not labelled with it."""
    mode: str = ""
    """What follows when this rule of the audit strikes: `refund`, `review` or `observe`."""
    precision: float | None = None
    """Of all that was found, the share that was planted; None: nothing was found."""

    def __post_init__(self) -> None:
        """Work out the precision."""
        struck = self.found + self.false_alarms
        precision = round(self.found / struck, 4) if struck else None
        msgspec.structs.force_setattr(self, "precision", precision)


class Consents(msgspec.Struct, frozen=True, kw_only=True):
    """What became of requests for monthly services."""

    asked: int
    confirmed: int
    refused: int
    expired: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was planted, what the platform made of it."""

    seed: int
    subscribers: int
    days: int
    companies: int
    services: int
    began: datetime
    """The play's beginning by the instance's clock."""
    kinds: tuple[KindScore, ...]
    hotlines: tuple[KindScore, ...]
    """Spot checks: breaches due, found, false."""
    quashed: KindScore
    """Breaches that were appealed against and are no more."""
    quarantine: KindScore
    """Broken lines: planted, found with the right reason, and others."""
    charges: int
    landed: int
    files: int
    batches: int
    redelivered: int
    owed_fen: int
    """Both multiples of every planted difference."""
    refunded_fen: int
    receivable_fen: int
    """Booked against the companies."""
    consents_due: Consents
    consents: Consents
    events: int
    requests: int
    retries: int
    seconds: float
    faults: tuple[str, ...] = ()
    """What does not agree, in words; a few of each kind."""
    ok: bool
    """All that was planted was found, nothing else was, and the money agrees."""


Json = dict[str, Any]
"""A decoded answer of the API."""


class CityError(Exception):
    """The play cannot go on; the message says what was waited for or refused, never a number."""
