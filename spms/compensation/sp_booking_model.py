"""The nouns of what people book on an SP's account: its deposit, and what becomes of what it owes."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.compensation.model import Words

Amount = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


class BookingKind(StrEnum):
    """What is booked."""

    DEPOSIT_PAID = "deposit_paid"
    """A deposit (保证金) arrived at the bank."""
    DEPOSIT_RETURNED = "deposit_returned"
    """It goes back; never so much that what is left does not cover what the SP owes."""
    DEPOSIT_CALL = "deposit_call"
    """What the SP owes is taken out of it, as far as it goes."""
    WRITE_OFF = "write_off"
    """What the SP owes is given up as bad debt."""


class BookingState(StrEnum):
    """Whether two people agree."""

    PROPOSED = "proposed"
    AGREED = "agreed"
    DECLINED = "declined"


class SpBooking(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody proposed to book on an SP's account, and what became of it."""

    id: UUID
    sp_id: UUID
    kind: BookingKind
    amount_fen: int
    """Of a call or a write-off: at most."""
    reference: str
    reason: str
    state: BookingState
    proposed_at: datetime
    proposed_by: str
    decided_at: datetime | None
    decided_by: str | None
    entry_id: UUID | None
    """In the book."""
    booked_fen: int | None


class SpBookingRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be booked, and why."""

    sp_id: UUID
    kind: BookingKind
    amount_fen: Amount
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    """The bank's for its transfer, or of the file that decides it; once for an SP and kind."""
    reason: Words


class SpBookingDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another person's word."""

    accept: bool
    reason: Words
