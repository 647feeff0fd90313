"""The nouns: what is asked, what is answered, and the facts in between."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.authorisation.content import ContentFact
from spms.core.phone import AccessNumber, Msisdn

BATCH_MAX = 1000
"""Most questions in one batch."""

ServiceCode = Annotated[
    str,
    msgspec.Meta(
        pattern="^[0-9A-Za-z]{1,16}$(?!\\n)",
        description="业务代码. One that does not exist is answered with `service_unknown`.",
        examples=["100001"],
    ),
]

AskedPrice = Annotated[
    int,
    msgspec.Meta(
        ge=0, le=1_000_000, description="Fen. What will be charged; 0 for a message", examples=[800]
    ),
]

LinkId = Annotated[str, msgspec.Meta(pattern="^[0-9]{20}$(?!\\n)")]
Content = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=1000, examples=["【天气】天津今日晴，气温22度。"]),
]


class Purpose(StrEnum):
    """What the SP wants to do."""

    CHARGE = "charge"
    """Charge the person for a month or a use."""
    MESSAGE = "message"
    """Send a message of a service the person has, free of charge."""


class Reason(StrEnum):
    """Why not. Closed, and in the order in which an answer lists them."""

    SP_NOT_ACTIVE = "sp_not_active"
    SP_OFFLINE = "sp_offline"
    SERVICE_UNKNOWN = "service_unknown"
    SERVICE_NOT_OF_SP = "service_not_of_sp"
    SERVICE_NOT_ONLINE = "service_not_online"
    SERVICE_SHIELDED = "service_shielded"
    NO_NOTICE = "no_notice"
    ACCESS_NUMBER_WRONG = "access_number_wrong"
    PRICE_MISMATCH = "price_mismatch"
    NUMBER_UNKNOWN = "number_unknown"
    NUMBER_SUSPENDED = "number_suspended"
    NUMBER_TERMINATED = "number_terminated"
    NO_CONSENT = "no_consent"
    CONSENT_PENDING = "consent_pending"
    BARRED_ALL = "barred_all"
    """The number's holder bars every value-added service."""
    BARRED_SP = "barred_sp"
    BARRED_CATEGORY = "barred_category"
    LEAVE_RECEIVED = "leave_received"
    """A wish to leave came in and is not carried out yet: nothing is charged from its receipt."""
    TRIAL = "trial"
    ORDER_USED = "order_used"
    MONTH_USED = "month_used"
    """A monthly service is charged once a business month; a charge that is held counts as well."""
    QUIET_HOURS = "quiet_hours"
    """A message nobody asked for, at an hour at which the operator lets people sleep."""
    CAP_SERVICE = "cap_service"
    CAP_CATEGORY = "cap_category"
    CAP_TOTAL = "cap_total"
    SP_QUOTA = "sp_quota"
    """The SP has sent what it agreed with the operator for the day or the month."""
    SP_RATE = "sp_rate"
    """The same for the second: it may go a moment later."""
    CONTENT_FORBIDDEN = "content_forbidden"
    """The message's text meets an entry of the operator's lists."""
    CONTENT_NOT_APPROVED = "content_not_approved"
    """The service sends approved texts only, and this is none of them, or was not said."""


class CapRules(msgspec.Struct, frozen=True, kw_only=True):
    """Monthly caps in fen, per business month (rulebook section `cap`)."""

    service_month_fen: int = 3000
    """Per number and service: 30 yuan."""
    total_month_fen: int = 10_000
    """Per number over all SPs: 100 yuan."""
    category_month_fen: dict[str, int] = msgspec.field(default_factory=dict)
    """Per number over all services of a category, by category; one not named has no such cap."""


class PushRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a message that nobody asked for may not be sent (rulebook section `push`)."""

    quiet_from_hour: Annotated[int, msgspec.Meta(ge=0, le=23)] = 22
    """Hour of the day in Shanghai from which it may not; the same as `quiet_to_hour`: never."""
    quiet_to_hour: Annotated[int, msgspec.Meta(ge=0, le=23)] = 7
    """Hour from which it may again."""

    def quiet(self, hour: int) -> bool:
        """Whether an hour of the day in Shanghai is a quiet one."""
        if self.quiet_from_hour <= self.quiet_to_hour:
            return self.quiet_from_hour <= hour < self.quiet_to_hour
        return hour >= self.quiet_from_hour or hour < self.quiet_to_hour


class DecisionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """May I …?"""

    purpose: Purpose
    msisdn: Msisdn
    service_code: ServiceCode
    price_fen: AskedPrice = 0
    access_number: AccessNumber | None = None
    """The number the message will show or the order came to; checked when given."""
    link_id: LinkId | None = None
    """The order on demand that is meant; without it, the oldest that licensed no charge yet."""
    content: Content | None = None
    """The text of a message, as it will be sent. It is looked at and never stored."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The answer."""

    id: UUID
    allowed: bool
    reasons: tuple[Reason, ...]
    """Every reason that applies, in a fixed order; empty when allowed."""
    subscription_id: UUID | None
    """The relation (订购关系) that was judged."""
    decided_at: datetime


