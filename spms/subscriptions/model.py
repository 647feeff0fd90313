"""What an order relation is, and what is said about one."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.catalogue.model import ServiceKind
from spms.subscriptions.causes import Cause
from spms.subscriptions.trial import ChargeRule


class ConsentRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rulebook's section about asking for consent, and about leaving."""

    window_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 60
    """A yes counts when it is received before the window closes (domain C6)."""
    prompts_per_day: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    """Prompts to one number in one business day, all SPs together."""
    refusal_rest_days: Annotated[int, msgspec.Meta(ge=0, le=366)] = 30
    """After a refusal, the same service is not offered to the number again (domain C15)."""
    silence_rest_days: Annotated[int, msgspec.Meta(ge=0, le=366)] = 7
    """Silence is refusal too (C6, C15): so long its SP does not ask the number again for the same
    service. The person herself may, at once: she may have missed the prompt."""
    on_demand_hours: Annotated[int, msgspec.Meta(ge=1, le=168)] = 24
    """How long an on-demand order may be served and charged."""
    list_hours: Annotated[int, msgspec.Meta(ge=1, le=48)] = 2
    """How long the numbers of a list may be answered (domain U3)."""


class Status(StrEnum):
    """Where a relation stands."""

    AWAITING = "awaiting"
    """A prompt is out; nothing may be charged."""
    ACTIVE = "active"
    SUSPENDED = "suspended"
    """The number is suspended; nothing may be charged."""
    ENDED = "ended"
    REFUSED = "refused"
    """The person said no, or left before saying yes."""
    EXPIRED = "expired"
    """The person said nothing in time: silence is refusal."""


LIVE = frozenset({Status.AWAITING, Status.ACTIVE, Status.SUSPENDED})


class Action(StrEnum):
    """What may happen to a relation."""

    REQUEST = "request"
    """Opens a relation that awaits confirmation."""
    ORDER = "order"
    """Opens an on-demand relation that is live at once."""
    CONFIRM = "confirm"
    REFUSE = "refuse"
    EXPIRE = "expire"
    SUSPEND = "suspend"
    RESUME = "resume"
    LEAVE = "leave"
    """The person, or an agent for the person, wants out (退订)."""
    LEAVE_EARLIER = "leave_earlier"
    """A wish to leave that came in before the end was settled after it: the end moves to then."""
    LAPSE = "lapse"
    """An on-demand order, or an SP's own free trial, has run for its whole time."""
    END = "end"
    """The number or the offer behind the relation is gone."""


class Channel(StrEnum):
    """Through which door the first consent, the request, came in."""

    SMS = "sms"
    SP = "sp"
    WEB = "web"
    AGENT = "agent"


class EndReason(StrEnum):
    """Why a relation is over."""

    NO = "no"
    SILENCE = "silence"
    SUBSCRIBER = "subscriber"
    AGENT = "agent"
    OPERATOR = "operator"
    LAPSED = "lapsed"
    NOT_ON_SALE = "not_on_sale"
    """What the prompt offered was no longer sold when the yes arrived."""
    NUMBER_TERMINATED = "number_terminated"
    NUMBER_CHANGED = "number_changed"
    NUMBER_TRANSFERRED = "number_transferred"
    TAKEN_OVER = "taken_over"
    """The person agreed to new terms: another relation went on from that instant."""
    NOTHING_TO_TAKE_OVER = "nothing_to_take_over"
    """A yes to new terms of a relation that was left meanwhile."""
    TRIAL_OVER = "trial_over"
    """An SP's own free trial ended without a fresh yes."""


