"""What a charge is judged by, and what the judgment is: nouns of the rules, no rules."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from spms.authorisation.model import CapRules
from spms.charging.model import AuditRules, Delivery, Finding, Kind


class Relation(NamedTuple):
    """One relation of the number's holder with the service, begun before the charge, consented."""

    subscription_id: UUID
    price_fen: int
    """What the person agreed to."""
    tariff_id: UUID
    active_from: datetime
    ended_at: datetime | None
    end_reason: str | None
    charge_from: datetime
    """Nothing is due before."""
    free_until: datetime | None
    """An SP's own free trial: it ends then, whenever the job says so."""
    authorisation_id: UUID | None = None
    """The latest decision by then that allowed a charge of this very relation: of a monthly service
    in the same business month, as it is for one month; of an order at any time."""
    reservation: str | None = None
    """Of that decision, its state when it was read; null: it held nothing."""
    reference: str | None = None
    """Under which name of the SP's it was held."""


class OwnLimits(NamedTuple):
    """What the number's holder had decided by the instant of the charge."""

    service_month_fen: int | None = None
    """Her cap on the service; null: the operator's holds."""
    total_month_fen: int | None = None
    barred_by: str | None = None
    """The scope of a bar that kept the service away."""


class Stray(NamedTuple):
    """What there is instead of a relation of the holder with the service."""

    former_id: UUID | None = None
    """A relation of a former holder of the number with this very service."""
    other_id: UUID | None = None
    """A relation the holder has with another service of the SP, at exactly the charged price,
    which is not this service's."""
    other_code: str | None = None


class Facts(NamedTuple):
    """Number and relations as of the instant of the charge."""

    state: str | None
    """Null: nobody held the number."""
    epoch: int | None
    relations: list[Relation]
    """Of that holder only, latest first."""
    tariff_id: UUID | None
    """In force at that instant."""
    category: str | None = None
    """The service's: a month may have a cap over all services of one."""
    own: OwnLimits = OwnLimits()
    stray: Stray = Stray()
    """Filled in when there are no relations."""


class Item(NamedTuple):
    """A charge to be judged."""

    charge_id: UUID
    record_id: str
    msisdn: str
    service_id: UUID
    kind: Kind
    charged_at: datetime
    price_fen: int
    delivery: Delivery
    sp_id: UUID


class Fault(NamedTuple):
    """One finding: what it leaves due, and the facts that show it."""

    kind: Finding
    due_fen: int
    detail: dict[str, Any]


class Verdict(NamedTuple):
    """What a charge was found to be."""

    faults: list[Fault]
    due_fen: int
    consent_id: UUID | None
    tariff_id: UUID | None
    authorisation_id: UUID | None
    suspicions: Sequence[Fault] = ()
    """What a person decides (mode `review`); nothing of it lowers what is due."""
    observed: Sequence[Finding] = ()
    """What is only counted (mode `observe`)."""


class Holder(NamedTuple):
    """One holder of one number in one business month: whom caps and duplicates are about."""

    msisdn: str
    epoch: int
    month: date


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rulebook's part in a verdict, as of one version."""

    version: int
    caps: CapRules
    order_lifetime: timedelta
    audit: AuditRules = AuditRules()