class RestrictionFact(msgspec.Struct, frozen=True, kw_only=True):
    """A restriction of the asking SP in force at the instant, with its cause."""

    id: UUID
    measure: str
    cause_kind: str
    cause_id: str
    service_id: UUID | None = None
    """None: the whole SP."""


class ServiceFact(msgspec.Struct, frozen=True, kw_only=True):
    """A service as of the instant: status, tariff in force, and the notice approved for it."""

    id: UUID
    code: str
    sp_id: UUID
    kind: str
    status: str
    access_number: str
    category: str | None = None
    access_number_sp_id: UUID | None = None
    tariff_id: UUID | None = None
    tariff_version: int | None = None
    tariff_price_fen: int | None = None
    notice_id: UUID | None = None
    notice_version: int | None = None
    status_since: datetime | None = None
    """When it got this status; None: it never had another."""


class NumberFact(msgspec.Struct, frozen=True, kw_only=True):
    """A number as of the instant, by the event that made it so."""

    state: str
    epoch: int
    event_id: UUID


class RelationFact(msgspec.Struct, frozen=True, kw_only=True):
    """A relation of the number with the service: live, or waiting for the person's second yes.

    It has one consent at most, which never changes: the relation's id tells it.
    """

    id: UUID
    epoch: int
    price_fen: int
    live: bool
    active_from: datetime | None = None
    consent_kind: str | None = None
    consent_price_fen: int | None = None
    charge_from: datetime | None = None
    free: bool = False
    """The instant lies before `charge_from`: nothing may be charged yet."""
    link_id: str | None = None
    """Of an order on demand."""
    used: bool = False
    """An earlier allowed charge cited this order."""


class BarFact(msgspec.Struct, frozen=True, kw_only=True):
    """A bar of the number's holder that keeps this service away."""

    id: UUID
    scope: str


class OwnCaps(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Monthly caps in fen that the number's holder set herself; None where the operator's holds.

    A cap that is set anew has another id.
    """

    service_month_fen: int | None = None
    total_month_fen: int | None = None
    service_cap_id: UUID | None = None
    total_cap_id: UUID | None = None


class QuotaFact(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages the SP agreed with the operator at most; None: that is not agreed."""

    id: UUID
    version: int
    per_second: int | None = None
    per_day: int | None = None
    per_month: int | None = None


class SentFact(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that the SP was allowed before, in the instant's second, day and month."""

    second: int
    day: int
    month: int


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything one decision rests on. Recorded with it; never holds an MSISDN."""

    purpose: Purpose
    price_fen: int
    sp_id: UUID
    access_number: str | None = None
    link_id: str | None = None
    sp_status: str | None = None
    sp_status_since: datetime | None = None
    """When it got this status; None: it never had another."""
    restrictions: tuple[RestrictionFact, ...] = ()
    service: ServiceFact | None = None
    number: NumberFact | None = None
    relation: RelationFact | None = None
    spent_service_fen: int = 0
    """Allowed charges of the number for the service in the business month so far."""
    spent_total_fen: int | None = 0
    """The same over all services; None where the reader may not know it."""
    spent_category_fen: int | None = 0
    """The same over all services of this one's category."""
    quiet: bool = False
    """The instant lies in the operator's quiet hours."""
    caps: CapRules
    own_caps: OwnCaps = OwnCaps()
    bars: tuple[BarFact, ...] = ()
    quota: QuotaFact | None = None
    """Of a message of an SP that has one."""
    sent: SentFact | None = None
    content: ContentFact | None = None
    """What was found in a message's text; None where none was given and none is needed."""
    leave_received_at: datetime | None = None
    """When an SMS came in that may be a wish to leave the relation and was not settled at the instant."""
    rulebook_version: int = 0


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as it is shown later."""

    id: UUID
    decided_at: datetime
    purpose: Purpose
    sp_id: UUID
    service_id: UUID | None
    service_code: str
    access_number: str | None
    price_fen: int
    allowed: bool
    reasons: tuple[Reason, ...]
    subscription_id: UUID | None
    rulebook_version: int
    subscriber: str
    """To the SP its own pseudonym of the person; to staff the masked number."""
