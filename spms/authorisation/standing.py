"""What a decision rests on besides the number: SPs, services, tariffs, notices, restrictions, rules.

All of it is dated, so one answer serves the present and any past instant, and a tariff that lies
ahead takes force at its instant without anybody being told.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from spms.authorisation.content import ContentRules, Lists, TemplateFact
from spms.authorisation.model import CapRules, PushRules, QuotaFact, RestrictionFact, ServiceFact
from spms.authorisation.reservation_model import HoldRules
from spms.authorisation.standing_rows import (
    Change,
    QuotaRow,
    RulesRow,
    ServiceRow,
    SpRow,
    TemplateRow,
)
from spms.core import rulebook
from spms.subscriptions.model import ConsentRules

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

NO_LISTS = Lists(ContentRules())


class SpThen(msgspec.Struct, frozen=True, kw_only=True):
    """An SP as of an instant."""

    status: str | None = None
    status_since: datetime | None = None
    restrictions: tuple[RestrictionFact, ...] = ()
    quota: QuotaFact | None = None


class TextsThen(msgspec.Struct, frozen=True, kw_only=True):
    """What a service may send, as of an instant."""

    bound: bool = False
    """A text was approved for it, even if none is in use any more."""
    templates: tuple[TemplateFact, ...] = ()


class RulesThen(msgspec.Struct, frozen=True, kw_only=True):
    """The rules a decision goes by, as of an instant."""

    version: int = 0
    cap: CapRules = CapRules()
    consent: ConsentRules = ConsentRules()
    hold: HoldRules = HoldRules()
    push: PushRules = PushRules()
    content: Lists = NO_LISTS


class Dated(Generic[T]):
    """Something that changes at known instants only, worked out once for each span between them."""

    def __init__(self, moments: Iterable[datetime], build: Callable[[datetime], T]) -> None:
        self.moments = sorted(moments)
        self._build = build
        self._known: dict[int, T] = {}

    def at(self, at: datetime) -> T:
        """Return what holds at the instant; a change counts from its own instant on."""
        span = bisect_right(self.moments, at)
        if span not in self._known:
            self._known[span] = self._build(at)
        return self._known[span]


NO_SP = SpThen()
NO_TEXTS = TextsThen()


class Standing:
    """All of it, read at one moment and true as long as `mark` is the database's."""

    def __init__(
        self,
        mark: UUID,
        sps: Sequence[SpRow],
        services: Sequence[ServiceRow],
        rules: Sequence[RulesRow],
    ) -> None:
        """Lay out what was read."""
        self.mark = mark
        self._sps = {row.id: _dated_sp(row) for row in sps}
        self._services = {row.code: _dated_service(row) for row in services}
        self._texts = {row.id: _dated_texts(row.templates) for row in services if row.templates}
        self._ids = {row.code: row.id for row in services}
        self._on_demand = {row.code for row in services if row.kind == "on_demand"}
        self.quotas = any(row.quotas for row in sps)
        """Whether any SP ever agreed one."""
        self.categories = {row.id: row.category for row in services}
        self._rules = _dated_rules(rules)
        dated: list[Dated[Any]] = [self._rules, *self._sps.values(), *self._services.values()]
        dated += self._texts.values()
        self._moments = sorted({moment for one in dated for moment in one.moments})
        self.thens: dict[tuple[int, int], Any] = {}
        """Kept here by `terms.then`, so that it is forgotten with what it was made of."""

    def span(self, at: datetime) -> int:
        """Return a number of the span around an instant in which nothing changes."""
        return bisect_right(self._moments, at)

    def service_id(self, code: str) -> UUID | None:
        """Return the id of the service with a code; a code never changes hands."""
        return self._ids.get(code)

    def on_demand(self, code: str) -> bool:
        """Whether the service with a code is ordered use by use."""
        return code in self._on_demand

    def service(self, code: str, at: datetime) -> ServiceFact | None:
        """Return a service as of an instant, or None when there is none with this code."""
        found = self._services.get(code)
        return None if found is None else found.at(at)

    def sp(self, sp_id: UUID, at: datetime) -> SpThen:
        """Return an SP's status and the restrictions in force as of an instant."""
        found = self._sps.get(sp_id)
        return NO_SP if found is None else found.at(at)

    def texts(self, service_id: UUID, at: datetime) -> TextsThen:
        """Return what a service may send as of an instant."""
        found = self._texts.get(service_id)
        return NO_TEXTS if found is None else found.at(at)

    def rules(self, at: datetime) -> RulesThen:
        """Return the rules in force at an instant."""
        return self._rules.at(at)


