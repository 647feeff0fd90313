"""The nouns: a breach, its grade, an appeal, a year's balance."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.partners.model import Measure
from spms.penalties.policy import BreachKind, Grade, PenaltyRules, Rank, Rung

__all__ = [
    "STANDING",
    "Appeal",
    "Balance",
    "Breach",
    "BreachAction",
    "BreachEvent",
    "BreachKind",
    "BreachState",
    "Consequence",
    "Finding",
    "Grade",
    "NewBreach",
    "PenaltyRules",
    "Rank",
    "Remedy",
    "RemedyAction",
    "Rung",
    "Source",
    "Statement",
]  # fmt: skip

Statement = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class Source(StrEnum):
    """Who or what reported a finding."""

    INSPECTION = "inspection"
    COMPENSATION = "compensation"
    COMPLAINT = "complaint"
    CONSENT_AUDIT = "consent_audit"
    SETTLEMENT_AUDIT = "settlement_audit"
    OFFICER = "officer"
    """A compliance officer's own motion."""
    LEAVING_CLOCK = "leaving_clock"
    """A 12 h clock of a leaving through an agent that ran out."""
    ESCALATION = "escalation"
    """A breach that was not cured in time."""
    LINKAGE = "linkage"
    """联动: a breach of the same company in another province."""


class BreachState(StrEnum):
    """How far the decision about a breach has come."""

    PROPOSED = "proposed"
    """Notice is served; the SP may speak."""
    EFFECTIVE = "effective"
    DISMISSED = "dismissed"
    APPEALED = "appealed"
    UPHELD = "upheld"
    VARIED = "varied"
    """On appeal it was found less grave."""
    QUASHED = "quashed"


class BreachAction(StrEnum):
    """What may be done about a breach."""

    CONFIRM = "confirm"
    DISMISS = "dismiss"
    APPEAL = "appeal"
    UPHOLD = "uphold"
    VARY = "vary"
    QUASH = "quash"


class Remedy(StrEnum):
    """How far the cure of a breach in effect has come."""

    DUE = "due"
    REPORTED = "reported"
    """The SP says that it is cured: a retest will show."""
    CLOSED = "closed"
    """A retest has shown it cured."""
    ESCALATED = "escalated"
    """The cure date passed; a graver breach took its place."""
    VOID = "void"
    """There is nothing to cure: it was quashed."""


class RemedyAction(StrEnum):
    """What may be done about a cure."""

    REPORT = "report"
    CLOSE = "close"
    FAIL = "fail"
    ESCALATE = "escalate"
    DROP = "drop"


STANDING = (BreachState.EFFECTIVE, BreachState.APPEALED, BreachState.UPHELD, BreachState.VARIED)
"""States in which a breach's points count and its measures hold."""


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """One breach of the rules by an SP."""

    id: UUID
    sp_id: UUID
    kind: BreachKind
    grade: Grade
    points: int
    service_ids: list[UUID]
    """The offending services."""
    source_kind: Source
    source_id: str
    subject: str = ""
    """What it is about, such as a hotline: until it is cured, the same again is this breach."""
    statement: str
    state: BreachState
    found_at: datetime
    proposed_by: str
    answer_by: datetime | None = None
    """Until then nobody decides without the SP's statement."""
    answered_at: datetime | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    appeal_by: datetime | None = None
    """Until when the SP may appeal."""
    final_at: datetime | None = None
    """From here on nobody appeals; money moves only after it."""
    cure_by: datetime | None = None
    remedy: Remedy | None = None
    caused_by: UUID | None = None
    """The breach that this one escalates, or carries over from another province."""


class BreachEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a breach's history."""

    action: str
    from_state: str | None
    to_state: str
    at: datetime
    actor: str
    reason: str | None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What any room or person has found against an SP."""

    sp_id: UUID
    kind: BreachKind
    source: Source
    source_id: str
    """The finding in its source's own numbering: the same one is the same breach."""
    subject: str = ""
    service_ids: list[UUID] = []
    statement: str


class Appeal(msgspec.Struct, frozen=True, kw_only=True):
    """An SP's objection to a breach."""

    id: UUID
    breach_id: UUID
    statement: str
    opened_at: datetime
    opened_by: str
    decision: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of an SP's yearly points, and what it may apply for with them."""

    sp_id: UUID
    year: int
    granted: int
    deducted: int
    left: int
    rank: Rank


class Consequence(msgspec.Struct, frozen=True, kw_only=True):
    """A measure that a breach brings, for the SP (service None) or one service."""

    breach_id: UUID
    measure: Measure
    service_id: UUID | None = None


class Reporter(StrEnum):
    """What a person may report: findings of other sources come from their own rooms."""

    OFFICER = Source.OFFICER.value
    COMPLAINT = Source.COMPLAINT.value
    CONSENT_AUDIT = Source.CONSENT_AUDIT.value
    SETTLEMENT_AUDIT = Source.SETTLEMENT_AUDIT.value


class NewBreach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A breach that an officer proposes: on their own motion, or of a complaint or an audit."""

    sp_id: UUID
    kind: BreachKind
    service_ids: Annotated[list[UUID], msgspec.Meta(max_length=100)] = []
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    """What was found, in its source's own numbering: the same finding is the same breach."""
    source: Reporter = Reporter.OFFICER
    subject: Annotated[str, msgspec.Meta(max_length=100)] = ""
    """What it is about, such as a hotline: while that is not cured it is one breach."""
    statement: Statement
