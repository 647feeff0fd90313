"""The nouns of time: deeds, spans, what a person has over which span."""

from datetime import timedelta
from enum import StrEnum

import msgspec

from spms.city.model import Person, Stake


class Deed(StrEnum):
    """What a person, an SP, an agent or the network does at an instant."""

    ORDER = "order"
    """Texts the keyword of a monthly service."""
    ASK_SP = "ask_sp"
    ASK_AGENT = "ask_agent"
    ASK_WEB = "ask_web"
    YES = "yes"
    NO = "no"
    LATE_YES = "late_yes"
    UNCLEAR = "unclear"
    BUY = "buy"
    TD = "td"
    TD_CODE = "td_code"
    LIST = "list"
    CHOOSE = "choose"
    LEAVE_AGENT = "leave_agent"
    LEAVE_WEB = "leave_web"
    ALL_SMS = "all_sms"
    ALL_AGENT = "all_agent"
    IDLE = "idle"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    TERMINATED = "terminated"
    TRANSFERRED = "transferred"
    BAR = "bar"
    """Wants nothing more of one company."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One deed."""

    at: timedelta
    """From the play's beginning."""
    person: int
    deed: Deed
    offer: int | None = None
    words: str = ""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time, half-open; without an end it is as long as the play and beyond."""

    begin: timedelta
    end: timedelta | None = None


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """What a stake came to: the person has the service over this span."""

    stake: Stake
    span: Span


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """A person's days, lived."""

    person: Person
    events: tuple[Event, ...]
    relations: tuple[Relation, ...]
    silences: tuple[Span, ...]
    """When the number was suspended."""
    over: timedelta | None
    """When the number was terminated or went to another owner."""
