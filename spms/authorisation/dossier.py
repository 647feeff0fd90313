"""What one statement read for a whole batch, laid out for its questions one after another.

Questions of one batch about the same number come in order: what an earlier one was allowed counts
for the later ones, exactly as if they had come one by one.
"""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

import msgspec

from spms.authorisation.model import (
    BarFact,
    CapRules,
    DecisionRequest,
    Facts,
    NumberFact,
    OwnCaps,
    Purpose,
    RelationFact,
    RestrictionFact,
    ServiceFact,
)
from spms.authorisation.rules import choose
from spms.messaging.reading import ReadingKind, read

NO_CAPS = OwnCaps()
LEAVING = frozenset({ReadingKind.LEAVE, ReadingKind.LEAVE_ALL, ReadingKind.CHOICE})
"""What may end a relation once it is read; numbers may be choices out of the list."""


class NumberRow(NumberFact, frozen=True, kw_only=True):
    """A number's state, with the number it belongs to."""

    msisdn: str


class RelationRow(RelationFact, frozen=True, kw_only=True):
    """A relation, with what it joins."""

    msisdn: str
    service_id: UUID


class SpentRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a number was charged for one service this month."""

    msisdn: str
    service_id: UUID
    spent_fen: int


class BarRow(msgspec.Struct, frozen=True, kw_only=True):
    """A bar in force, as its number's holder set it."""

    msisdn: str
    epoch: int
    id: UUID
    scope: str
    target: str


class CapRow(msgspec.Struct, frozen=True, kw_only=True):
    """The latest cap of a scope that a number's holder set; None went back to the operator's."""

    msisdn: str
    epoch: int
    scope: str
    service_id: UUID | None = None
    limit_fen: int | None = None


class UnreadRow(msgspec.Struct, frozen=True, kw_only=True):
    """An SMS of the number that had come in and was not handled."""

    msisdn: str
    received_at: datetime
    text: str | None


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What the facts statement returns: one list per kind of fact, all of one instant."""

    sp_status: str | None
    restrictions: list[RestrictionFact]
    services: list[ServiceFact]
    numbers: list[NumberRow]
    relations: list[RelationRow]
    spent: list[SpentRow]
    bars: list[BarRow]
    caps: list[CapRow]
    unread: list[UnreadRow]


class Dossier:
    """The facts of a batch, with running sums."""

    def __init__(
        self, gathered: Gathered, *, sp_id: UUID, caps: CapRules, rulebook_version: int
    ) -> None:
        """Lay out what was read, by number and by service."""
        self._sp_id = sp_id
        self._sp_status = gathered.sp_status
        self._restrictions = gathered.restrictions
        self._caps = caps
        self._version = rulebook_version
        self._services = {service.code: service for service in gathered.services}
        self._numbers = {
            row.msisdn: NumberFact(state=row.state, epoch=row.epoch, event_id=row.event_id)
            for row in gathered.numbers
        }
        self._relations: dict[tuple[str, UUID], list[RelationFact]] = defaultdict(list)
        for relation in gathered.relations:
            self._relations[relation.msisdn, relation.service_id].append(_relation(relation))
        self._spent: dict[tuple[str, UUID], int] = {}
        self._total: dict[str, int] = defaultdict(int)
        for spent in gathered.spent:
            self._spent[spent.msisdn, spent.service_id] = spent.spent_fen
            self._total[spent.msisdn] += spent.spent_fen
        self._bars: dict[tuple[str, int], list[BarRow]] = defaultdict(list)
        for held in gathered.bars:
            self._bars[held.msisdn, held.epoch].append(held)
        self._own = {
            (cap.msisdn, cap.epoch, cap.scope, cap.service_id): cap.limit_fen
            for cap in gathered.caps
        }
        self._leaving: dict[str, datetime] = {}
        for sms in gathered.unread:
            if may_leave(sms.text):
                self._leaving.setdefault(sms.msisdn, sms.received_at)

    def facts(self, asked: DecisionRequest) -> Facts:
        """Return what one question rests on, after all that was allowed before it."""
        service = self._services.get(asked.service_code)
        number = self._numbers.get(asked.msisdn)
        service_id = None if service is None else service.id
        return Facts(
            purpose=asked.purpose,
            price_fen=asked.price_fen,
            sp_id=self._sp_id,
            access_number=asked.access_number,
            link_id=asked.link_id,
            sp_status=self._sp_status,
            restrictions=tuple(
                held for held in self._restrictions if held.service_id in {None, service_id}
            ),
            service=service,
            number=number,
            relation=None if service_id is None or number is None else choose(
                self._relations.get((asked.msisdn, service_id), ()), epoch=number.epoch,
                link_id=asked.link_id,
            ),
            spent_service_fen=0 if service_id is None
            else self._spent.get((asked.msisdn, service_id), 0),
            spent_total_fen=self._total.get(asked.msisdn, 0),
            caps=self._caps,
            own_caps=self._own_caps(asked.msisdn, number, service_id),
            bars=self._barring(asked.msisdn, number, service),
            leave_received_at=self._leaving.get(asked.msisdn),
            rulebook_version=self._version,
        )  # fmt: skip

    def _own_caps(self, msisdn: str, number: NumberFact | None, service_id: UUID | None) -> OwnCaps:
        if not self._own or number is None:
            return NO_CAPS
        holder = (msisdn, number.epoch)
        of_service = self._own.get((*holder, "service", service_id))
        if of_service is None:
            of_service = self._own.get((*holder, "each_service", None))
        return OwnCaps(
            service_month_fen=of_service,
            total_month_fen=self._own.get((*holder, "total", None)),
        )

    def _barring(
        self, msisdn: str, number: NumberFact | None, service: ServiceFact | None
    ) -> tuple[BarFact, ...]:
        """Return the bars that keep this service away, and no other: the SP may read them."""
        if not self._bars or number is None or service is None:
            return ()
        targets = {"all": "", "sp": str(service.sp_id), "category": service.category}
        return tuple(
            BarFact(id=held.id, scope=held.scope)
            for held in self._bars.get((msisdn, number.epoch), ())
            if held.target == targets[held.scope]
        )

    def count(self, asked: DecisionRequest, facts: Facts) -> bool:
        """Count an allowed charge for the questions that follow; say whether it used an order."""
        if asked.purpose != Purpose.CHARGE or facts.service is None or facts.relation is None:
            return False
        key = (asked.msisdn, facts.service.id)
        self._spent[key] = self._spent.get(key, 0) + asked.price_fen
        self._total[asked.msisdn] += asked.price_fen
        if facts.service.kind != "on_demand":
            return False
        self._relations[key] = [
            msgspec.structs.replace(relation, used=True)
            if relation.id == facts.relation.id else relation
            for relation in self._relations[key]
        ]  # fmt: skip
        return True


def _relation(row: RelationRow) -> RelationFact:
    """Leave the number behind: facts never hold it."""
    return RelationFact(
        id=row.id, epoch=row.epoch, price_fen=row.price_fen, live=row.live,
        active_from=row.active_from, consent_kind=row.consent_kind,
        consent_price_fen=row.consent_price_fen, charge_from=row.charge_from, free=row.free,
        link_id=row.link_id, used=row.used,
    )  # fmt: skip


def may_leave(text: str | None) -> bool:
    """Whether an SMS may be a wish to leave."""
    return read(text).kind in LEAVING
