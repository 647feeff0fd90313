"""What one statement read for a whole batch, laid out for its questions one after another.

Questions of one batch about the same number come in order: what an earlier one was allowed counts
for the later ones, exactly as if they had come one by one.
"""

from collections import defaultdict
from collections.abc import Mapping
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
    ServiceFact,
)
from spms.authorisation.quota import NO_METERS, Meters
from spms.authorisation.rules import choose
from spms.authorisation.terms import Terms

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
    """What a number's holder was charged for each service this month."""

    msisdn: str
    epoch: int
    by_service: dict[UUID, int]
    turn: int
    """Counts up with every change; whoever changes it names the one it has read."""


NOTHING_SPENT = MonthRow(msisdn="", epoch=0, by_service={}, turn=0)


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
    id: UUID | None = None


NO_CAP = CapRow(msisdn="", epoch=0, scope="")


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
        self, rows: NumberRows, categories: Mapping[UUID, str], meters: Meters = NO_METERS
    ) -> None:
        """Lay out what was read, by number and by service; `categories` are the services'."""
        self._categories, self._meters = categories, meters
        self._numbers = {
            row.msisdn: NumberFact(state=row.state, epoch=row.epoch, event_id=row.event_id)
            for row in rows.numbers
        }
        self._relations: dict[tuple[str, UUID], list[RelationFact]] = defaultdict(list)
        self._leaving = {row.id: row.leave_received_at for row in rows.relations}
        for relation in rows.relations:
            self._relations[relation.msisdn, relation.service_id].append(_relation(relation))
        self._months = {(month.msisdn, month.epoch): month for month in rows.months}
        self._charged: dict[str, MonthRow] = {}
        self._bars: dict[tuple[str, int], list[BarRow]] = defaultdict(list)
        for held in rows.bars:
            self._bars[held.msisdn, held.epoch].append(held)
        self._own = {
            (cap.msisdn, cap.epoch, cap.scope, cap.service_id): cap
            for cap in rows.caps
            if cap.limit_fen is not None
        }

    def facts(self, terms: Terms, asked: DecisionRequest) -> Facts:
        """Return what one question rests on, after all that was allowed before it.

        Of a service that is another SP's, nothing that would tell what the person has with it.
        What she was charged is looked at for a charge only.
        """
        base, service_id = terms.base, terms.service_id
        number = self._numbers.get(asked.msisdn)
        charge = asked.purpose == Purpose.CHARGE
        month = self._month(asked.msisdn) if charge else NOTHING_SPENT
        relation = None if service_id is None or number is None else choose(
            self._relations.get((asked.msisdn, service_id), ()), epoch=number.epoch,
            link_id=asked.link_id,
        )  # fmt: skip
        own = base.service if service_id is not None else None
        push = own is not None and not charge
        meter = self._meters.get(base.sp_id) if push else None
        return msgspec.structs.replace(
            base,
            purpose=asked.purpose,
            price_fen=asked.price_fen,
            access_number=asked.access_number,
            link_id=asked.link_id,
            number=number,
            relation=relation,
            spent_service_fen=0 if service_id is None else month.by_service.get(service_id, 0),
            spent_total_fen=sum(month.by_service.values()),
            spent_category_fen=self._of_category(month, base.caps, own),
            own_caps=self._own_caps(asked.msisdn, number, service_id),
            bars=self._barring(asked.msisdn, number, own),
            quota=base.quota if push else None,
            sent=None if meter is None else meter.sent(),
            content=terms.look(asked.content) if push else None,
            leave_received_at=self._leaving[relation.id] if charge and relation else None,
        )  # fmt: skip

    def _month(self, msisdn: str) -> MonthRow:
        number = self._numbers.get(msisdn)
        epoch = 0 if number is None else number.epoch
        found = self._charged.get(msisdn) or self._months.get((msisdn, epoch))
        return found or MonthRow(msisdn=msisdn, epoch=epoch, by_service={}, turn=0)

    def _of_category(self, month: MonthRow, rules: CapRules, service: ServiceFact | None) -> int:
        """Return what the month has come to over a service's category, where that has a cap."""
        if service is None or service.category not in rules.category_month_fen:
            return 0
        return sum(
            fen for other, fen in month.by_service.items()
            if self._categories.get(other) == service.category
        )  # fmt: skip

    def charged(self) -> list[MonthRow]:
        """Return the months that allowed charges have changed, each with its next turn."""
        return [self._charged[msisdn] for msisdn in sorted(self._charged)]

    def _own_caps(self, msisdn: str, number: NumberFact | None, service_id: UUID | None) -> OwnCaps:
        if not self._own or number is None:
            return NO_CAPS
        holder = (msisdn, number.epoch)
        of_service = self._own.get((*holder, "service", service_id), NO_CAP)
        if of_service is NO_CAP:
            of_service = self._own.get((*holder, "each_service", None), NO_CAP)
        of_all = self._own.get((*holder, "total", None), NO_CAP)
        return OwnCaps(
            service_month_fen=of_service.limit_fen, total_month_fen=of_all.limit_fen,
            service_cap_id=of_service.id, total_cap_id=of_all.id,
        )  # fmt: skip

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
            epoch=before.epoch,
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
