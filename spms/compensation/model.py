"""The nouns: a claim and what proves its outcome, refunds, postings, what an SP owes."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.charging.model import Finding
from spms.compensation.accounts import BEARERS, Bearer, Bearers, Cause, both
from spms.compensation.journal_model import EntryLine
from spms.compensation.reasons import Reasons, own_names
from spms.core.phone import Msisdn
from spms.subscribers.model import Language, NumberState

Words = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=500,
        pattern=r"\S",
        description="Why: kept with the claim or the access record; no telephone numbers in here",
    ),
]


class Source(StrEnum):
    """Through which entrance a claim came."""

    AUDIT = "audit"
    """The audit of charge records found something wrong."""
    SUBSCRIBER = "subscriber"
    AGENT = "agent"
    BATCH = "batch"
    """A mass correction."""


class ClaimState(StrEnum):
    """How a claim ended; it ends in the transaction that opens it."""

    REFUNDED = "refunded"
    STANDS = "stands"
    """The charge was found right."""


class RefundKind(StrEnum):
    """The two multiples of a double refund."""

    PRINCIPAL = "principal"
    """What was charged too much."""
    COMPENSATION = "compensation"
    """The same amount again."""


class CompensationRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rulebook section `compensation`."""

    dispute_months: Annotated[int, msgspec.Meta(ge=5, le=12)] = 5
    """How far back a subscriber may dispute a charge, in calendar months (Asia/Shanghai).
    Source: rulebook, "disputes up to 5 months back"; charge records are kept at least as long."""
    multiplier: Annotated[int, msgspec.Meta(ge=1, le=2)] = 2
    """How often the difference comes back. Source: reference domain §1.7 F1; a CHECK keeps it at
    double at most."""
    compensation_cap_fen: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Most compensation for one charge, above what is returned of it; null: no cap."""
    objection_hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 24
    """How long an SP may object to an unproven claim; silence accepts. Source: rulebook."""
    four_eyes_fen: Annotated[int, msgspec.Meta(ge=0)] = 5000
    """A first multiple above this needs a second person."""
    four_eyes_per_day: Annotated[int, msgspec.Meta(ge=0)] = 5
    """So many unproven claims of one number in a business day pass without a second person."""
    bearers: dict[Cause, Bearer | Bearers] = {}
    """Who bears a cause where it differs from `accounts.BEARERS`: both multiples, or each its own
    (`{"metering": {"first": "operator", "second": "sp"}}`); CHECK `rulebook_bearers`.

    This, `multiplier` and `compensation_cap_fen` count as of the charge, the rest as of the claim."""

    reasons: Reasons = msgspec.field(default_factory=own_names)
    """The reason catalogue, all of it: what is left out cannot be claimed (CHECK `rulebook_reasons`)."""

    def borne(self, cause: Cause) -> Bearers:
        """Return who pays which multiple for a cause."""
        said = self.bearers.get(cause, BEARERS[cause])
        return said if isinstance(said, Bearers) else both(said)


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One finding about a charge and what it leaves due."""

    kind: Finding
    due_fen: int