class Outcome(StrEnum):
    """What came of an incoming message."""

    PROMPTED = "prompted"
    ORDERED = "ordered"
    NOT_ACCEPTED = "not_accepted"
    """An order that a rule refuses; the rule's code follows after a colon."""
    CONFIRMED = "confirmed"
    ALREADY_CONFIRMED = "already_confirmed"
    CODE_NEEDED = "code_needed"
    """Several prompts were open, or none has that code: nothing was confirmed."""
    TOO_LATE = "too_late"
    NOT_TO_OPERATOR = "not_to_operator"
    """A yes to an SP's number confirms nothing."""
    REFUSED = "refused"
    LEFT = "left"
    LISTED = "listed"
    NOTHING_TO_LEAVE = "nothing_to_leave"
    LANGUAGE_SET = "language_set"
    SUMMARY_SET = "summary_set"
    HELP = "help"
    IGNORED = "ignored"
    """Not understood, and told so already within the day."""
    UNKNOWN_NUMBER = "unknown_number"
    FORMER_OWNER = "former_owner"
    """Sent by who had the number before the present owner, or before it was terminated: nothing is
    answered, and of what it asks only a clear wish to leave is done."""


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """One order relation with the names its codes stand for. Inside only: it holds the number."""

    msisdn: str
    id: UUID
    epoch: int
    sp_id: UUID
    sp_code: str
    sp_name: str
    service_id: UUID
    service_code: str
    service_name: str
    keyword: str
    kind: ServiceKind
    status: Status
    tariff_id: UUID
    notice_id: UUID
    price_fen: int
    """What the person agreed to, whatever the tariff says today."""
    channel: Channel
    requested_at: datetime
    requested_by: str
    request_text: str | None
    request_received_at: datetime | None
    request_message_id: UUID | None
    prompt_code: str | None
    prompt_text: str | None
    confirm_by: datetime | None
    active_from: datetime | None
    ended_at: datetime | None
    end_reason: EndReason | None
    category: str = ""
    charge_from: datetime | None = None
    """Nothing is charged before. While a prompt waits: the earliest instant that it names."""
    charge_rule: ChargeRule | None = None
    follows_id: UUID | None = None
    """The running relation that a yes takes over from."""
    free_until: datetime | None = None
    """An SP's own free trial: the end of the relation, unless the person agrees anew."""
    link_id: str | None = None
    """Of an order on demand: what the SP cites to charge it, once."""

    @property
    def asked_at(self) -> datetime:
        """When the wish for this relation came in; a prompt may follow a little later."""
        return self.request_received_at or self.requested_at

    @property
    def live(self) -> bool:
        """Whether it is not over."""
        return self.status in LIVE


class SubscriptionShown(msgspec.Struct, frozen=True, kw_only=True):
    """One order relation as it is answered."""

    id: UUID
    number: str
    """Masked; for an SP the number's pseudonym with that SP."""
    sp_code: str
    sp_name: str
    service_code: str
    service_name: str
    kind: ServiceKind
    status: Status
    price_fen: int
    channel: Channel
    requested_at: datetime
    confirm_by: datetime | None
    active_from: datetime | None
    charge_from: datetime | None
    """Nothing is charged before. While a prompt waits: the earliest instant that it names."""
    charge_rule: ChargeRule | None
    follows_id: UUID | None
    """The relation it takes over from, on new terms that the person agreed to."""
    free_until: datetime | None
    """An SP's own free trial: it ends then, unless the person agrees to pay."""
    link_id: str | None
    """Of an order on demand: licenses one charge."""
    ended_at: datetime | None
    end_reason: EndReason | None


class HistoryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a relation."""

    action: Action
    from_status: Status | None
    to_status: Status
    at: datetime
    actor: str
    cause: Cause
    reason: str | None
    """In the words of an agent."""


class RequestProof(msgspec.Struct, frozen=True, kw_only=True):
    """The first consent: who asked, through which door, in which words."""

    channel: Channel
    requested_at: datetime
    requested_by: str
    text: str | None
    received_at: datetime | None
    message_id: UUID | None
    link: str | None
    link_message_id: str | None
    called: str | None


class TermsProof(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed to: the notice as approved, and the tariff version behind it."""

    tariff_id: UUID
    tariff_version: int
    tariff_from: datetime
    notice_id: UUID
    notice_version: int
    sp_name: str
    service_name: str
    price_fen: int
    period: str
    hotline: str
    leave_command: str
    approved_at: datetime | None
    approved_by: str | None


class PromptProof(msgspec.Struct, frozen=True, kw_only=True):
    """The prompt as it went out. An SP sees its text only once it can no longer be answered."""

    text: str | None
    confirm_by: datetime
    message_id: UUID | None
    sender: str | None
    queued_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    state: str | None


class ConsentProof(msgspec.Struct, frozen=True, kw_only=True):
    """The second consent (or the live order), with the message that gave it."""

    kind: str
    reply_text: str
    prompt_text: str | None
    price_fen: int
    given_at: datetime
    message_id: UUID
    called: str
    link: str
    link_message_id: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one needs to prove a relation's consent, or that there is none."""

    subscription: SubscriptionShown
    request: RequestProof
    terms: TermsProof
    prompt: PromptProof | None
    consent: ConsentProof | None
    history: list[HistoryLine]
