"""What the companies charge: the right records, the planted wrong ones, and their labels.

Here the calendar comes in: a monthly service is due once in each business month, and caps begin
anew with each, so the same city is charged differently at the end of a month.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from random import Random
from typing import NamedTuple

import msgspec

from spms.city.lives import CHARGE_FROM, CHARGE_UNTIL, DAY, day_of
from spms.city.model import REVIEWED, City, Fate, Fault, Offer, Sold, Stake, Story
from spms.city.plan import dice
from spms.city.records import Row
from spms.city.spenders import SERVICE_CAP_FEN, SPLIT_WITHIN, TOTAL_CAP_FEN
from spms.city.timeline import Life, Relation, Span
from spms.city.trial import charged_from, free_until
from spms.core.clock import business_month, next_month, start_of_day

PIECE_MIN = timedelta(hours=1)
"""A shorter rest of a day before or after the turn of a month is left alone."""
REPEAT_DAYS = 3
"""A duplicate, or a charge after leaving, follows within so many days."""


class Piece(NamedTuple):
    """A stretch of one day, within one business month, in which something may be charged."""

    begin: datetime
    end: datetime

    @property
    def month(self) -> date:
        """The business month it lies in."""
        return business_month(self.begin)


class Ledger:
    """Collects one play's records and labels."""

    def __init__(self, city: City, began: datetime) -> None:
        """Start with nothing charged."""
        self._offers = city.offers
        self._days = city.days
        self._began = began
        self._seed = city.seed

    def of(self, life: Life) -> list[Row]:
        """Return everything that is charged to one person, in order of time."""
        roll = dice(self._seed, "charges", life.person.n)
        rows: list[Row] = []
        for stake in life.person.stakes:
            relations = [r for r in life.relations if r.stake is stake]
            if stake.story is Story.BUY:
                rows += self._orders(roll, life, stake, relations)
            elif relations:
                rows += self._months(roll, life, relations[0])
            elif stake.fault is not None:
                piece = next(self._pieces(Span(begin=DAY * stake.day)))
                rows.append(self._row(life, stake, _in(roll, piece), fault=stake.fault, due_fen=0))
        rows.sort(key=lambda row: row.at)
        return _capped(rows)

    def _months(self, roll: Random, life: Life, relation: Relation) -> Iterator[Row]:
        """Charge a monthly service once a month while it is live, and wrongly as told."""
        stake, span = relation.stake, relation.span
        fault = stake.fault
        price = self._offers[stake.offer].price_fen
        charged: set[date] = set()
        begun = charged_from(self._began + span.begin)
        for piece in self._pieces(span):
            if (
                piece.begin < begun
                or piece.month in charged
                or _overlaps(life.silences, piece, self._began)
            ):
                continue
            first = not charged
            charged.add(piece.month)
            half = piece.begin + (piece.end - piece.begin) / 2
            at = _in(roll, Piece(piece.begin, half))
            if first and fault is Fault.PRICE_MISMATCH:
                over = price + roll.randrange(50, 1001, 50)
                yield self._row(life, stake, at, fault=fault, price_fen=over, due_fen=price)
                continue
            yield self._row(life, stake, at)
            if first and fault is Fault.DUPLICATE:
                pieces = self._pieces(span)
                later = [p for p in pieces if p.month == piece.month and p.begin > piece.begin]
                pieces_after = [Piece(half, piece.end), *later[:REPEAT_DAYS]]
                again = _in(roll, roll.choice(pieces_after))
                yield self._row(life, stake, again, fault=fault, due_fen=0)
        yield from self._beside(roll, life, relation)

    def _beside(self, roll: Random, life: Life, relation: Relation) -> Iterator[Row]:
        """Charge a monthly service when it was not to be charged at all."""
        stake, span = relation.stake, relation.span
        wrong: Span | None = None
        free = None
        if stake.fault is Fault.IN_TRIAL:
            wrong, free = span, free_until(self._began + span.begin)
        elif stake.fault is Fault.AFTER_UNSUBSCRIBE and span.end is not None:
            wrong = Span(begin=span.end)
        elif stake.fault is Fault.OTHER_SERVICE and stake.beside is not None:
            wrong = span
        elif stake.fault is Fault.NUMBER_SUSPENDED and life.silences:
            wrong = life.silences[0]
        elif life.over is not None and (
            stake.fault is Fault.NUMBER_TERMINATED or life.person.fate is Fate.TRANSFERRED
        ):
            wrong = Span(begin=life.over)
        if wrong is None or stake.fault is None:
            return
        pieces = [p for p in self._pieces(wrong) if free is None or p.end <= free][:REPEAT_DAYS]
        if pieces:
            at = _in(roll, roll.choice(pieces))
            yield self._row(life, stake, at, fault=stake.fault, due_fen=0)

    def _orders(
        self, roll: Random, life: Life, stake: Stake, relations: list[Relation]
    ) -> Iterator[Row]:
        """Charge each order once, on the day it was made, and wrongly as told."""
        price = self._offers[stake.offer].price_fen
        fault = stake.fault if stake.fault is not Fault.OVER_CAP else None  # the calendar decides
        if fault is Fault.SPLIT_CHARGES:
            yield from self._split(roll, life, stake, len(relations))
            return
        of_day = Counter(day_of(relation.span.begin) for relation in relations)
        done: Counter[int] = Counter()
        for relation in relations:
            day = day_of(relation.span.begin)
            at = _in(roll, _part(self._window(day), done[day], of_day[day]))
            done[day] += 1
            match fault:
                case Fault.BARRED:
                    yield self._row(life, stake, at, fault=fault, due_fen=0)
                case Fault.RESERVED_NOT_DELIVERED:
                    yield self._row(life, stake, at, fault=fault, due_fen=0, delivery="none")
                case Fault.NO_DECISION | Fault.DELIVERED_NOT_CHARGED:
                    yield self._row(life, stake, at, fault=fault)
                case Fault.UNDELIVERED:
                    yield self._row(life, stake, at, fault=fault, due_fen=0, delivery="failed")
                case Fault.PRICE_MISMATCH:
                    over = price + roll.randrange(50, 201, 50)
                    yield self._row(life, stake, at, fault=fault, price_fen=over, due_fen=price)
                case Fault.DUPLICATE:
                    first, second = sorted((at, _in(roll, self._window(day))))
                    yield self._row(life, stake, first)
                    second = max(second, first + timedelta(minutes=2))
                    yield self._row(life, stake, second, fault=fault, due_fen=0)
                case Fault.NO_CONSENT:
                    yield self._row(life, stake, at)
                    again = _in(roll, self._window(day + 1))  # the order has run out by then
                    yield self._row(life, stake, again, fault=fault, due_fen=0)
                case _:
                    yield self._row(life, stake, at)

    def _split(self, roll: Random, life: Life, stake: Stake, count: int) -> Iterator[Row]:
        """Charge a day's orders in quick succession; the last one takes them over the limit."""
        window = self._window(stake.day)
        at = _in(roll, Piece(window.begin, window.end - 2 * SPLIT_WITHIN))
        for _ in range(count - 1):
            yield self._row(life, stake, at)
            at = (at + SPLIT_WITHIN / count).replace(microsecond=0)
        yield self._row(life, stake, at, fault=Fault.SPLIT_CHARGES, due_fen=0)

    def _row(
        self,
        life: Life,
        stake: Stake,
        at: datetime,
        *,
        fault: Fault | None = None,
        price_fen: int | None = None,
        due_fen: int | None = None,
        delivery: str | None = None,
    ) -> Row:
        offer: Offer = self._offers[stake.offer]
        price = offer.price_fen if price_fen is None else price_fen
        if fault is Fault.OTHER_SERVICE and stake.beside is not None:
            offer = self._offers[stake.beside]
        usual = "delivered" if offer.sold is Sold.ON_DEMAND else "none"
        return Row(
            serial=0,
            company=offer.company,
            offer=offer.n,
            person=life.person.n,
            at=at,
            price_fen=price,
            delivery=delivery or usual,
            fault=fault,
            due_fen=price if due_fen is None else due_fen,
        )

    def _window(self, day: int) -> Piece:
        start = self._began + DAY * day
        return Piece(start + CHARGE_FROM, start + CHARGE_UNTIL)

    def _pieces(self, span: Span) -> Iterator[Piece]:
        """Cut a span into pieces in which a charge belongs to one month and to the span wholly.

        Spans begin and end in the morning of a day of the play, before anything is charged.
        """
        for day in range(day_of(span.begin), self._days):
            if span.end is not None and span.end < DAY * day + CHARGE_FROM:
                return
            begin, end = self._window(day)
            turn = start_of_day(next_month(business_month(begin)))
            parts = [(begin, min(end, turn)), (turn, end)]
            yield from (Piece(a, b) for a, b in parts if b - a >= PIECE_MIN)


