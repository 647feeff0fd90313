"""The nouns of a settlement's life: its states, its statement, objections, holds, payouts."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec

from spms.core.money import Fen
from spms.penalties.model import Grade
from spms.settlement.model import Facts, Kind, SettlementRules, Step, Waterfall

Words = Annotated[str, msgspec.Meta(min_length=2, max_length=2000)]
Reason = Annotated[str, msgspec.Meta(min_length=2, max_length=200)]
Fine = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
MonthName = Annotated[
    str, msgspec.Meta(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$(?!\n)", examples=["2026-03"])
]


class State(StrEnum):
    """Where a settlement stands."""

    DRAFT = "draft"
    SENT = "sent"
    DISPUTED = "disputed"
    CONFIRMED = "confirmed"
    LOCKED = "locked"
    PAID = "paid"


class Action(StrEnum):
    """What happens to a settlement."""

    DRAW = "draw"
    SEND = "send"
    CONFIRM = "confirm"
    OBJECT = "object"
    REDRAW = "redraw"
    REJECT = "reject"
    LOCK = "lock"
    PAY = "pay"


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """One SP's month, as it stands."""

    id: UUID
    sp_id: UUID
    sp_code: str
    sp_name: str
    month: date
    state: State
    revision: int
    payable_fen: int
    object_until: datetime | None
    """Silence until then confirms."""
    pay_month: date | None
    held: list[str]
    """Why it is not paid at present; empty when nothing holds it."""
    sha256: str
    """Of the statement in force and the lock before it."""


class StatementSp(msgspec.Struct, frozen=True, kw_only=True):
    """Whose statement it is, as it was called then."""

    id: UUID
    code: str
    name: str


class StatementPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """Which records are in it."""

    month: date
    from_at: datetime
    until_at: datetime
    cut_off_before: datetime
    cut_off_at: datetime


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What both sides agree to. Its canonical JSON is hashed, stored and shown letter by letter."""

    format: str
    settlement_id: UUID
    revision: int
    sp: StatementSp
    period: StatementPeriod
    rulebook_version: int
    steps: tuple[Step, ...]
    payable_fen: int
    payable_carried_fen: int
    follows: str
    """SHA-256 of the SP's locked statement before, hex; empty for the first."""


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A statement about to be kept."""

    settlement_id: UUID
    revision: int
    sp_id: UUID
    month: date
    follows: bytes
    body: str
    sha256: bytes
    waterfall: Waterfall


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A statement as it was drawn."""

    settlement_id: UUID
    revision: int
    sp_id: UUID
    follows: bytes
    body: str
    sha256: bytes
    payable_fen: int
    drawn_at: datetime


class ObjectionLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One figure that the SP has otherwise."""

    step: Kind
    expected_fen: Fen
    reason: Reason


class NewObjection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the SP says against a statement."""

    statement: Words
    lines: Annotated[list[ObjectionLine], msgspec.Meta(min_length=1, max_length=50)]


class Objection(msgspec.Struct, frozen=True, kw_only=True):
    """An SP's objection to one revision of a statement."""

    id: UUID
    settlement_id: UUID
    revision: int
    statement: str
    lines: list[ObjectionLine]
    opened_at: datetime
    opened_by: str
    decision: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None


class ObjectionDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Draw the statement again, with the corrections that were approved meanwhile, or not."""

    redraw: bool
    reason: Reason


class Because(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: Reason


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps a settlement from being paid."""

    id: UUID
    settlement_id: UUID
    cause: str
    reason: str
    placed_at: datetime
    placed_by: str
    cleared_at: datetime | None = None
    cleared_by: str | None = None
    clear_reason: str | None = None


class AdjustmentKind(StrEnum):
    """What a correction does."""

    FINE = "fine"
    DEBIT = "debit"
    CREDIT = "credit"


class NewAdjustment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fine or a late correction; it goes into the next statement that is drawn."""

    sp_id: UUID
    kind: AdjustmentKind
    amount_fen: Fine
    about: Reason
    corrects: UUID | None = None
    """The locked settlement that it puts right."""


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """A fine or a late correction, as it stands."""

    id: UUID
    sp_id: UUID
    kind: AdjustmentKind
    amount_fen: int
    about: str
    corrects: UUID | None
    state: str
    proposed_at: datetime
    proposed_by: str
    decided_at: datetime | None = None
    decided_by: str | None = None
    settlement_id: UUID | None = None
    """The locked settlement that took it."""


class AdjustmentDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a correction goes into the next statement."""

    accept: bool
    reason: Reason


class Payment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bank transferred."""

    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    settlement_ids: Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=1000)]


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a payment."""

    settlements: int
    amount_fen: int


class PayoutList(msgspec.Struct, frozen=True, kw_only=True):
    """One of the three lists that drive payment (reference domain §1.12 M5)."""

    settlements: int
    amount_fen: int
    items: list[Settlement]


class PayoutMonth(msgspec.Struct, frozen=True, kw_only=True):
    """What one calendar month pays."""

    month: date
    made_at: datetime | None
    approved_at: datetime | None
    approved_by: str | None
    to_finance_at: datetime | None
    newly_payable: PayoutList
    """Locked for this month's payment, with nothing that holds them."""
    resumed: PayoutList
    """Locked in an earlier month, held then, free now."""
    held: PayoutList
    """Locked and not to be paid while something holds them."""


class WhatIf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A month as it would be under other rules or with more booked against it."""

    sp_id: UUID
    month: MonthName
    rules: Annotated[dict[str, Any], msgspec.Meta(max_length=30)] = {}
    """Overrides of fields of the rulebook's section `settlement`."""
    refund_fen: Fen = 0
    """First multiples that would come on top, with the same again as compensation."""
    fine_fen: Fen = 0
    cut_breaches: Annotated[list[Grade], msgspec.Meta(max_length=10)] = []
    """Grades of breaches that would come on top."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """Two ways to work out a month; nothing is booked."""

    counted: bool
    """Whether the month's figures are final; else they are those of this moment."""
    facts: Facts
    rules: SettlementRules
    now: Waterfall
    then: Waterfall
    difference_fen: int
