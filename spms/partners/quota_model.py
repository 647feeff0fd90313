"""The nouns of what an SP may send, as agreed with the operator."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from spms.partners.model import Reason

Many = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class NewQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an SP may send from an instant on; the whole of it, not the difference."""

    per_second: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None
    """Messages in one second by the clock; null: as many as come."""
    per_day: Many | None = None
    """Messages in one business day; null: as many as come."""
    per_month: Many | None = None
    """Messages in one business month; null: as many as come."""
    effective_from: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Not in the past; without it, at once."""
    reason: Reason
    """What it rests on: the contract, or why it was changed."""


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """An agreed quota. In force is the one that began last."""

    id: UUID
    sp_id: UUID
    version: int
    per_second: int | None
    per_day: int | None
    per_month: int | None
    effective_from: datetime
    reason: str
    created_at: datetime
    created_by: str
