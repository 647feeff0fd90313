"""The nouns of what a person decides about her own number: bars and caps."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.catalogue.model import Category

LIMIT_MAX_FEN = 1_000_000


class BarScope(StrEnum):
    """What a bar keeps away."""

    ALL = "all"
    """Every value-added service."""
    SP = "sp"
    """Everything of one SP."""
    CATEGORY = "category"
    """Every service of one category, whoever sells it."""


class CapScope(StrEnum):
    """What a monthly cap is about."""

    TOTAL = "total"
    """All services together."""
    EACH_SERVICE = "each_service"
    """Every service by itself."""
    SERVICE = "service"
    """One service; it goes before `each_service`."""


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A bar in force."""

    id: UUID
    scope: BarScope
    sp_code: str | None
    category: str | None
    starts_at: datetime


class Cap(msgspec.Struct, frozen=True, kw_only=True):
    """A cap of the person's own, in force."""

    scope: CapScope
    service_code: str | None
    limit_fen: int
    """Fen per business month."""
    starts_at: datetime


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a number's holder decided. Where she set no cap, the operator's holds."""

    bars: list[Bar]
    caps: list[Cap]


class BarIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to bar: `sp_code` goes with scope `sp`, `category` with scope `category`."""

    scope: BarScope
    sp_code: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,12}$(?!\n)")] | None = None
    category: Category | None = None


class CapIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A monthly cap: `service_code` goes with scope `service`."""

    scope: CapScope
    limit_fen: Annotated[int, msgspec.Meta(ge=0, le=LIMIT_MAX_FEN)] | None
    """Fen per business month; null goes back to the operator's cap."""
    service_code: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z]{1,16}$(?!\n)")] | None = None
