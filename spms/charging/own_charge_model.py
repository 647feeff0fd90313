"""What an SP sees of its own charges: the person is a pseudonym."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.charging.bill_model import Correction
from spms.charging.model import Delivery, Finding, Kind


class OwnFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which of an SP's charges; null: any."""

    service_code: str | None = None
    kind: Kind | None = None
    refunded: bool = False
    """Only what was given back, wholly or in part."""


class OwnCharge(msgspec.Struct, frozen=True, kw_only=True):
    """A charge as its SP sees it: the person is a pseudonym."""

    id: UUID
    record_id: str
    pseudonym: str
    service_code: str
    kind: Kind
    charged_at: datetime
    received_at: datetime
    price_fen: int
    due_fen: int
    delivery: Delivery
    findings: list[Finding]
    consent_id: UUID | None
    """The order relation whose consent licenses the charge."""
    authorisation_id: UUID | None
    """The decision the charge rests on (鉴权)."""
    corrections: list[Correction]
    """What was given back to the person for it."""
    evidence: str
    """Path to what proves it or proves it wrong."""
    file_id: UUID | None
