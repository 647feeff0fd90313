"""The nouns of what the audit leaves to people: suspicions, and what was only observed."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from spms.charging.model import Finding


class SuspicionState(StrEnum):
    """What became of a suspicion."""

    OPEN = "open"
    UPHELD = "upheld"
    """A person found it right: it is a finding now."""
    DISMISSED = "dismissed"


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """A charge that a rule in mode `review` struck."""

    id: UUID
    charge_id: UUID
    number: str
    """Masked."""
    sp_code: str
    service_code: str
    kind: Finding
    charged_at: datetime
    price_fen: int
    due_fen: int
    """What would be due of the charge if it is upheld."""
    detail: dict[str, Any]
    found_at: datetime
    state: SuspicionState
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


class Observation(NamedTuple):
    """What a rule in mode `observe` struck in one batch."""

    charges: int
    fen: int
    examples: Sequence[UUID]


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """How often a rule in mode `observe` struck one SP."""

    sp_code: str
    kind: Finding
    charges: int
    fen: int
    examples: list[UUID]
