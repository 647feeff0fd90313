"""Who lives in the city: every kind of error first, then people as they come.

A person has at most one story with any one service, so every label stands on its own.
"""

from enum import Enum, auto
from random import Random

import msgspec

from spms.city.model import Channel, Company, Fate, Fault, Offer, Person, Sold, Stake, Story, Way
from spms.city.spenders import big_spender, split, thrifty_spender

PROMPTS_A_DAY = 3
"""The rulebook's limit; nobody in the city is asked more often."""
WRONG_SHARE = 0.3
"""Of the people that come after the first cast."""
EXTRA_STAKES = (0, 1, 1, 2)
ENGLISH_SHARE = 0.1
IDLE_SHARE = 0.1
PEOPLE_PER_SPENDER = 300
"""Beyond the first three."""

CHANNELS = (Channel.SMS,) * 6 + (Channel.SP,) * 2 + (Channel.AGENT, Channel.WEB)
YES = ("Y", "y", "Ｙ", "是", "确认", "yes", "Y {code}", "Y{code}", "是{code}")
YES_CODED = ("Y {code}", "y{code}", "Ｙ　{code}", "确认 {code}", "是{code}")
NO = ("N", "n", "Ｎ", "否", "不要", "N {code}")
NO_CODED = ("N {code}", "n{code}", "否{code}")
UNCLEAR = ("好的", "ok", "1", "在吗", "Y N", "同意", "是的")


class Spender(Enum):
    """Who spends up to a cap, and when."""

    EARLY = auto()
    LATE = auto()
    BIG = auto()


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of life, and the error in it."""

    story: Story
    fault: Fault | None = None
    way: Way | None = None
    fate: Fate | None = None
    exit: Way | None = None
    needs_days: int = 1


WRONG = (
    Role(story=Story.KEEP, fault=Fault.DUPLICATE),
    Role(story=Story.NEVER, fault=Fault.NO_CONSENT),
    Role(story=Story.KEEP, fault=Fault.PRICE_MISMATCH),
    Role(story=Story.BUY, fault=Fault.UNDELIVERED),
    Role(story=Story.KEEP, fault=Fault.NUMBER_SUSPENDED, fate=Fate.SUSPENDED),
    Role(story=Story.KEEP, fault=Fault.NUMBER_TERMINATED, fate=Fate.TERMINATED),
    Role(story=Story.KEEP, fault=Fault.AFTER_UNSUBSCRIBE, way=Way.TD, needs_days=2),
    Role(story=Story.KEEP, fault=Fault.IN_TRIAL),
    Role(story=Story.REFUSE, fault=Fault.NO_CONSENT),
    *[Role(story=Story.KEEP, fault=Fault.IN_TRIAL)] * 2,  # one may meet the end of a month
    Role(story=Story.SILENT, fault=Fault.NO_CONSENT),
    Role(story=Story.LATE, fault=Fault.NO_CONSENT),
    Role(story=Story.UNCLEAR, fault=Fault.NO_CONSENT),
    Role(story=Story.KEEP, fault=Fault.AFTER_TRANSFER, fate=Fate.TRANSFERRED),
    Role(story=Story.BUY, fault=Fault.BARRED),
    Role(story=Story.KEEP, fault=Fault.OTHER_SERVICE),
    Role(story=Story.NEVER, fault=Fault.MT_WITHOUT_MO),
    Role(story=Story.BUY, fault=Fault.SPLIT_CHARGES),
    Role(story=Story.BUY, fault=Fault.RESERVED_NOT_DELIVERED),
    Role(story=Story.BUY, fault=Fault.NO_DECISION),
    Role(story=Story.BUY, fault=Fault.DELIVERED_NOT_CHARGED, needs_days=6),
    Role(story=Story.BUY, fault=Fault.NO_CONSENT, needs_days=2),
    Role(story=Story.BUY, fault=Fault.DUPLICATE),
    Role(story=Story.BUY, fault=Fault.PRICE_MISMATCH),
    Role(story=Story.KEEP, fault=Fault.AFTER_UNSUBSCRIBE, way=Way.TD_CODE, needs_days=2),
    Role(story=Story.KEEP, fault=Fault.AFTER_UNSUBSCRIBE, way=Way.CHOICE, needs_days=2),
    Role(story=Story.KEEP, fault=Fault.AFTER_UNSUBSCRIBE, way=Way.AGENT, needs_days=2),
    Role(story=Story.KEEP, fault=Fault.AFTER_UNSUBSCRIBE, way=Way.WEB, needs_days=2),
    Role(story=Story.KEEP, fault=Fault.AFTER_UNSUBSCRIBE, exit=Way.ALL_SMS, needs_days=2),
    Role(story=Story.KEEP, fault=Fault.AFTER_UNSUBSCRIBE, exit=Way.ALL_AGENT, needs_days=2),
)
"""Every way of charging wrongly but over a cap; the first of them are kinds of their own."""

RIGHT = (
    *[Role(story=Story.KEEP)] * 6,
    *[Role(story=Story.BUY)] * 3,
    Role(story=Story.REFUSE),
    Role(story=Story.SILENT),
    Role(story=Story.LATE),
    Role(story=Story.UNCLEAR),
    *[Role(story=Story.KEEP, way=way, needs_days=2)
      for way in (Way.TD, Way.TD_CODE, Way.CHOICE, Way.AGENT, Way.WEB)],
    *[Role(story=Story.KEEP, fate=fate) for fate in Fate],
    *[Role(story=Story.KEEP, exit=way, needs_days=2) for way in (Way.ALL_SMS, Way.ALL_AGENT)],
)  # fmt: skip
"""Lives in which nothing is charged wrongly."""

EXTRAS = (*[Story.KEEP] * 5, *[Story.BUY] * 3, Story.REFUSE, Story.SILENT)


class Market:
    """What is on sale, and by whom."""

    def __init__(self, companies: tuple[Company, ...]) -> None:
        """Sort the offers by how they are paid and by who sells them."""
        self._all = {sold: self._of(companies, sold) for sold in Sold}
        self._bad = {
            sold: self._of(tuple(c for c in companies if not c.good), sold) for sold in Sold
        }

    @staticmethod
    def _of(companies: tuple[Company, ...], sold: Sold) -> tuple[Offer, ...]:
        return tuple(o for c in companies for o in c.offers if o.sold is sold)

    def offers(self, sold: Sold, *, bad: bool = False) -> tuple[Offer, ...]:
        """Return what is sold so, by anybody or by bad companies only."""
        return (self._bad if bad else self._all)[sold]

    def beside(self, offer: int) -> set[int]:
        """Return everything that an offer's company sells."""
        every = [each for offers in self._all.values() for each in offers]
        company = next(each.company for each in every if each.n == offer)
        return {each.n for each in every if each.company == company}

    def mixed_up(self, roll: Random) -> tuple[Offer, int | None]:
        """Return a monthly offer of a bad company, and another of its at another price.

        None where bad companies have one price each.
        """
        every = [offer for offers in self._bad.values() for offer in offers]
        pairs = [
            (held, other.n)
            for held in self.offers(Sold.MONTHLY, bad=True)
            for other in every
            if other.company == held.company and other.price_fen != held.price_fen
        ]
        return roll.choice(pairs) if pairs else (self.offers(Sold.MONTHLY, bad=True)[0], None)


