"""The nouns of taking a refund back: only what was got by fraud, and only with proof."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.compensation.model import Words
from spms.core.phone import Msisdn


class Proof(StrEnum):
    """What shows that the claim was a fraud. A suspicion is none of them."""

    JUDGMENT = "judgment"
    """A court, or an authority with that power, has decided so."""
    POLICE_REPORT = "police_report"
    """The police have accepted the case and named who did it."""
    CONFESSION = "confession"
    """Whoever got the money has signed that it was not due."""
    FORGED_EVIDENCE = "forged_evidence"
    """An examiner found that what the claim was proved with was forged."""


class ClawbackState(StrEnum):
    """Whether two people agree."""

    PROPOSED = "proposed"
    AGREED = "agreed"
    DECLINED = "declined"


class Clawback(msgspec.Struct, frozen=True, kw_only=True):
    """A refund that somebody proposed to take back, and what became of it."""

    id: UUID
    number: str
    """Masked."""
    claim_id: UUID
    charge_id: UUID
    amount_fen: int
    """What had come back by that claim; once agreed, billing is told to take it off the bill."""
    proof: Proof
    reference: str
    document_sha256: str
    reason: str
    state: ClawbackState
    proposed_at: datetime
    proposed_by: str
    decided_at: datetime | None
    decided_by: str | None
    reversal_id: UUID | None
    """The entry of the book that took it back."""
    debit: str | None
    """How far billing is with taking it off the bill: queued, sending, unknown, settled, refused."""


class ClawbackRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which refund, and what proves the fraud."""

    msisdn: Msisdn
    claim_id: UUID
    proof: Proof
    reference: Annotated[
        str,
        msgspec.Meta(
            min_length=3, max_length=200, pattern=r"\S",
            description="Under which number the court, the police or the archive has it",
        ),
    ]  # fmt: skip
    document_sha256: Annotated[
        str,
        msgspec.Meta(
            pattern="^[0-9a-f]{64}$", min_length=64, max_length=64,
            description="SHA-256 of the document, so that it cannot be another one later",
        ),
    ]  # fmt: skip
    reason: Words


class ClawbackDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another person's word."""

    accept: bool
    reason: Words


class Firsts(msgspec.Struct, frozen=True, kw_only=True):
    """How an SP stands with its first multiples when one of its refunds is taken back, in fen."""

    owed_fen: int
    """All that it owes."""
    waiting_fen: int
    """First multiples that no settlement has taken before the share."""
    younger_fen: int
    """Those advanced after this refund: they are taken after it."""
    taken_fen: int
    """What settlements took of them, and kept."""


class GivenBack(msgspec.Struct, frozen=True, kw_only=True):
    """Whose it is what had been recovered of a refund that was taken back, in fen."""

    given_up_fen: int = 0
    """The operator's, which had given as much up as bad debt."""
    first_fen: int = 0
    """The SP's and the operator's: it had come off before the share, and comes back there."""
    due_fen: int = 0
    """The SP's alone."""
