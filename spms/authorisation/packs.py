"""Decisions about messages on record: those of one SP's round are one pack.

A pack holds each question, its answer, and what the answer rests on as it was read: the SP's and
the service's part once for all questions that share it, the number's part as the database keeps it.
A decision's id is that of its pack with its place in the last 16 bits.
"""

import zlib
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec

from spms.authorisation import number
from spms.authorisation.content import ContentFact
from spms.authorisation.dossier import Dossier
from spms.authorisation.model import DecisionRequest, Facts, Purpose, Reason, SentFact
from spms.authorisation.number import Event, Kept, Relation
from spms.authorisation.recorded_queries import RecordedRow
from spms.authorisation.terms import Terms
from spms.core.ids import new_id

PLACES: Final = 1 << 16
WORDS: Final = (
    b"purpose price_fen sp_id sp_status restrictions service number relation spent_service_fen"
    b" quiet caps own_caps bars rulebook_version service_month_fen total_month_fen"
    b" category_month_fen measure cause_kind cause_id service_id id code kind status access_number"
    b" category access_number_sp_id tariff_id tariff_version tariff_price_fen notice_id"
    b" notice_version message active online monthly on_demand information"
)
"""What the terms of most packs consist of, so that they need not be spelt out in each. Part of what
is stored: it must never be changed."""
_encode: Final = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_new, _set = object.__new__, object.__setattr__
_safe: Final = UUID(int=0).is_safe


class Item(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One decision."""

    terms: int
    """Which of the pack's."""
    price_fen: int
    access_number: str | None
    link_id: str | None
    reasons: tuple[Reason, ...]
    subscription_id: UUID | None
    event: Event | None
    """By which the number was what it was."""
    relation: Relation | None
    """That was judged."""
    content: ContentFact | None = None
    sent: SentFact | None = None
    kept: Kept | None = None
    """Instead of event and relation, all that was kept about a number that is not like most."""
    used: tuple[UUID, ...] = ()
    """The orders among its relations that had licensed their one charge."""


Written = tuple[Any, ...]
"""The values of an `Item`, in order: what is made for each question is made no dearer than it must."""


class Body(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is stored."""

    service_codes: tuple[str, ...]
    terms: tuple[bytes, ...]
    orders_since: datetime
    items: tuple[Item, ...]


class PackRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pack as it is stored."""

    sp_id: UUID
    id: UUID
    decided_at: datetime
    decisions: int
    numbers: str
    denied: list[int]
    """Places from 1."""
    body: bytes
    requested_by: str


class Pack:
    """A pack that is being made."""

    __slots__ = ("_first", "actor", "denied", "items", "numbers", "places", "sp_id")

    def __init__(self, sp_id: UUID, actor: str) -> None:
        """Begin, when what it will rest on has been read: that has smaller ids."""
        self.sp_id, self.actor = sp_id, actor
        self._first = new_id().int & -PLACES
        self.places: dict[Terms, int] = {}
        self.items: list[Written] = []
        self.numbers: list[str] = []
        self.denied: list[int] = []

    def place(self, terms: Terms) -> int:
        """Return which of the pack's terms these are."""
        return self.places.setdefault(terms, len(self.places))

    def add(self, msisdn: str, item: Written, reasons: tuple[Reason, ...]) -> UUID:
        """Add a decision; return its id."""
        made, items = _new(UUID), self.items
        _set(made, "int", self._first + len(items))
        _set(made, "is_safe", _safe)
        items.append(item)
        self.numbers.append(msisdn)
        if reasons:
            self.denied.append(len(items))
        return made

    def row(self, *, now: datetime, orders_since: datetime) -> PackRow:
        """Return what is to be stored."""
        places = list(self.places)
        body = (
            [terms.service_code for terms in places], [stored(terms) for terms in places],
            orders_since, self.items,
        )  # fmt: skip
        return PackRow(
            sp_id=self.sp_id, id=UUID(int=self._first), decided_at=now,
            decisions=len(self.items), numbers=",".join(self.numbers), denied=self.denied,
            body=_encode(body), requested_by=self.actor,
        )  # fmt: skip


@lru_cache(maxsize=10_000)
def stored(terms: Terms) -> bytes:
    """Write terms as a pack holds them."""
    packer = zlib.compressobj(9, zdict=WORDS)
    return packer.compress(_encode(terms.base)) + packer.flush()


def pack_id(decision_id: UUID) -> UUID:
    """Return the id of the pack in which a decision would be."""
    return UUID(int=decision_id.int & -PLACES)


_body: Final = msgspec.msgpack.Decoder(Body)
_facts: Final = msgspec.msgpack.Decoder(Facts)


def opened(row: PackRow) -> list[RecordedRow]:
    """Return the decisions of a pack in their order."""
    body = _body.decode(row.body)
    terms = [_terms(body, place) for place in range(len(body.terms))]
    numbers = row.numbers.split(",")
    return [
        _recorded(row, place, numbers[place], body, terms[item.terms])
        for place, item in enumerate(body.items)
    ]


def of_number(row: PackRow, msisdn: str) -> list[RecordedRow]:
    """Return a pack's decisions about one number, in their order."""
    body = _body.decode(row.body)
    return [
        _recorded(row, place, msisdn, body, _terms(body, body.items[place].terms))
        for place, number in enumerate(row.numbers.split(","))
        if number == msisdn
    ]


def _terms(body: Body, place: int) -> Terms:
    packed, code = body.terms[place], body.service_codes[place]
    return Terms(_facts.decode(zlib.decompressobj(zdict=WORDS).decompress(packed)), code)


def _recorded(row: PackRow, place: int, msisdn: str, body: Body, terms: Terms) -> RecordedRow:
    item = body.items[place]
    asked = DecisionRequest(
        purpose=Purpose.MESSAGE, msisdn=msisdn, service_code=terms.service_code,
        price_fen=item.price_fen, access_number=item.access_number, link_id=item.link_id,
    )  # fmt: skip
    kept = item.kept or Kept(
        () if item.event is None else (item.event,),
        () if item.relation is None else (item.relation,), (), (),
    )  # fmt: skip
    rows = number.rows(
        [(msisdn, kept)], {}, frozenset(item.used), at=row.decided_at,
        orders_since=body.orders_since,
    )  # fmt: skip
    service = terms.base.service
    facts = msgspec.structs.replace(
        Dossier(rows, {}).facts(terms, asked), content=item.content, sent=item.sent
    )
    return RecordedRow(
        msisdn=msisdn, epoch=None if facts.number is None else facts.number.epoch,
        decided_at=row.decided_at, id=UUID(int=row.id.int + place),
        purpose=Purpose.MESSAGE, sp_id=row.sp_id,
        service_id=None if service is None else service.id,
        service_code=asked.service_code, access_number=item.access_number,
        price_fen=item.price_fen, allowed=not item.reasons, reasons=item.reasons,
        subscription_id=item.subscription_id, rulebook_version=terms.base.rulebook_version,
        facts=facts,
    )  # fmt: skip