def rows(city: City, began: datetime, lives: Iterable[Life]) -> list[Row]:
    """Return every record of the play with its label, numbered in order of company and time."""
    ledger = Ledger(city, began)
    found = [row for life in lives for row in ledger.of(life)]
    found.sort(key=lambda row: (row.company, row.at, row.person))
    return [msgspec.structs.replace(row, serial=n) for n, row in enumerate(found, start=1)]


def _in(roll: Random, piece: Piece) -> datetime:
    """Choose a whole second."""
    seconds = int((piece.end - piece.begin).total_seconds())
    return (piece.begin + timedelta(seconds=roll.randrange(seconds))).replace(microsecond=0)


def _overlaps(silences: tuple[Span, ...], piece: Piece, began: datetime) -> bool:
    return any(
        began + silence.begin < piece.end
        and (silence.end is None or piece.begin < began + silence.end)
        for silence in silences
    )


def _capped(rows: list[Row]) -> list[Row]:
    """Label what no longer fits a cap of its month, as the caps stand when it is charged."""
    of_service: defaultdict[tuple[date, int], int] = defaultdict(int)
    of_all: defaultdict[date, int] = defaultdict(int)
    labelled = []
    for row in rows:
        month = business_month(row.at)
        fits = min(
            SERVICE_CAP_FEN - of_service[month, row.offer], TOTAL_CAP_FEN - of_all[month]
        )  # fmt: skip
        if not row.reported:
            labelled.append(row)
            continue
        if row.due_fen > fits:
            if row.fault is not None:
                raise ValueError("two errors were planted on one charge")
            labelled.append(msgspec.structs.replace(row, fault=Fault.OVER_CAP, due_fen=fits))
        else:
            labelled.append(row)
        # What a person decides later counts until then.
        counts = row.price_fen if row.fault in REVIEWED else labelled[-1].due_fen
        of_service[month, row.offer] += counts
        of_all[month] += counts
    return labelled


def _part(window: Piece, n: int, of: int) -> Piece:
    """Return a part of a day: what is ordered many times is not charged in quick succession."""
    length = (window.end - window.begin) / of
    return Piece(window.begin + n * length, window.begin + (n + 1) * length)
