"""The nouns: a service, its tariff versions, its notice, and what of it is on offer."""

import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.core.money import Price
from spms.core.phone import AccessNumber, Hotline


class ServiceKind(StrEnum):
    """How a service is charged."""

    MONTHLY = "monthly"
    """包月: once per business month while the relation lives."""
    ON_DEMAND = "on_demand"
    """点播: once per order."""


class ServiceStatus(StrEnum):
    """Where a service stands."""

    DRAFT = "draft"
    ONLINE = "online"
    OFFLINE = "offline"
    WITHDRAWN = "withdrawn"


class ServiceAction(StrEnum):
    """What may be done with a service."""

    BRING_ONLINE = "bring_online"
    TAKE_OFFLINE = "take_offline"
    WITHDRAW = "withdraw"


class Period(StrEnum):
    """What a price is for."""

    MONTH = "month"
    USE = "use"


class NoticeState(StrEnum):
    """What became of a notice."""

    DRAFTED = "drafted"
    APPROVED = "approved"
    REJECTED = "rejected"


ServiceCode = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9]{4,8}$(?!\n)", description="业务代码", examples=["880100"])
]
Keyword = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9A-Za-z\u4e00-\u9fff]{1,12}$(?!\n)", examples=["TQ"])
]
ServiceName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=40,
        pattern=r"^[^\s](?:[^\t\r\n]*[^\s])?$(?!\n)",
        description="One line: it stands inside the text that people are asked to confirm.",
    ),
]
Category = Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{2,30}$(?!\n)", examples=["information"])]


class CatalogueRules(msgspec.Struct, frozen=True, kw_only=True):
    """Section `catalogue` of the rulebook: what an ordinary price is (domain P7)."""

    ordinary_month_fen: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1_000
    ordinary_use_fen: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 200
    """A dearer tariff is a high price: only an SP with enough points may apply for it."""
    promotion_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 31
    """Longest joint promotion of a service."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """Something an SP sells."""

    id: UUID
    sp_id: UUID
    code: str
    name: str
    kind: ServiceKind
    category: str
    access_number: str
    keyword: str
    status: ServiceStatus
    created_at: datetime


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a service's price, in force until the next one takes over."""

    id: UUID
    service_id: UUID
    version: int
    price_fen: int
    effective_from: datetime
    created_at: datetime
    created_by: str


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """资费告知: what a person is told before paying, approved before sale."""

    id: UUID
    service_id: UUID
    tariff_id: UUID
    version: int
    sp_name: str
    service_name: str
    price_fen: int
    period: Period
    hotline: str
    leave_command: str
    state: NoticeState
    drafted_at: datetime
    drafted_by: str
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What is on sale at an instant: service, tariff in force, and the notice approved for it."""

    service_id: UUID
    service_code: str
    service_name: str
    kind: ServiceKind
    category: str
    sp_id: UUID
    sp_code: str
    sp_name: str
    access_number: str
    keyword: str
    tariff_id: UUID
    price_fen: int
    notice_id: UUID
    period: Period
    hotline: str
    leave_command: str


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A service just registered, with what must happen before it is sold."""

    service: Service
    tariff: Tariff
    notice: Notice


class Repriced(msgspec.Struct, frozen=True, kw_only=True):
    """A tariff version just added, with the notice that must be approved for it."""

    tariff: Tariff
    notice: Notice


class NewService(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an SP hands in to sell something."""

    code: ServiceCode
    name: ServiceName
    kind: ServiceKind
    category: Category = "information"
    access_number: AccessNumber
    keyword: Keyword
    price_fen: Price
    hotline: Hotline
    """Shown in the notice; one of the SP's own in force."""


class NewTariff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price from an instant on."""

    price_fen: Price
    effective_from: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Not in the past; without it, at once."""
    hotline: Hotline | None = None
    """For the new notice; without it, the one of the notice before."""


class NewAccessNumber(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """接入号: the number a service sends from and is ordered at."""

    sp_id: UUID
    number: AccessNumber


def canonical_keyword(keyword: str) -> str:
    """Write a keyword as replies are read: half-width, upper case."""
    return unicodedata.normalize("NFKC", keyword).upper()
