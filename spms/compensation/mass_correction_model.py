"""The nouns of mass corrections."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.compensation.accounts import Bearer, Cause
from spms.compensation.model import Words
from spms.compensation.reasons import ReasonCode
from spms.core.money import Fen, Price


class CorrectionState(StrEnum):
    """How far a mass correction has come."""

    PROPOSED = "proposed"
    DECLINED = "declined"
    LISTING = "listing"
    """Approved; the charges it is about are being listed."""
    REFUNDING = "refunding"
    TELLING = "telling"
    """Everything is refunded; the people are being told."""
    DONE = "done"


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """A price that was wrong for a while, and what became of putting it right."""

    id: UUID
    service_id: UUID
    sp_id: UUID
    wrong_fen: int
    due_fen: int
    from_at: datetime
    until_at: datetime
    code: ReasonCode
    """Of the reason catalogue: what it was proposed under."""
    code_version: int | None
    """The rulebook's, whose catalogue it was; null of one from before there was one."""
    cause: Cause
    """What the code stood for."""
    bearer: Bearer
    """Of the first multiple."""
    second_bearer: Bearer
    rulebook_version: int | None
    """By which it pays, in force when its charges were made; null of one from before it was kept."""
    reason: str
    apology: str
    state: CorrectionState
    charges: int
    """Of the preview: charges at the wrong price in that time."""
    numbers: int
    """Of the preview: people."""
    owed_fen: int
    """Of the preview: what comes back, both multiples, less what was refunded before."""
    receivable_before_fen: int
    """Of the preview: what the SP owed before; where the SP bears it, `owed_fen` comes on top."""
    proposed_at: datetime
    proposed_by: str
    decided_at: datetime | None
    decided_by: str | None
    charges_done: int
    refunded: int
    refunded_fen: int
    told: int
    looked_again_at: datetime | None
    """When charges were listed that came in meanwhile; what comes in later has to be proposed anew."""
    finished_at: datetime | None


class Progress(Correction, frozen=True, kw_only=True):
    """The same with where the work of one lane stands."""

    lane: int
    after_number: str
    """How far it has come: the numbers after this one and up to `until_number` are left."""
    until_number: str


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """What a correction would come to."""

    charges: int
    numbers: int
    owed_fen: int


class CorrectionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was wrong: 'service X charged 9 instead of 8 from T1 to T2'."""

    service_id: UUID
    wrong_fen: Price
    due_fen: Fen
    from_at: Annotated[datetime, msgspec.Meta(tz=True)]
    until_at: Annotated[datetime, msgspec.Meta(tz=True)]
    """Half-open."""
    cause: ReasonCode
    reason: Words
    apology: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"\S")]
    """Said to each person, before what comes back."""


class CorrectionDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another person's word."""

    accept: bool
    reason: Words


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told what came back."""

    msisdn: str
    charges: int
    amount_fen: int
    told: bool
    """Whether this number is still that person's."""
