"""The nouns of joint promotion: what an SP asks for, and what is promoted now."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec


class PromotionState(StrEnum):
    """What became of a promotion."""

    ASKED = "asked"
    APPROVED = "approved"
    REJECTED = "rejected"


PromotionText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=140,
        pattern=r"^[^\s](?:[^\t\r\n]*[^\s])?$(?!\n)",
        description="One line, as the operator shows it; judged by an officer before that.",
    ),
]


class NewPromotion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an SP wants to have promoted, and when."""

    text: PromotionText
    begins_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Not in the past; without it, from now on."""
    ends_at: Annotated[datetime, msgspec.Meta(tz=True)]


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """联合推广: the operator promotes an SP's service for a time."""

    id: UUID
    service_id: UUID
    sp_id: UUID
    text: str
    begins_at: datetime
    ends_at: datetime
    state: PromotionState
    asked_at: datetime
    asked_by: str
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None


class Promoted(msgspec.Struct, frozen=True, kw_only=True):
    """A service that the operator promotes now."""

    promotion_id: UUID
    service_code: str
    service_name: str
    sp_name: str
    price_fen: int
    text: str
    ends_at: datetime
