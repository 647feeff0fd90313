"""The timeline of a subscriber: what happens when, and over which spans services are held.

A day has a few fixed moments, far enough apart that nothing which happens at one of them, late by
a restart of the platform, can be taken for something at the next.
"""

from datetime import timedelta

from spms.city.model import Channel, Fate, Person, Stake, Story, Way
from spms.city.timeline import Deed, Event, Life, Relation, Span

DAY = timedelta(days=1)
ASK = timedelta(minutes=10)
ANSWER = timedelta(minutes=40)
"""Well inside the window of 60 minutes."""
LEAVE = timedelta(hours=2)
"""Leaving, late answers, what happens to numbers: after the window, before anything is charged."""
CHOOSE = timedelta(hours=2, minutes=20)
BUY = timedelta(hours=3)
BAR = timedelta(hours=3, minutes=20)
MAY_I = BUY
"""Right after the day's orders companies ask whether they may make the day's charges."""
CHARGE_FROM = timedelta(hours=4)
CHARGE_UNTIL = timedelta(hours=21)
DELIVER = timedelta(hours=22)
"""Companies deliver the day's records."""
ORDER_HOURS = timedelta(hours=24)
"""How long an order on demand may be charged (the rulebook's default)."""

REQUESTS = {
    Channel.SMS: Deed.ORDER,
    Channel.SP: Deed.ASK_SP,
    Channel.AGENT: Deed.ASK_AGENT,
    Channel.WEB: Deed.ASK_WEB,
}
ANSWERS = {
    Story.KEEP: (ANSWER, Deed.YES),
    Story.REFUSE: (ANSWER, Deed.NO),
    Story.UNCLEAR: (ANSWER, Deed.UNCLEAR),
    Story.LATE: (LEAVE, Deed.LATE_YES),
}
WAYS = {
    Way.TD: ((LEAVE, Deed.TD),),
    Way.TD_CODE: ((LEAVE, Deed.TD_CODE),),
    Way.CHOICE: ((LEAVE, Deed.LIST), (CHOOSE, Deed.CHOOSE)),
    Way.AGENT: ((LEAVE, Deed.LEAVE_AGENT),),
    Way.WEB: ((LEAVE, Deed.LEAVE_WEB),),
    Way.ALL_SMS: ((LEAVE, Deed.ALL_SMS),),
    Way.ALL_AGENT: ((LEAVE, Deed.ALL_AGENT),),
}
FATES = {
    Fate.SUSPENDED: Deed.SUSPENDED,
    Fate.TERMINATED: Deed.TERMINATED,
    Fate.TRANSFERRED: Deed.TRANSFERRED,
}


def live(person: Person) -> Life:
    """Live a person's days."""
    events: list[Event] = []
    relations: list[Relation] = []
    ends = [at for at in (_over(person), _exit(person)) if at is not None]
    for stake in person.stakes:
        events += _asking(person, stake)
        events += _leaving(person, stake)
        relations += _relations(stake, ends)
    events += _of_number(person)
    silences = _silences(person)
    over = _over(person)
    if person.idle_day is not None:
        at = DAY * person.idle_day + BUY
        dumb = any(s.begin <= at and (s.end is None or at < s.end) for s in silences)
        if not dumb and (over is None or at < over):
            events.append(Event(at=at, person=person.n, deed=Deed.IDLE))
    events.sort(key=lambda event: event.at)
    return Life(
        person=person, events=tuple(events), relations=tuple(relations), silences=silences,
        over=over,
    )  # fmt: skip


def day_of(at: timedelta) -> int:
    """Return the day of the play, from 0."""
    return at // DAY


def _asking(person: Person, stake: Stake) -> list[Event]:
    start = DAY * stake.day
    if stake.story is Story.BUY:
        return [
            Event(at=start + DAY * later + BUY, person=person.n, deed=Deed.BUY, offer=stake.offer)
            for later, count in enumerate(stake.orders)
            for _ in range(count)
        ]
    if stake.story is Story.NEVER:
        return []
    deed = REQUESTS[stake.channel]
    events = [Event(at=start + ASK, person=person.n, deed=deed, offer=stake.offer)]
    if stake.story in ANSWERS:
        at, deed = ANSWERS[stake.story]
        events.append(
            Event(at=start + at, person=person.n, deed=deed, offer=stake.offer, words=stake.words)
        )
    return events


def _leaving(person: Person, stake: Stake) -> list[Event]:
    if stake.way is None or stake.left_day is None:
        return []
    return [
        Event(at=DAY * stake.left_day + at, person=person.n, deed=deed, offer=stake.offer)
        for at, deed in WAYS[stake.way]
    ]


def _of_number(person: Person) -> list[Event]:
    """Return what happens to the number as a whole."""
    events = []
    if person.fate is not None and person.fate_day is not None:
        at = DAY * person.fate_day + LEAVE
        events.append(Event(at=at, person=person.n, deed=FATES[person.fate]))
    if person.back_day is not None:
        at = DAY * person.back_day + LEAVE
        events.append(Event(at=at, person=person.n, deed=Deed.RESUMED))
    if person.barred_day is not None:
        at, offer = DAY * person.barred_day + BAR, person.stakes[0].offer
        events.append(Event(at=at, person=person.n, deed=Deed.BAR, offer=offer))
    if person.exit is not None and person.exit_day is not None:
        at, deed = WAYS[person.exit][0]
        events.append(Event(at=DAY * person.exit_day + at, person=person.n, deed=deed))
    return events


def _relations(stake: Stake, ends: list[timedelta]) -> list[Relation]:
    start = DAY * stake.day
    if stake.story is Story.BUY:
        return [
            Relation(stake=stake, span=Span(begin=begin, end=begin + ORDER_HOURS))
            for later, count in enumerate(stake.orders)
            for begin in [start + DAY * later + BUY] * count
        ]
    if stake.story is not Story.KEEP:
        return []
    end = min((*ends, *_left(stake)), default=None)
    return [Relation(stake=stake, span=Span(begin=start + ANSWER, end=end))]


def _left(stake: Stake) -> list[timedelta]:
    if stake.way is None or stake.left_day is None:
        return []
    return [DAY * stake.left_day + WAYS[stake.way][-1][0]]


def _silences(person: Person) -> tuple[Span, ...]:
    if person.fate is not Fate.SUSPENDED or person.fate_day is None:
        return ()
    end = None if person.back_day is None else DAY * person.back_day + LEAVE
    return (Span(begin=DAY * person.fate_day + LEAVE, end=end),)


def _over(person: Person) -> timedelta | None:
    if person.fate not in {Fate.TERMINATED, Fate.TRANSFERRED} or person.fate_day is None:
        return None
    return DAY * person.fate_day + LEAVE


def _exit(person: Person) -> timedelta | None:
    return None if person.exit_day is None else DAY * person.exit_day + LEAVE