class Disputed(msgspec.Struct, frozen=True, kw_only=True):
    """A charge with what has been found about it, and the number as it is held now."""

    msisdn: str
    charge_id: UUID
    charged_at: datetime
    sp_id: UUID
    service_name: str
    charged_fen: int
    faults: list[Fault]
    epoch: int | None
    """Of the number now; null when the number is not in the registry."""
    epoch_since: datetime | None
    number_state: NumberState | None
    language: Language | None
    round: int
    """How often it was refunded so far."""
    principal_fen: int
    compensation_fen: int
    honoured_due_fen: int
    """The lowest due that findings proved and that was paid for; at first what was charged."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a charge was right, and how much of it was due."""

    state: ClaimState
    due_fen: int
    decided_by: Finding | None
    """The finding that leaves least due; null when nothing is wrong."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One refund of a claim together with the posting that books it."""

    kind: RefundKind
    booking: EntryLine


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A claim about to be written as refunded, with its lines."""

    id: UUID
    disputed: Disputed
    round: int
    due_fen: int
    honoured_due_fen: int
    """Differs from `due_fen` where a refund is paid before anything is proved."""
    reason: str
    cause: Cause | None
    bearers: Bearers
    rulebook_version: int
    """By which its multiples and who bears them were decided: in force when the charge was made."""
    lines: list[Line]

    def paid_fen(self, kind: RefundKind) -> int:
        """Return what this claim pays of one kind, in fen."""
        return sum(line.booking.amount_fen for line in self.lines if line.kind is kind)


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The consent that licensed a charge which stands."""

    subscription_id: UUID
    requested_at: datetime
    request_text: str | None
    """The keyword as texted, or the request's own reference."""
    prompt_text: str | None
    """What the person was told and asked to answer; null for a live order."""
    reply_text: str
    confirmed_at: datetime
    agreed_fen: int


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim and its outcome, as the subscriber or the agent on the line sees it."""

    id: UUID
    charge_id: UUID
    charged_at: datetime
    service_name: str
    sp_name: str
    source: Source
    reason: str
    """The finding that decided, or what the claimant said."""
    state: ClaimState
    charged_fen: int
    due_fen: int
    refunded_fen: int
    """What this claim paid: both multiples together, or 0. A worse finding that came after an
    earlier refund pays only what was missing."""
    remaining_fen: int
    """What of the charge has not come back, over all its claims, and may still be claimed."""
    findings: list[Finding]
    """What is known to be wrong with the charge."""
    proof: Proof | None
    """Only of a charge that stands."""
    opened_at: datetime


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Both refunds of one charge: a line of the bill that gives money back."""

    claim_id: UUID
    charge_id: UUID
    charged_at: datetime
    service_name: str
    sp_name: str
    source: Source
    findings: list[Finding]
    charged_fen: int
    due_fen: int
    principal_fen: int
    compensation_fen: int
    refunded_at: datetime


class ClaimRow(msgspec.Struct, frozen=True, kw_only=True):
    """A claim as the list for SPs and officers loads it."""

    id: UUID
    msisdn: str
    epoch: int | None
    """Of whoever held the number at the charge, as it was known when the charge came in."""
    charge_id: UUID
    record_id: str
    charged_at: datetime
    sp_id: UUID
    service_id: UUID
    source: Source
    reason: str
    state: ClaimState
    charged_fen: int
    due_fen: int
    refunded_fen: int
    rulebook_version: int | None
    findings: list[Finding]
    opened_at: datetime


class ClaimEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A claim as an SP or an officer sees it."""

    id: UUID
    number: str
    """A pseudonym for the SP, masked for an officer."""
    charge_id: UUID
    record_id: str
    """The SP's own id of the charge."""
    charged_at: datetime
    sp_id: UUID
    service_id: UUID
    source: Source
    reason: str | None
    """The claimant's own words are not shown to the SP."""
    state: ClaimState
    charged_fen: int
    due_fen: int
    refunded_fen: int
    rulebook_version: int | None
    """By which its multiples and who bears them were decided; null: nothing came back by it, or it is
    from before claims kept it."""
    findings: list[Finding]
    opened_at: datetime


class Ageing(msgspec.Struct, frozen=True, kw_only=True):
    """What an SP owes, by how long ago it was advanced; recoveries take the oldest first."""

    sp_id: UUID
    receivable_fen: int
    to_30_days_fen: int
    to_60_days_fen: int
    to_90_days_fen: int
    older_fen: int


class Receivable(msgspec.Struct, frozen=True, kw_only=True):
    """What an SP owes for wrong charges and has not yet been settled."""

    sp_id: UUID
    receivable_fen: int
    deposit_fen: int
    """What it has left as security."""
    by_age: Ageing | None
    """Null: nothing was ever advanced for it."""


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dispute of one charge."""

    charge_id: UUID
    reason: Words
    msisdn: Msisdn | None = None
    """The subscriber's number: an agent must name it, a subscriber leaves it out."""


class RefundSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An agent's look-up of one number's refunds, with the reason for it."""

    msisdn: Msisdn
    reason: Words
