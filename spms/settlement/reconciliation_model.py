"""The nouns of reconciliation: what a side counted, and where sides differ."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

Many = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class Source(StrEnum):
    """Who counts besides us."""

    GATEWAY = "gateway"
    """Delivered: single orders that reached the handset."""
    BILLING = "billing"
    """Billed: what stands on subscribers' bills."""


class ToldCount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One service's count."""

    service_code: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    records: Many
    amount_fen: Many


class Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one side counted of one day, all of it; telling it again replaces what differs.

    A service left out has none; one that was told before keeps its count until it is told as 0.
    """

    source: Source
    day: date
    counts: Annotated[list[ToldCount], msgspec.Meta(min_length=1, max_length=5000)]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What telling brought."""

    new_counts: int
    differences: int
    """New or changed ones of that day."""
    gone: int


class Explanation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why two sides differ."""

    explanation: Annotated[str, msgspec.Meta(min_length=2, max_length=2000)]


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """How far one day's three figures have come together."""

    day: date
    gateway_told: bool
    billing_told: bool
    """False: nothing of this day is compared with that side yet."""
    open: int
    explained: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One day of one service that two sides have otherwise, and who is to explain it."""

    id: UUID
    day: date
    sp_id: UUID
    service_code: str
    kind: str
    owner: str
    delivered: int | None
    """Null: that side has told nothing of this day."""
    charged: int
    billed: int | None
    charged_fen: int
    billed_fen: int | None
    found_at: datetime
    state: str
    explanation: str | None
    explained_at: datetime | None
    explained_by: str | None
