"""What one statement read for a whole batch, laid out for its questions one after another.

Questions of one batch about the same number come in order: what an earlier one was allowed counts
for the later ones, exactly as if they had come one by one.
"""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

import msgspec

from spms.authorisation.content import ContentFact, look
from spms.authorisation.model import (
    BarFact,
    DecisionRequest,
    Facts,
    NumberFact,
    OwnCaps,
    Purpose,
    RelationFact,
    ServiceFact,
)
from spms.authorisation.quota import NO_METERS, Meters
from spms.authorisation.rules import choose
from spms.authorisation.standing import Standing
from spms.core.clock import SHANGHAI

NO_CAPS = OwnCaps()


class NumberRow(NumberFact, frozen=True, kw_only=True):
    """A number's state, with the number it belongs to."""

    msisdn: str


class RelationRow(RelationFact, frozen=True, kw_only=True):
    """A relation, with what it joins."""

    msisdn: str
    service_id: UUID
    leave_received_at: datetime | None = None
    """When the oldest wish to leave that is not settled came in, of those it could mean."""


class MonthRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a number was charged for each service this month."""

    msisdn: str
    by_service: dict[UUID, int]
    turn: int
    """Counts up with every change; whoever changes it names the one it has read."""


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


class NumberRows(msgspec.Struct, frozen=True, kw_only=True):
    """What was read about numbers: one list per kind of fact, all of one instant."""

    numbers: list[NumberRow]
    relations: list[RelationRow]
    months: list[MonthRow]
    bars: list[BarRow]
    caps: list[CapRow]


class Dossier:
    """The facts of a batch, with running sums."""

    def __init__(
        self, rows: NumberRows, standing: Standing, at: datetime, meters: Meters = NO_METERS
    ) -> None:
        """Lay out what was read, by number and by service."""
        self._standing, self._at, self._meters = standing, at, meters
        self.rules = standing.rules(at)
        self._quiet = self.rules.push.quiet(at.astimezone(SHANGHAI).hour)
        self._numbers = {
            row.msisdn: NumberFact(state=row.state, epoch=row.epoch, event_id=row.event_id)
            for row in rows.numbers
        }
        self._relations: dict[tuple[str, UUID], list[RelationFact]] = defaultdict(list)
        self._leaving = {row.id: row.leave_received_at for row in rows.relations}
        for relation in rows.relations:
            self._relations[relation.msisdn, relation.service_id].append(_relation(relation))
        self._months = {month.msisdn: month for month in rows.months}
        self._charged: dict[str, MonthRow] = {}
        self._bars: dict[tuple[str, int], list[BarRow]] = defaultdict(list)
        for held in rows.bars:
            self._bars[held.msisdn, held.epoch].append(held)
        self._own = {
            (cap.msisdn, cap.epoch, cap.scope, cap.service_id): cap.limit_fen for cap in rows.caps
        }

    def facts(self, asked: DecisionRequest, sp_id: UUID) -> Facts:
        """Return what one question of an SP rests on, after all that was allowed before it.

        Of a service that is another SP's, nothing that would tell what the person has with it.
        """
        service = self._standing.service(asked.service_code, self._at)
        number = self._numbers.get(asked.msisdn)
        sp = self._standing.sp(sp_id, self._at)
        own = service is not None and service.sp_id == sp_id
        service_id = service.id if own and service is not None else None
        month = self._month(asked.msisdn)
        relation = None if service_id is None or number is None else choose(
            self._relations.get((asked.msisdn, service_id), ()), epoch=number.epoch,
            link_id=asked.link_id,
        )  # fmt: skip
        push = own and asked.purpose is Purpose.MESSAGE
        meter = self._meters.get(sp_id) if push else None
        return Facts(
            purpose=asked.purpose,
            price_fen=asked.price_fen,
            sp_id=sp_id,
            access_number=asked.access_number,
            link_id=asked.link_id,
            sp_status=sp.status,
            restrictions=tuple(
                held for held in sp.restrictions if held.service_id in {None, service_id}
            ),
            service=service,
            number=number,
            relation=relation,
            spent_service_fen=0 if service_id is None else month.by_service.get(service_id, 0),
            spent_total_fen=sum(month.by_service.values()),
            spent_category_fen=self._of_category(month, service if own else None),
            quiet=self._quiet,
            caps=self.rules.cap,
            own_caps=self._own_caps(asked.msisdn, number, service_id),
            bars=self._barring(asked.msisdn, number, service) if own else (),
            quota=sp.quota if push else None,
            sent=None if meter is None else meter.sent(),
            content=self._content(asked, service) if push and service is not None else None,
            leave_received_at=None if relation is None else self._leaving[relation.id],
            rulebook_version=self.rules.version,
        )  # fmt: skip

    def _content(self, asked: DecisionRequest, service: ServiceFact) -> ContentFact | None:
        texts = self._standing.texts(service.id, self._at)
        return look(asked.content, self.rules.content, texts.templates, bound=texts.bound)

    def _month(self, msisdn: str) -> MonthRow:
        found = self._charged.get(msisdn) or self._months.get(msisdn)
        return found or MonthRow(msisdn=msisdn, by_service={}, turn=0)

    def _of_category(self, month: MonthRow, service: ServiceFact | None) -> int:
        """Return what the month has come to over a service's category, where that has a cap."""
        if service is None or service.category not in self.rules.cap.category_month_fen:
            return 0
        categories = self._standing.categories
        return sum(
            fen for other, fen in month.by_service.items()
            if categories.get(other) == service.category
        )  # fmt: skip

    def charged(self) -> list[MonthRow]:
        """Return the months that allowed charges have changed, each with its next turn."""
        return [self._charged[msisdn] for msisdn in sorted(self._charged)]

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
        """Count what is allowed for the questions that follow; say whether it used an order."""
        if asked.purpose is Purpose.MESSAGE and facts.sent is not None:
            self._meters[facts.sp_id].count()
        if asked.purpose != Purpose.CHARGE or facts.service is None or facts.relation is None:
            return False
        key = (asked.msisdn, facts.service.id)
        before = self._month(asked.msisdn)
        spent_fen = before.by_service.get(facts.service.id, 0) + asked.price_fen
        turn = before.turn if asked.msisdn in self._charged else before.turn + 1
        self._charged[asked.msisdn] = MonthRow(
            msisdn=asked.msisdn,
            by_service={**before.by_service, facts.service.id: spent_fen},
            turn=turn,
        )
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
