"""The nouns of claims that need proof: what is asked, how far it has come, what would be paid."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import msgspec

from spms.charging.model import Finding
from spms.compensation.accounts import Bearer, Cause
from spms.compensation.model import Source, Words
from spms.compensation.reasons import ReasonCode, Wording
from spms.core.money import Price
from spms.core.phone import Msisdn


class VerificationState(StrEnum):
    """How far a claim that needs proof has come."""

    AWAITING_APPROVAL = "awaiting_approval"
    """Above the limits: nothing is paid before a second person agrees."""
    AWAITING_SP = "awaiting_sp"
    """The first multiple is paid; the SP may object until its time is up."""
    OBJECTED = "objected"
    """The SP objects with evidence; an officer decides."""
    DOUBLED = "doubled"
    """Accepted by silence or by decision: the second multiple is paid."""
    SINGLE = "single"
    """The evidence speaks for the charge: what was paid stays paid, and that is all."""
    DECLINED = "declined"
    """Not approved: nothing was paid."""


class VerificationAction(StrEnum):
    """What moves it."""

    APPROVE = "approve"
    DECLINE = "decline"
    OBJECT = "object"
    ACCEPT = "accept"
    KEEP_SINGLE = "keep_single"


TRANSITIONS: Final[Mapping[tuple[VerificationState, VerificationAction], VerificationState]] = {
    (
        VerificationState.AWAITING_APPROVAL,
        VerificationAction.APPROVE,
    ): VerificationState.AWAITING_SP,
    (VerificationState.AWAITING_APPROVAL, VerificationAction.DECLINE): VerificationState.DECLINED,
    (VerificationState.AWAITING_SP, VerificationAction.OBJECT): VerificationState.OBJECTED,
    (VerificationState.AWAITING_SP, VerificationAction.ACCEPT): VerificationState.DOUBLED,
    (VerificationState.OBJECTED, VerificationAction.ACCEPT): VerificationState.DOUBLED,
    (VerificationState.OBJECTED, VerificationAction.KEEP_SINGLE): VerificationState.SINGLE,
}


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that the evidence here cannot decide."""

    id: UUID
    charge_id: UUID
    charged_at: datetime
    sp_id: UUID
    source: Source
    code: ReasonCode
    """Of the reason catalogue: what it was opened under."""
    code_version: int | None
    """The rulebook's, whose catalogue it was; null of claims from before there was one."""
    cause: Cause
    """What the code stood for."""
    bearer: Bearer
    """Of the first multiple."""
    second_bearer: Bearer
    rulebook_version: int | None
    """By which both multiples are paid; null of claims from before they kept it."""
    claimed_fen: int
    """What is said to be wrong of the charge: the first multiple."""
    state: VerificationState
    paid_fen: int
    """What came back by this claim and stands, both multiples together."""
    taken_back_fen: int
    """What came back by it and was taken back with proof of fraud."""
    opened_at: datetime
    object_until: datetime | None
    objection: str | None
    decided_at: datetime | None
    decision: str | None


class VerificationRow(Verification, frozen=True, kw_only=True):
    """The same with what only some may see."""

    msisdn: str
    epoch: int | None
    """Of whoever held the number at the charge, as it was known when the charge came in."""
    reason: str
    opened_by: str


class VerificationEntry(Verification, frozen=True, kw_only=True):
    """The same as its SP or an officer sees it."""

    number: str
    """A pseudonym for the SP, masked for an officer."""
    reason: str | None
    """The claimant's own words are not shown to the SP."""
    words: Wording
    """What the code said when it was opened."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim about a charge would bring, without making it (CAMARA: remaining amount)."""

    charge_id: UUID
    charged_fen: int
    refunded_fen: int
    """What came back so far, both multiples together."""
    remaining_fen: int
    """What of the charge itself has not come back and may be claimed."""
    findings: list[Finding]
    proven_fen: int
    """What the evidence here already shows as wrong: paid double at once by `POST /claims`."""
    first_fen: int
    """First multiple of a claim that needs proof, over the amount asked about."""
    second_fen: int
    """Second multiple, if the SP is silent or the claim is accepted."""
    bearer: Bearer
    """Of the first multiple."""
    second_bearer: Bearer
    needs_second_person: bool


class VerificationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A claim with a cause that charge records cannot show."""

    charge_id: UUID
    cause: ReasonCode
    reason: Words
    claimed_fen: Price | None = None
    """How much of the charge is wrong; left out: all that has not come back."""
    msisdn: Msisdn | None = None
    """The subscriber's number: an agent must name it, a subscriber leaves it out."""


class Objection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The SP's evidence against a claim."""

    evidence: Annotated[str, msgspec.Meta(min_length=1, max_length=4000, pattern=r"\S")]


class VerificationDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second person's word: on paying at all, or on who is right after an objection."""

    accept: bool
    reason: Words


class DisputedFees(msgspec.Struct, frozen=True, kw_only=True):
    """What of a number's bill is in dispute, or refunded and not yet on the bill."""

    msisdn: Msisdn
    disputed_fen: int
    """To be taken off arrears before any reminder, late fee or suspension."""
    charges: list[UUID]


class DisputedSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers whose arrears are being looked at."""

    msisdns: Annotated[list[Msisdn], msgspec.Meta(min_length=1, max_length=1000)]
