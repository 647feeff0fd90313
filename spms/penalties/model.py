"""The nouns: a breach, its grade, an appeal, a year's balance."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.partners.model import Measure

Statement = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class Grade(StrEnum):
    """How grave a breach is: 一般, 严重, 重大."""

    GENERAL = "general"
    SERIOUS = "serious"
    GRAVE = "grave"


class BreachKind(StrEnum):
    """The closed catalogue of breaches that this release knows."""

    HOTLINE_CHANGED = "hotline_changed"
    """换号未通报: a hotline was changed without notice."""
    HOTLINE_UNREACHABLE = "hotline_unreachable"
    """接通率不达标: a hotline is not answered."""
    PROMOTION_INACCURATE = "promotion_inaccurate"
    """Promoted otherwise than approved."""
    TARIFF_NOT_SHOWN = "tariff_not_shown"
    """Sold without the tariff notice."""
    CONSENT_FORGED = "consent_forged"
    """Consent was made up or obtained by deceit."""


class BreachState(StrEnum):
    """Where a breach stands."""

    PROPOSED = "proposed"
    EFFECTIVE = "effective"
    DISMISSED = "dismissed"
    APPEALED = "appealed"
    UPHELD = "upheld"
    QUASHED = "quashed"


class BreachAction(StrEnum):
    """What may be done about a breach."""

    CONFIRM = "confirm"
    DISMISS = "dismiss"
    APPEAL = "appeal"
    UPHOLD = "uphold"
    QUASH = "quash"


STANDING = (BreachState.EFFECTIVE, BreachState.APPEALED, BreachState.UPHELD)
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
    source_kind: str
    source_id: str
    statement: str
    state: BreachState
    found_at: datetime
    proposed_by: str
    decided_at: datetime | None = None
    decided_by: str | None = None
    appeal_by: datetime | None = None
    """Until when the SP may appeal."""


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
    """What is left of an SP's yearly points."""

    sp_id: UUID
    year: int
    granted: int
    deducted: int
    left: int


class Consequence(msgspec.Struct, frozen=True, kw_only=True):
    """A measure that a breach brings, for the SP (service None) or one service."""

    breach_id: UUID
    measure: Measure
    service_id: UUID | None = None


class NewBreach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A breach that an officer proposes on their own motion."""

    sp_id: UUID
    kind: BreachKind
    service_ids: Annotated[list[UUID], msgspec.Meta(max_length=100)] = []
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    """What was found, in the officer's own numbering: the same finding is the same breach."""
    statement: Statement


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of the ladder: a measure that holds while fewer points are left."""

    below: int
    measure: Measure


class PenaltyRules(msgspec.Struct, frozen=True, kw_only=True):
    """Section `penalty` of the rulebook."""

    yearly_points: int = 100
    points: dict[Grade, int] = msgspec.field(
        default_factory=lambda: {Grade.GENERAL: 10, Grade.SERIOUS: 30, Grade.GRAVE: 60}
    )
    grades: dict[BreachKind, Grade] = msgspec.field(
        default_factory=lambda: {
            BreachKind.HOTLINE_CHANGED: Grade.GRAVE,
            BreachKind.HOTLINE_UNREACHABLE: Grade.SERIOUS,
            BreachKind.PROMOTION_INACCURATE: Grade.GENERAL,
            BreachKind.TARIFF_NOT_SHOWN: Grade.SERIOUS,
            BreachKind.CONSENT_FORGED: Grade.GRAVE,
        }
    )
    ladder: list[Rung] = msgspec.field(
        default_factory=lambda: [
            Rung(below=80, measure=Measure.NO_NEW_SERVICES),
            Rung(below=60, measure=Measure.SHIELDED),
            Rung(below=40, measure=Measure.NO_NEW_SUBSCRIPTIONS),
            Rung(below=20, measure=Measure.SETTLEMENT_HELD),
            Rung(below=1, measure=Measure.OFFLINE),
        ]
    )
    """Sichuan Unicom's and China Mobile's ladders in one: domain P1, P2."""
    appeal_working_days: int = 5
