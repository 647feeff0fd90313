"""The nouns: a number, its states, what happens to it, and for which reasons."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.core.phone import Msisdn


class NumberState(StrEnum):
    """Whether a number is in service."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    """停机: stopped by the holder or the operator; no charge accrues."""
    TERMINATED = "terminated"
    """销号: nobody holds it; it may be given out again."""


class NumberEventKind(StrEnum):
    """What can happen to a number."""

    ACTIVATED = "activated"
    """入网: given out, for the first time or again. A new epoch."""
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    """复机: in service again."""
    TERMINATED = "terminated"
    NUMBER_CHANGED = "number_changed"
    """改号: the holder took another number and gave this one back."""
    TRANSFERRED = "transferred"
    """过户: the same number, another owner. A new epoch."""


class NumberReason(StrEnum):
    """Why it happened; which reason fits which kind is in `rules.REASONS`."""

    OPENED = "opened"
    PORTED_IN = "ported_in"
    """携号转入"""
    SUBSCRIBER_REQUEST = "subscriber_request"
    ARREARS = "arrears"
    """Unpaid fees of the operator; disputed SP fees never count."""
    PAID = "paid"
    LOST = "lost"
    """挂失: the phone or card was lost or stolen."""
    FOUND = "found"
    OPERATOR = "operator"
    """The operator's own decision: fraud, a court's order, a change of the numbering plan."""
    PORTED_OUT = "ported_out"
    """携号转出"""
    OWNER_CHANGED = "owner_changed"


class Language(StrEnum):
    """In which language a number gets its SMS."""

    ZH = "zh"
    EN = "en"


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """A number after the latest of its events."""

    msisdn: str
    epoch: int
    """Which ownership of the number this is."""
    state: NumberState
    state_since: datetime
    epoch_since: datetime
    language: Language


class NumberEventIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event as the number registry reports it."""

    msisdn: Msisdn
    kind: NumberEventKind
    reason: NumberReason
    effective_at: Annotated[datetime, msgspec.Meta(tz=True)]
    """When it took effect in the network; at most five minutes ahead of our clock."""
    language: Language | None = None
    """With `activated`: the holder's language; Chinese unless said."""


class NumberEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event in a number's timeline. State and epoch follow from the events before it."""

    msisdn: str
    id: UUID
    kind: NumberEventKind
    reason: NumberReason
    effective_at: datetime
    state_after: NumberState
    epoch_after: int


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch of events."""

    recorded: int
    """New events."""
    repeated: int
    """Events that were known already, word for word; nothing followed from them."""


class NumberView(msgspec.Struct, frozen=True, kw_only=True):
    """A number as a person is shown it."""

    number: str
    """Masked."""
    state: NumberState
    state_since: datetime
    held_since: datetime
    language: Language


class HistoryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One event as staff see it."""

    kind: NumberEventKind
    reason: NumberReason
    effective_at: datetime
    recorded_at: datetime
    """When we learned of it: later than `effective_at` means decisions in between did not know."""
    state_after: NumberState
    epoch_after: int


class NumberFile(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent sees of a number."""

    number: NumberView
    history: list[HistoryLine]
    """Newest first, at most a hundred."""
