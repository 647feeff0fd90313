"""The nouns: service providers, their contacts, and what restricts them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.core.phone import Hotline, Msisdn

Line = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=60,
        pattern=r"^[^\s](?:[^\t\r\n]*[^\s])?$(?!\n)",
        description="One line of text, neither beginning nor ending with a space.",
    ),
]

Licence = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9A-Z\u4e00-\u9fff][0-9A-Z\u4e00-\u9fff.-]{2,38}[0-9A-Z]$(?!\n)",
        description="Number of the value-added telecom licence (增值电信业务经营许可证),"
        " letters in upper case.",
        examples=["B2-20060189", "粤B2-20050123"],
    ),
]

Hotlines = Annotated[list[Hotline], msgspec.Meta(max_length=10)]

Reason = Annotated[str, msgspec.Meta(min_length=2, max_length=500)]


class PartnerRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rulebook's section about SPs."""

    hotlines_min: Annotated[int, msgspec.Meta(ge=1, le=10)] = 2
    """Hotlines on record before an SP may go live (domain L1)."""
    applications_per_hour: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    """Applications of the last hour that may wait for review: the door is open to anybody."""


class SpStatus(StrEnum):
    """How far an SP's qualification has come."""

    APPLIED = "applied"
    IN_REVIEW = "in_review"
    ACTIVE = "active"
    """May sell, as far as no restriction holds."""
    REJECTED = "rejected"
    CLOSED = "closed"


class SpAction(StrEnum):
    """What moves an SP's status."""

    APPLY = "apply"
    REVIEW = "review"
    ACTIVATE = "activate"
    REJECT = "reject"
    CLOSE = "close"


class Sp(msgspec.Struct, frozen=True, kw_only=True):
    """A service provider as it is now."""

    id: UUID
    code: str
    """Six digits, given by the operator."""
    name: str
    licence_no: str
    responsible_name: str
    responsible_mobile: str | None = None
    """Canonical MSISDN; masked in every answer."""
    hotlines: list[str] = []
    """The numbers in use now, oldest first."""
    status: SpStatus
    applied_at: datetime
    activated_at: datetime | None = None


class SpEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an SP's history."""

    action: SpAction
    from_status: SpStatus | None = None
    to_status: SpStatus
    at: datetime
    reason: str | None = None


class Application(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a company hands in to become an SP."""

    name: Line
    """The company's registered name."""
    licence_no: Licence
    responsible_name: Line
    """The person who answers for the company."""
    responsible_mobile: Msisdn | None = None
    """Needed before activation."""
    hotlines: Hotlines = []
    """Numbers that subscribers can call; at least two before activation."""


class ClientSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What an SP's systems sign in with (OAuth 2.0 client credentials). Shown once, never stored."""

    client_id: UUID
    client_secret: str


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Client credentials as they are listed: without the secret, which is nowhere."""

    client_id: UUID
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    revoked_by: str | None


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """An application that was taken, and the credentials with which it can be followed."""

    sp: Sp
    client: ClientSecret


class SpHotline(msgspec.Struct, frozen=True, kw_only=True):
    """A number at which an active SP can be reached."""

    sp_id: UUID
    number: str


class ContactState(StrEnum):
    """What became of a request to change contacts."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"


class ContactAction(StrEnum):
    """What decides a request to change contacts."""

    APPROVE = "approve"
    REJECT = "reject"


class Contacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an SP wants to be reached from now on; the whole of it, not the difference."""

    hotlines: Annotated[list[Hotline], msgspec.Meta(min_length=2, max_length=10)]
    responsible_name: Line
    responsible_mobile: Msisdn


class ContactChange(msgspec.Struct, frozen=True, kw_only=True):
    """A request to change contacts. In force only once approved."""

    id: UUID
    sp_id: UUID
    hotlines: list[str]
    responsible_name: str
    responsible_mobile: str
    """Canonical MSISDN; masked in every answer."""
    state: ContactState
    requested_at: datetime
    requested_by: str
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None


class Measure(StrEnum):
    """What a restriction takes away."""

    NO_NEW_SERVICES = "no_new_services"
    NO_HIGH_PRICES = "no_high_prices"
    """No new tariff over the rulebook's ordinary prices."""
    NO_PROMOTION = "no_promotion"
    """No joint promotion with the operator."""
    NO_NEW_SUBSCRIPTIONS = "no_new_subscriptions"
    SHIELDED = "shielded"
    """屏蔽: no new relations and no charges."""
    SETTLEMENT_HELD = "settlement_held"
    SETTLEMENT_CUT = "settlement_cut"
    """A share of what settlement would pay is kept."""
    OFFLINE = "offline"
    """下线: everything of the SP stands still."""


class Restriction(msgspec.Struct, frozen=True, kw_only=True):
    """A measure against an SP or one of its services, for a time and a cause."""

    id: UUID
    sp_id: UUID
    service_id: UUID | None = None
    """Null: the whole SP."""
    measure: Measure
    cause_kind: str
    """`breach` (a decided breach) or `officer` (a compliance officer's own decision)."""
    cause_id: str
    reason: str
    starts_at: datetime
    ends_at: datetime | None = None
    """The first instant at which it no longer holds; null: until lifted."""
    imposed_by: str
    lifted_by: str | None = None
    lift_reason: str | None = None
    cut_percent: int | None = None
    """Of a settlement cut: the share that is kept."""


class BadCredit(msgspec.Struct, frozen=True, kw_only=True):
    """黑名单: a company and its responsible person whom the operator does not deal with."""

    id: UUID
    sp_id: UUID
    """Whose conduct brought it."""
    code: str
    name: str
    licence_no: str
    responsible_name: str
    cause_kind: str
    cause_id: str
    reason: str
    listed_at: datetime
    until_at: datetime
    removed_at: datetime | None = None


class Likeness(StrEnum):
    """In what an SP is like one on the bad-credit list."""

    LICENCE = "licence"
    COMPANY = "company"
    MOBILE = "mobile"
    PERSON = "person"
    """The name only: two people may have one name, so a person looks."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the bad-credit list that an SP is like."""

    bad_credit_id: UUID
    likeness: Likeness


class CompanyLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """联动: the company under which an SP works in a province."""

    company: Line
    province: Line
