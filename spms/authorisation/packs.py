"""Decisions about messages on record: those of one SP's round are one pack.

A pack holds each question, its answer, and what the answer rests on as it was read: the SP's and
the service's part once for all questions that share it, the number's part as the database keeps it.
A decision's id is that of its pack with its place in the last 16 bits.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from spms.authorisation import number
from spms.authorisation.dossier import Dossier
from spms.authorisation.model import DecisionRequest, Facts, Purpose, Reason
from spms.authorisation.recorded_queries import RecordedRow
from spms.authorisation.terms import Terms
from spms.core.ids import new_id

PLACES: Final = 1 << 16
_new, _set = object.__new__, object.__setattr__
_safe: Final = UUID(int=0).is_safe


class Item(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One decision."""

    msisdn: str
    terms: int
    """Which of the pack's."""
    price_fen: int
    access_number: str | None
    link_id: str | None
    reasons: tuple[Reason, ...]
    subscription_id: UUID | None
    kept: str | None
    """What the database kept about the number. None: nothing."""
    used: tuple[UUID, ...] = ()
    """The relations among them that had licensed their one charge."""


class Body(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is stored."""

    service_codes: tuple[str, ...]
    terms: tuple[msgspec.Raw, ...]
    orders_since: datetime
    items: tuple[Item, ...]


class PackRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pack as it is stored."""

    sp_id: UUID
    decided_at: datetime
    id: UUID
    decisions: int
    allowed: list[str]
    body: bytes
    requested_by: str


class Pack:
    """A pack that is being made."""

    def __init__(self, sp_id: UUID, actor: str) -> None:
        """Begin, when what it will rest on has been read: that has smaller ids."""
        self.sp_id, self.actor = sp_id, actor
        self._first = new_id().int & -PLACES
        self._terms: dict[int, int] = {}
        self._codes: list[str] = []
        self._packed: list[msgspec.Raw] = []
        self._items: list[Item] = []
        self._allowed: list[str] = []

    @property
    def full(self) -> bool:
        """Whether there is no place left."""
        return len(self._items) == PLACES

    def add(
        self, asked: DecisionRequest, terms: Terms, reasons: tuple[Reason, ...],
        subscription_id: UUID | None, kept: str | None, used: tuple[UUID, ...] = (),
    ) -> UUID:  # fmt: skip
        """Add a decision; return its id."""
        place = self._terms.get(id(terms))
        if place is None:
            place = self._terms[id(terms)] = len(self._codes)
            self._codes.append(asked.service_code)
            self._packed.append(msgspec.Raw(terms.packed))
        made = _new(UUID)
        _set(made, "int", self._first + len(self._items))
        _set(made, "is_safe", _safe)
        if not reasons:
            self._allowed.append(asked.msisdn)
        self._items.append(
            Item(
                asked.msisdn, place, asked.price_fen, asked.access_number, asked.link_id, reasons,
                subscription_id, kept, used,
            )
        )  # fmt: skip
        return made

    def row(self, *, now: datetime, orders_since: datetime) -> PackRow:
        """Return what is to be stored."""
        body = Body(tuple(self._codes), tuple(self._packed), orders_since, tuple(self._items))
        return PackRow(
            sp_id=self.sp_id, decided_at=now, id=UUID(int=self._first),
            decisions=len(self._items), allowed=self._allowed,
            body=msgspec.msgpack.encode(body), requested_by=self.actor,
        )  # fmt: skip


def pack_id(decision_id: UUID) -> UUID:
    """Return the id of the pack in which a decision would be."""
    return UUID(int=decision_id.int & -PLACES)


_body: Final = msgspec.msgpack.Decoder(Body)
_facts: Final = msgspec.msgpack.Decoder(Facts)


def opened(row: PackRow) -> list[RecordedRow]:
    """Return the decisions of a pack in their order."""
    body = _body.decode(row.body)
    terms = [Terms(_facts.decode(raw)) for raw in body.terms]
    return [
        _recorded(row, body, place, item, terms[item.terms])
        for place, item in enumerate(body.items)
    ]


def _recorded(row: PackRow, body: Body, place: int, item: Item, terms: Terms) -> RecordedRow:
    asked = DecisionRequest(
        purpose=Purpose.MESSAGE, msisdn=item.msisdn, service_code=body.service_codes[item.terms],
        price_fen=item.price_fen, access_number=item.access_number, link_id=item.link_id,
    )  # fmt: skip
    kept = [] if item.kept is None else [(item.msisdn, number.read(item.kept))]
    rows = number.rows(
        kept, {}, frozenset(item.used), at=row.decided_at,
        orders_since=body.orders_since,
    )  # fmt: skip
    return RecordedRow(
        msisdn=item.msisdn, decided_at=row.decided_at, id=UUID(int=row.id.int + place),
        purpose=Purpose.MESSAGE, sp_id=row.sp_id, service_id=_service_id(terms.base),
        service_code=asked.service_code, access_number=item.access_number,
        price_fen=item.price_fen, allowed=not item.reasons, reasons=item.reasons,
        subscription_id=item.subscription_id,
        rulebook_version=terms.base.rulebook_version, facts=Dossier(rows, {}).facts(terms, asked),
    )  # fmt: skip


def _service_id(facts: Facts) -> UUID | None:
    return None if facts.service is None else facts.service.id