def _status(
    changes: Sequence[Change], at: datetime, now: str, *, first: str | None = None
) -> str | None:
    """Return the status as of an instant; before the first change, what it changed from."""
    last = _last(changes, at)
    if last is not None:
        return last.to_status
    return (changes[0].from_status or first or now) if changes else now


def _last(changes: Sequence[Change], at: datetime) -> Change | None:
    """Return the latest change by an instant."""
    return next((change for change in reversed(changes) if change.at <= at), None)


def _since(changes: Sequence[Change], at: datetime) -> datetime | None:
    """Return since when the status as of an instant holds, in UTC; None: from the beginning."""
    last = _last(changes, at)
    return None if last is None else last.at.astimezone(UTC)


def _dated_sp(row: SpRow) -> Dated[SpThen]:
    changes, held, quotas = row.changes or [], row.restrictions or [], row.quotas or []

    def build(at: datetime) -> SpThen:
        return SpThen(
            status=_status(changes, at, row.status),
            status_since=_since(changes, at),
            restrictions=tuple(
                RestrictionFact(
                    id=one.id, measure=one.measure, cause_kind=one.cause_kind,
                    cause_id=one.cause_id, service_id=one.service_id,
                )
                for one in held
                if one.starts_at <= at and (one.ends_at is None or one.ends_at > at)
            ),
            quota=next(
                (_quota(one) for one in reversed(quotas) if one.effective_from <= at), None
            ),
        )  # fmt: skip

    moments = {change.at for change in changes} | {one.starts_at for one in held}
    moments |= {one.effective_from for one in quotas}
    return Dated(moments | {one.ends_at for one in held if one.ends_at is not None}, build)


def _quota(row: QuotaRow) -> QuotaFact:
    return QuotaFact(
        id=row.id, version=row.version, per_second=row.per_second, per_day=row.per_day,
        per_month=row.per_month,
    )  # fmt: skip


def _dated_texts(rows: Sequence[TemplateRow]) -> Dated[TextsThen]:
    def build(at: datetime) -> TextsThen:
        return TextsThen(
            bound=any(one.decided_at <= at for one in rows),
            templates=tuple(
                TemplateFact(id=one.id, version=one.version, wording=one.wording)
                for one in rows
                if one.decided_at <= at and (one.retired_at is None or one.retired_at > at)
            ),
        )

    moments = {one.decided_at for one in rows}
    return Dated(moments | {one.retired_at for one in rows if one.retired_at is not None}, build)


def _dated_service(row: ServiceRow) -> Dated[ServiceFact]:
    changes, tariffs, notices = row.changes or [], row.tariffs or [], row.notices or []

    def build(at: datetime) -> ServiceFact:
        tariff = next((one for one in reversed(tariffs) if one.effective_from <= at), None)
        notice = next(
            (
                one for one in reversed(notices)
                if tariff is not None and one.tariff_id == tariff.id and one.decided_at <= at
            ),
            None,
        )  # fmt: skip
        return ServiceFact(
            id=row.id, code=row.code, sp_id=row.sp_id, kind=row.kind,
            status=_status(changes, at, row.status, first="draft") or row.status,
            access_number=row.access_number, category=row.category,
            access_number_sp_id=row.access_number_sp_id,
            tariff_id=None if tariff is None else tariff.id,
            tariff_version=None if tariff is None else tariff.version,
            tariff_price_fen=None if tariff is None else tariff.price_fen,
            notice_id=None if notice is None else notice.id,
            notice_version=None if notice is None else notice.version,
            status_since=_since(changes, at),
        )  # fmt: skip

    moments = {change.at for change in changes} | {one.effective_from for one in tariffs}
    return Dated(moments | {one.decided_at for one in notices}, build)


def _dated_rules(rows: Sequence[RulesRow]) -> Dated[RulesThen]:
    def build(at: datetime) -> RulesThen:
        row = next((one for one in reversed(rows) if one.effective_from <= at), None)
        if row is None:
            return RulesThen()

        def section(kind: type[S]) -> S:
            return msgspec.convert(row.rules.get(rulebook.section_name(kind), {}), kind)

        return RulesThen(
            version=row.version, cap=section(CapRules), consent=section(ConsentRules),
            hold=section(HoldRules), push=section(PushRules), content=Lists(section(ContentRules)),
        )  # fmt: skip

    return Dated({row.effective_from for row in rows}, build)
