"""A small model of one number's life with services, written from the rules and from nothing else.

It knows no table, no room and no calendar function of the platform. Every act takes the instant
at which it was received, and says what should come of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

HERE = ZoneInfo("Asia/Shanghai")
WINDOW, SETTLING = timedelta(minutes=60), timedelta(seconds=10)
ORDER_LIVES, TRIAL = timedelta(hours=24), timedelta(hours=72)
REST, SILENCE = timedelta(days=30), timedelta(days=7)
PROMPTS_A_DAY, SERVICE_CAP, TOTAL_CAP, LAST_TRIAL_DAY = 3, 3000, 10_000, 20


def month(at: datetime) -> tuple[int, int]:
    local = at.astimezone(HERE)
    return local.year, local.month


def next_month(at: datetime) -> datetime:
    year, number = month(at)
    year, number = (year + 1, 1) if number == 12 else (year, number + 1)
    return datetime(year, number, 1, tzinfo=HERE)


@dataclass(eq=False)
class Relation:
    """What a request or an order came to."""

    service: str
    order: bool
    epoch: int
    price: int
    tariff: int
    asked: datetime
    told: datetime
    """First charge date as the prompt names it."""
    code: str = ""
    follows: "Relation | None" = None
    state: str = "waiting"
    start: datetime | None = None
    free_to: datetime | None = None
    end: datetime | None = None
    why: str = ""

    @property
    def running(self) -> bool:
        return self.state == "live"

    def over(self, at: datetime, why: str) -> None:
        self.state, self.why = "over", why
        self.end = at if self.start is None else max(at, self.start)

    def holds(self, at: datetime) -> bool:
        """Whether a charge of this instant lies inside."""
        if self.start is None or at < self.start:
            return False
        if self.order:
            left = self.end is not None and self.end <= at and self.why != "lapsed"
            return at < self.start + ORDER_LIVES and not left
        return self.end is None or at < self.end


@dataclass(eq=False)
class Charge:
    """A record as it landed; `due` only ever falls."""

    service: str
    order: bool
    at: datetime
    price: int
    due: int = 0
    relation: Relation | None = None


@dataclass(eq=False)
class Life:
    """One number, its owners, what they have and what was taken for it."""

    prices: dict[str, int]
    orders: frozenset[str]
    """Services on demand."""
    born: datetime
    tariffs: dict[str, list[tuple[datetime, int]]] = field(default_factory=dict)
    """Versions by when they took force."""
    relations: list[Relation] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    prompts: list[datetime] = field(default_factory=list)
    refusals: list[tuple[str, int, datetime]] = field(default_factory=list)
    silences: list[tuple[str, int, datetime]] = field(default_factory=list)
    allowed: list[tuple[str, datetime, int, int]] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    """Orders that an allowed charge cited, by identity."""
    past: list[tuple[datetime, str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.past.append((self.born, "active", 1))
        self.tariffs = {service: [(self.born, 1)] for service in self.prices}

    def tariff(self, service: str, at: datetime) -> int:
        return [version for since, version in self.tariffs[service] if since <= at][-1]

    def reprice(self, service: str, price: int, at: datetime) -> int:
        version = self.tariffs[service][-1][1] + 1
        self.tariffs[service].append((at, version))
        self.prices[service] = price
        return version

    # The number

    def number_at(self, at: datetime) -> tuple[str, int]:
        return [(state, epoch) for since, state, epoch in self.past if since <= at][-1]

    @property
    def state(self) -> str:
        return self.past[-1][1]

    @property
    def epoch(self) -> int:
        return self.past[-1][2]

    def happened(self, kind: str, at: datetime) -> None:
        gone = {"terminated", "number_changed"}
        state = "terminated" if kind in gone else "suspended" if kind == "suspended" else "active"
        self.past.append((at, state, self.epoch + (kind in {"transferred", "activated"})))
        if kind in {*gone, "transferred"}:
            for one in self.relations:
                if one.state != "over":
                    one.over(at, kind)

    # Getting in

    def own(self, service: str | None = None) -> Iterator[Relation]:
        for one in self.relations:
            if one.epoch == self.epoch and service in {None, one.service}:
                yield one

    def running(self, service: str) -> Relation | None:
        return next((r for r in self.own(service) if r.running and not r.order), None)

    def open(self, at: datetime) -> list[Relation]:
        return [r for r in self.own() if r.state == "waiting" and r.asked <= at < r.asked + WINDOW]

    def first_charge(self, service: str, at: datetime, current: Relation | None) -> datetime:
        if current is not None and current.free_to is not None:
            return max(at, current.free_to)
        if at.astimezone(HERE).day > LAST_TRIAL_DAY:
            return next_month(at)
        for one in self.own(service):
            if one.start is not None and one.follows is None and month(one.start) == month(at):
                return at
        return at + TRIAL

    def ask(self, service: str, at: datetime, door: str) -> str:
        if self.state != "active":
            return "number_not_active"
        self.expire(at)
        if any(r.state == "waiting" for r in self.own(service)):
            return "already_pending"
        current = self.running(service)
        if current is not None and current.price == self.prices[service]:
            return "already_subscribed"
        said_no = [t + REST for s, e, t in self.refusals if (s, e) == (service, self.epoch)]
        said_nothing = [t + SILENCE for s, e, t in self.silences if (s, e) == (service, self.epoch)]
        if any(at < until for until in said_no + (said_nothing if door == "sp" else [])):
            return "resting"
        day = at.astimezone(HERE).date()
        if sum(t.astimezone(HERE).date() == day for t in self.prompts) >= PROMPTS_A_DAY:
            return "prompt_limit"
        self.prompts.append(at)
        told = self.first_charge(service, at, current)
        self.relations.append(
            Relation(
                service, order=False, epoch=self.epoch, price=self.prices[service],
                tariff=self.tariff(service, at), asked=at, told=told, follows=current,
            )
        )  # fmt: skip
        return "prompted"

    def yes(self, code: str | None, at: datetime) -> str:
        if self.deaf(at):
            return "deaf"
        meant = [r for r in self.open(at) if code in {None, r.code}]
        if len(meant) != 1:
            return "nothing"
        if self.state != "active":
            return "not_accepted"
        (one,) = meant
        current = self.running(one.service)
        if one.tariff != self.tariff(one.service, at) or current is not one.follows:
            one.over(at, "not_on_sale")
            return "not_accepted"
        one.free_to = max(one.told, self.first_charge(one.service, at, current))
        if current is not None:
            current.over(at, "taken_over")
        one.state, one.start = "live", at
        return "confirmed"

    def order(self, service: str, at: datetime) -> str:
        if self.state != "active":
            return "not_accepted"
        one = Relation(
            service, order=True, epoch=self.epoch, price=self.prices[service],
            tariff=self.tariff(service, at), asked=at, told=at, state="live", start=at, free_to=at,
        )  # fmt: skip
        self.relations.append(one)
        return "ordered"

    # Getting out

    def deaf(self, at: datetime) -> bool:
        """Whether a message is nobody's: terminated, or sent before the present owner's time."""
        since = max(t for t, _, e in self.past if e == self.epoch)
        begun = min(t for t, _, e in self.past if e == self.epoch)
        return (self.state == "terminated" and at >= since) or at < begun

    def no(self, code: str | None, at: datetime) -> str:
        if self.deaf(at):
            return "deaf"
        meant = [r for r in self.open(at) if code in {None, r.code}]
        for one in meant:
            self.refused(one, at)
        return "refused" if meant else "nothing"

    def refused(self, one: Relation, at: datetime) -> None:
        one.over(at, "no")
        self.refusals.append((one.service, one.epoch, at))

    def leave(self, service: str | None, at: datetime) -> str:
        """Everything that was asked for by then, of one service or of all."""
        if self.deaf(at):
            return "deaf"
        left = [r for r in self.own(service) if r.state != "over" and r.asked <= at]
        for one in left:
            if one.running:
                one.over(at, "subscriber")
            else:
                self.refused(one, at)
        return "left" if left else "nothing"

    def expire(self, now: datetime) -> None:
        for one in self.relations:
            if one.state == "waiting" and one.asked + WINDOW <= now - SETTLING:
                one.over(one.asked + WINDOW, "silence")
                self.silences.append((one.service, one.epoch, one.asked + WINDOW))

    def lapse(self, now: datetime) -> None:
        for one in self.relations:
            if one.running and one.order and one.start and one.start + ORDER_LIVES <= now:
                one.over(one.start + ORDER_LIVES, "lapsed")

    # Money

    def may_charge(self, service: str, price: int, now: datetime) -> bool:
        if service in self.orders:
            live = [r for r in self.own(service) if r.running and r.holds(now)]
            unused = [r for r in live if id(r) not in self.used]
            one = next(iter(unused), None)
        else:
            one = self.running(service)
        spent = [(s, p) for s, t, p, e in self.allowed if (month(t), e) == (month(now), self.epoch)]
        taken = service not in self.orders and any(s == service for s, _ in spent)
        fits = (
            not taken
            and sum(p for s, p in spent if s == service) + price <= SERVICE_CAP
            and sum(p for _, p in spent) + price <= TOTAL_CAP
        )
        if (
            self.state != "active" or one is None or one.free_to is None or now < one.free_to
            or price != one.price or not fits
        ):  # fmt: skip
            return False
        self.allowed.append((service, now, price, self.epoch))
        self.used.add(id(one))
        return True

    def land(self, service: str, at: datetime, price: int) -> Charge:
        charge = Charge(service, service in self.orders, at, price)
        one = self.licence(charge)
        if one is not None:
            spent = [
                c for c in self.charges
                if c.due and c.relation and c.relation.epoch == one.epoch
                and month(c.at) == month(at)
            ]  # fmt: skip
            paid = [
                c for c in spent
                if (c.relation is one if charge.order else c.service == service)
            ]  # fmt: skip
            of_service = sum(c.due for c in spent if c.service == service)
            fits = min(SERVICE_CAP - of_service, TOTAL_CAP - sum(c.due for c in spent))
            due = 0 if paid else self.owed(charge, one)
            charge.due, charge.relation = max(0, min(due, fits)), one
        self.charges.append(charge)
        return charge

    def licence(self, charge: Charge) -> Relation | None:
        _, epoch = self.number_at(charge.at)
        begun = [
            r for r in self.relations
            if r.service == charge.service and r.epoch == epoch
            and r.start is not None and r.start <= charge.at
        ]  # fmt: skip
        begun.sort(key=lambda r: r.start or r.asked)
        if not charge.order:
            return begun[-1] if begun and begun[-1].holds(charge.at) else None
        live = [r for r in begun if r.holds(charge.at)]
        used = {id(c.relation) for c in self.charges if c.due and c is not charge}
        unused = [r for r in live if id(r) not in used]
        return next(iter(unused or live[-1:]), None)

    def owed(self, charge: Charge, one: Relation | None) -> int:
        state, _ = self.number_at(charge.at)
        if state != "active" or one is None or one.free_to is None or charge.at < one.free_to:
            return 0
        return min(charge.price, one.price)

    def audit(self) -> None:
        """What became known late counts: nothing that was found due rises by it."""
        for charge in self.charges:
            if charge.due:
                charge.due = min(charge.due, self.owed(charge, self.licence(charge)))
