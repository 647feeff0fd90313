"""Rows that `Standing` is laid out from: things with their times, oldest first."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from spms.authorisation.content import TemplateFact
from spms.authorisation.model import QuotaFact, RestrictionFact


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of status, as its history tells it."""

    at: datetime
    from_status: str | None = None
    to_status: str


class HeldRow(RestrictionFact, frozen=True, kw_only=True):
    """A restriction with its time."""

    starts_at: datetime
    ends_at: datetime | None = None


class QuotaRow(QuotaFact, frozen=True, kw_only=True):
    """A quota with its time."""

    effective_from: datetime


class TemplateRow(TemplateFact, frozen=True, kw_only=True):
    """An approved text with its time."""

    decided_at: datetime
    retired_at: datetime | None = None


class SpRow(msgspec.Struct, frozen=True, kw_only=True):
    """An SP with its history, oldest first."""

    id: UUID
    status: str
    changes: list[Change] | None
    restrictions: list[HeldRow] | None
    quotas: list[QuotaRow] | None


class TariffRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a service's tariff."""

    id: UUID
    version: int
    price_fen: int
    effective_from: datetime


class NoticeRow(msgspec.Struct, frozen=True, kw_only=True):
    """An approved notice."""

    id: UUID
    version: int
    tariff_id: UUID
    decided_at: datetime


class ServiceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A service with its history, its tariffs and its approved notices, oldest first."""

    id: UUID
    code: str
    sp_id: UUID
    kind: str
    status: str
    access_number: str
    category: str
    access_number_sp_id: UUID | None
    changes: list[Change] | None
    tariffs: list[TariffRow] | None
    notices: list[NoticeRow] | None
    templates: list[TemplateRow] | None


class RulesRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the rulebook."""

    version: int
    effective_from: datetime
    rules: Mapping[str, Any]
