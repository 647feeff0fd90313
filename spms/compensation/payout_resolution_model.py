"""The nouns of payouts that billing refused."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from spms.compensation.gateways import PaidCharge
from spms.compensation.model import Words


class Outcome(StrEnum):
    """What is to become of a refused payout."""

    SEND_AGAIN = "send_again"
    """What made billing refuse is put right: the same credit goes again, with the same id."""
    PAID_BY_HAND = "paid_by_hand"
    """The money reached the person another way, and its points were moved; it is booked as paid out."""


class ResolutionState(StrEnum):
    """Whether two people agree."""

    PROPOSED = "proposed"
    AGREED = "agreed"
    DECLINED = "declined"


class RefusedPayout(msgspec.Struct, frozen=True, kw_only=True):
    """A payout that waits for people."""

    id: UUID
    number: str
    """Masked."""
    charges: list[PaidCharge]
    """The charges that were wrong: several where a mass correction puts them right together."""
    sp_id: UUID
    amount_fen: int
    principal_fen: int
    """Of the amount, what of the charges' price comes back; the rest is compensation."""
    points: int
    """Points (积分) it would have taken back, of a debit given back. Whoever pays by hand has whoever
    keeps the points book them by hand too."""
    refused_at: datetime
    takes_back: UUID | None
    """Of a debit: the credit it takes back."""
    attempts: int
    resolution_id: UUID | None
    """What somebody proposed and nobody decided yet."""
    outcome: Outcome | None
    reason: str | None
    proposed_by: str | None


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody proposed about a refused payout, and what became of it."""

    id: UUID
    payout_id: UUID
    outcome: Outcome
    reason: str
    state: ResolutionState
    proposed_at: datetime
    proposed_by: str
    decided_at: datetime | None
    decided_by: str | None


class ResolutionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done, and why."""

    outcome: Outcome
    reason: Words


class ResolutionDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another person's word."""

    accept: bool
    reason: Words
