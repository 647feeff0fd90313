"""The nouns of texts that a service may send (短信模板)."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.catalogue.rules import wording_allowed

Wording = Annotated[
    str,
    msgspec.Meta(
        min_length=2,
        max_length=1000,
        pattern="^[^\\u0000]*$",
        description="The text as it is sent; `{}` stands for up to 30 characters that differ from"
        " person to person, at most 10 times and never twice in a row.",
        examples=["【天气】{}今日{}，气温{}度。"],
    ),
]


class TemplateState(StrEnum):
    """What became of a template."""

    DRAFTED = "drafted"
    APPROVED = "approved"
    REJECTED = "rejected"


class NewTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text that a service wants to send."""

    wording: Wording

    def __post_init__(self) -> None:
        """Refuse a text that would approve everything."""
        if not wording_allowed(self.wording):
            raise ValueError("`{}` at most 10 times, never twice in a row, and words of its own")


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A text that a service may send once another person than its author approved it."""

    id: UUID
    service_id: UUID
    version: int
    wording: str
    state: TemplateState
    drafted_at: datetime
    drafted_by: str
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None
    retired_at: datetime | None = None
    retired_by: str | None = None