def people(roll: Random, market: Market, *, subscribers: int, days: int) -> tuple[Person, ...]:
    """Invent the subscribers."""
    roles: list[Role | Spender] = [role for role in WRONG if role.needs_days <= days]
    # Spenders at different times: where one meets the end of a month, the other does not.
    roles[8:8] = [Spender.EARLY, Spender.LATE]
    roles += [Spender.BIG, *[*Spender] * (subscribers // PEOPLE_PER_SPENDER)]
    right = [role for role in RIGHT if role.needs_days <= days]
    wrong = [role for role in WRONG if role.needs_days <= days]
    while len(roles) < subscribers:
        roles.append(roll.choice(wrong if roll.random() < WRONG_SHARE else right))
    roles = roles[:subscribers]
    roll.shuffle(roles)
    return tuple(_person(roll, market, n, role, days) for n, role in enumerate(roles))


def _person(roll: Random, market: Market, n: int, role: Role | Spender, days: int) -> Person:
    language = "en" if roll.random() < ENGLISH_SHARE else "zh"
    idle_day = roll.randrange(days) if roll.random() < IDLE_SHARE else None
    if isinstance(role, Spender):
        spend = big_spender if role is Spender.BIG else thrifty_spender
        stakes = spend(roll, market, days=days, late=role is Spender.LATE)
        person = Person(n=n, language=language, stakes=stakes, idle_day=idle_day)
    else:
        person = _cast(roll, market, n, role, days)
        person = msgspec.structs.replace(person, language=language, idle_day=idle_day)
    return msgspec.structs.replace(person, stakes=_worded(roll, person.stakes))


def _cast(roll: Random, market: Market, n: int, role: Role, days: int) -> Person:
    """Invent one life: the story with its error, then what else happens beside it."""
    on_demand = role.story is Story.BUY or role.fault is Fault.MT_WITHOUT_MO
    sold = Sold.ON_DEMAND if on_demand else Sold.MONTHLY
    offer, beside = roll.choice(market.offers(sold, bad=role.fault is not None)), None
    orders: tuple[int, ...] = (1,) if role.story is Story.BUY else ()
    if role.fault is Fault.OTHER_SERVICE:
        offer, beside = market.mixed_up(roll)
    elif role.fault is Fault.SPLIT_CHARGES:
        offer, orders = split(market)
    day = roll.randrange(days - role.needs_days + 1)
    fate_day = back_day = exit_day = left_day = None
    if role.fate is not None:
        # A charge in the wrong state of the number stands alone: asked for the same day.
        fate_day = day if role.fault in NUMBER_FAULTS else roll.randrange(day, days)
        if role.fate is Fate.SUSPENDED and fate_day + 1 < days:
            back_day = roll.choice((None, roll.randrange(fate_day + 1, days)))
    if role.exit is not None:
        exit_day = roll.randrange(day + 1, days)
    if role.way is not None:
        left_day = roll.randrange(day + 1, days)
    main = Stake(
        offer=offer.n, story=role.story, day=day, channel=roll.choice(CHANNELS), way=role.way,
        left_day=left_day, fault=role.fault, orders=orders, beside=beside,
    )  # fmt: skip
    last = next((d for d in (fate_day, exit_day) if d is not None), days - 1)
    extras = _extras(roll, market, main, role, last)
    return Person(
        n=n, language="zh", stakes=(main, *extras), fate=role.fate, fate_day=fate_day,
        back_day=back_day, exit=role.exit, exit_day=exit_day,
        barred_day=day if role.fault is Fault.BARRED else None,
    )  # fmt: skip


NUMBER_FAULTS = frozenset({Fault.NUMBER_SUSPENDED, Fault.NUMBER_TERMINATED})
ALONE = frozenset({Fault.BARRED, Fault.OTHER_SERVICE})
"""Whoever meets these has nothing else to do with the company."""


def _extras(roll: Random, market: Market, main: Stake, role: Role, last: int) -> list[Stake]:
    """Invent right stories beside the main one, all begun by the day `last`."""
    ends = role.fate is not None or role.exit is not None
    extras: list[Stake] = []
    taken = market.beside(main.offer) if role.fault in ALONE else {main.offer}
    for _ in range(roll.choice(EXTRA_STAKES)):
        story = Story.KEEP if ends else roll.choice(EXTRAS)
        if role.way is Way.TD:
            story = Story.BUY  # TD alone ends the only monthly service
        sold = Sold.ON_DEMAND if story is Story.BUY else Sold.MONTHLY
        free = [offer for offer in market.offers(sold) if offer.n not in taken]
        if not free:
            continue
        offer = roll.choice(free)
        taken.add(offer.n)
        extras.append(
            Stake(
                offer=offer.n,
                story=story,
                day=roll.randrange(last + 1),
                channel=_door(roll, main, extras),
                orders=(1,) if story is Story.BUY else (),
            )
        )
    return extras


def _door(roll: Random, main: Stake, extras: list[Stake]) -> Channel:
    """Choose a channel; a one-time code is asked for once a day at most."""
    channel = roll.choice(CHANNELS)
    used = {stake.channel for stake in (main, *extras)}
    return Channel.SMS if channel is Channel.WEB and Channel.WEB in used else channel


def _worded(roll: Random, stakes: tuple[Stake, ...]) -> tuple[Stake, ...]:
    """Choose each answer's words: with the prompt's code where several prompts are open."""
    worded = []
    for stake in stakes:
        asked = sum(
            other.day == stake.day and other.story not in {Story.BUY, Story.NEVER}
            for other in stakes
        )
        several = asked > 1
        words = {
            Story.KEEP: YES_CODED if several else YES,
            Story.LATE: YES_CODED if several else YES,
            Story.REFUSE: NO_CODED if several else NO,
            Story.UNCLEAR: UNCLEAR,
        }.get(stake.story, ("",))
        worded.append(msgspec.structs.replace(stake, words=roll.choice(words)))
    return tuple(worded)
