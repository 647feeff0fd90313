"""The nouns: steps of the waterfall, what goes into it, the rulebook's section, states."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec

from spms.core.money import BASIS_POINTS
from spms.penalties.model import Grade

Bp = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
"""Basis points: 10 000 is all of it."""
Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Day = Annotated[int, msgspec.Meta(ge=1, le=28)]


class Kind(StrEnum):
    """The steps that a waterfall is made of."""

    GROSS = "gross"
    """Information fees charged."""
    RETURNED = "returned"
    """First multiples that earlier months took before the share, taken back for fraud since.

    In a statement only where there are any, just before `refunds`: where they had been taken."""
    REFUNDS = "refunds"
    """First multiples that went back to subscribers at the SP's fault."""
    BAD_DEBT = "bad_debt"
    """欠费风险金"""
    SERVICE_FEE = "service_fee"
    """客户服务费"""
    SHARE = "share"
    """The operator's part of the progressive share."""
    CONTROLLED = "controlled"
    """停拆机用户费用控制: charges of numbers that were suspended or terminated by the cut-off."""
    MT_FEE = "mt_fee"
    """不均衡通信费: more messages to subscribers than from them."""
    GRADE_CUT = "grade_cut"
    """结算下浮, by the grade of final breaches."""
    FINES = "fines"
    DEBITS = "debits"
    """Late corrections in the operator's favour, each approved by two people."""
    CREDITS = "credits"
    """Late corrections in the SP's favour."""
    COMPENSATION = "compensation"
    """What was advanced to subscribers for the SP and is still owed."""
    DEPOSIT = "deposit"
    """What the deposit (保证金) covers of what is still owed; changes nothing of the payable."""
    BROUGHT = "brought"
    """Payables of earlier months that were too small to be paid."""


BEFORE_SHARE = (Kind.REFUNDS, Kind.BAD_DEBT, Kind.SERVICE_FEE)
AFTER_SHARE = (
    Kind.CONTROLLED, Kind.MT_FEE, Kind.GRADE_CUT, Kind.FINES, Kind.DEBITS, Kind.COMPENSATION,
)  # fmt: skip
MOVABLE = frozenset({*BEFORE_SHARE, *AFTER_SHARE})
"""Steps whose place is the rulebook's choice; each of them stands in exactly one of the lists."""


class RateBase(StrEnum):
    """Of what the bad-debt and the customer-service rate are taken (reference domain §1.12 M1)."""

    GROSS = "gross"
    """Both of the gross: 1 − 8 % − 10 %."""
    LEFT = "left"
    """Each of what the step before it left: 0.92 × 0.90."""


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """One tier of a progressive scale; what it says is for the part of the amount inside it."""

    up_to: Annotated[int, msgspec.Meta(ge=1, le=10**15)] | None
    """Upper end (fen, or messages), included; null on the last tier."""
    value: Bp
    """The SP's share in basis points, or fen for one message."""


class SettlementRules(msgspec.Struct, frozen=True, kw_only=True):
    """Section `settlement` of the rulebook. Defaults: design §5, reference domain §1.12."""

    before_share: tuple[Kind, ...] = BEFORE_SHARE
    after_share: tuple[Kind, ...] = AFTER_SHARE
    rate_base: RateBase = RateBase.GROSS
    bad_debt_bp: Bp = 800
    service_fee_bp: Bp = 1000
    sp_share: tuple[Tier, ...] = (
        Tier(up_to=10_000_000, value=5000),
        Tier(up_to=30_000_000, value=6000),
        Tier(up_to=50_000_000, value=7000),
        Tier(up_to=70_000_000, value=8000),
        Tier(up_to=None, value=9000),
    )
    """Shaanxi Unicom (M1); one tier of 8500 is Sichuan Mobile's flat share (M2)."""
    mt_fee: tuple[Tier, ...] = (
        Tier(up_to=100_000, value=5),
        Tier(up_to=300_000, value=4),
        Tier(up_to=1_000_000, value=3),
        Tier(up_to=None, value=2),
    )
    """Fen for each message to subscribers more than came from them (M3: the tiers)."""
    mt_minimum_fen: Count = 0
    mt_concession_months: Count = 3
    """Months after going live in which unbalanced messages cost nothing (M3)."""
    cut_bp: dict[Grade, Bp] = msgspec.field(
        default_factory=lambda: {Grade.GENERAL: 1000, Grade.SERIOUS: 3000, Grade.GRAVE: 5000}
    )
    """Several breaches add up, to all of it at most (domain P1)."""
    call_deposit: bool = False
    """Let the deposit cover what the month cannot."""
    minimum_payout_fen: Count = 0
    """A smaller payable is carried to the next month."""
    cut_off_day: Day = 10
    statement_day: Day = 15
    invoice_day: Day = 21
    payment_day: Day = 24
    finance_day: Day = 26
    """Days of the following month in Asia/Shanghai (M4)."""
    object_days: Annotated[int, msgspec.Meta(ge=0, le=60)] = 5
    """The SP has at least so many days to object, however late the statement was sent."""
    explain_working_days: Annotated[int, msgspec.Meta(ge=1, le=60)] = 5
    """So long an SP may explain a difference that is its own; then notice of a breach is served."""
    silent_bp: Bp = 6000
    self_consumption_bp: Bp = 3000
    arrears_bp: Bp = 1000
    """From these shares of a month on, a report holds the settlement until it is cleared (M8)."""
    heavy_fen: Count = 3000
    """Who pays one SP at least this much in a month counts as self-consumption, until looked at."""
    report_least: Count = 50
    """With fewer numbers than this a report says nothing."""


def is_sound(rules: SettlementRules) -> bool:
    """Whether one can settle by a section: each movable step once, each grade, rising scales."""
    placed = [*rules.before_share, *rules.after_share]
    return (
        len(placed) == len(MOVABLE)
        and set(placed) == MOVABLE
        and set(rules.cut_bp) == set(Grade)
        and _rises(rules.sp_share)
        and _rises(rules.mt_fee)
        and all(0 <= tier.value <= BASIS_POINTS for tier in (*rules.sp_share, *rules.mt_fee))
    )


def _rises(scale: tuple[Tier, ...]) -> bool:
    ends = [tier.up_to for tier in scale]
    return ends == [*sorted({end for end in ends if end is not None}), None]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One record that a step takes as a whole."""

    id: UUID
    amount_fen: int
    about: str
    booked: bool = False
    """It is in the book before the lock: the statement takes it and books nothing."""
    cut_back: bool = False
    """It gives back what a breach cut that was quashed since; its id is the breach's."""


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A breach that lowers the settlement."""

    breach_id: UUID
    grade: Grade
    cut_bp: int | None = None
    """What its measure says; null: what the rulebook says of its grade."""


class MeasureCut(msgspec.Struct, frozen=True, kw_only=True):
    """A cut that an officer imposed, for every month in which it was in force."""

    restriction_id: UUID
    cut_bp: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that one SP's month is settled from, in fen; each figure is a sum over records."""

    gross_fen: Count = 0
    charges: Count = 0
    late_fen: Count = 0
    """Of the gross: charges of earlier months that came after their month's cut-off."""
    late_charges: Count = 0
    principal_fen: int = 0
    """First multiples advanced between the last cut-off and this one, less what was taken back; or negative."""
    controlled_fen: Count = 0
    """Charges of numbers suspended or terminated by the cut-off, less what went back of them."""
    controlled_charges: Count = 0
    mt: Count = 0
    mo: Count = 0
    mt_is_free: bool = False
    cuts: tuple[Cut, ...] = ()
    measures: tuple[MeasureCut, ...] = ()
    fines: tuple[Item, ...] = ()
    debits: tuple[Item, ...] = ()
    credits: tuple[Item, ...] = ()
    returned: tuple[Item, ...] = ()
    waiting: tuple[Cut, ...] = ()
    """Breaches whose appeal is open or still possible: named, not collected."""
    owed_fen: Count = 0
    """All that was advanced for the SP by the cut-off and has not been recovered."""
    deposit_fen: Count = 0
    carried: dict[Kind, int] = {}
    """What the statement before could not take, by step."""
    unbooked_fen: Count = 0
    """Of the fines in it, what no statement has booked: the next one does."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the waterfall. brought + arising = taken + carried."""

    kind: Kind
    arising_fen: int
    """What this month brings."""
    brought_fen: int = 0
    """What the month before could not take."""
    taken_fen: int
    carried_fen: int = 0
    """What this month cannot take either: the next one's `brought_fen`."""
    left_fen: int
    """What is there after this step."""
    inputs: dict[str, Any] = {}
    """The figures and rates behind it."""


class Waterfall(msgspec.Struct, frozen=True, kw_only=True):
    """A month worked out."""

    steps: tuple[Step, ...]
    payable_fen: int
    """What is to be paid: zero when it is too small and carried."""
    payable_carried_fen: int

    def step(self, kind: Kind) -> Step:
        """Return a step by its kind."""
        return next(step for step in self.steps if step.kind is kind)

    @property
    def carried(self) -> dict[Kind, int]:
        """What the next month begins with, by step; only what is not zero."""
        found = {step.kind: step.carried_fen for step in self.steps if step.carried_fen}
        return found | (
            {Kind.BROUGHT: self.payable_carried_fen} if self.payable_carried_fen else {}
        )


class Stage(StrEnum):
    """How far the work on a month has come. Each is a recovery point."""

    COUNT_CHARGES = "count_charges"
    COUNT_CONTROLLED = "count_controlled"
    COUNT_ADVANCES = "count_advances"
    COUNT_MESSAGES = "count_messages"
    LOOK_PAYERS = "look_payers"
    LOOK_ARREARS = "look_arrears"
    DRAW = "draw"
    SEND = "send"
    SENT = "sent"


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A month that is being settled, and which records are its own."""

    month: date
    from_at: datetime
    until_at: datetime
    cut_off_before: datetime
    cut_off_at: datetime
    rulebook_version: int
    stage: Stage = Stage.COUNT_CHARGES
    done_until: UUID | None = None


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One counted figure of an SP's month."""

    sp_id: UUID
    kind: str
    records: int
    amount_fen: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What part of an SP's month looks wrong. A flagged one holds the settlement."""

    month: date
    sp_id: UUID
    kind: str
    part: int
    """Numbers (silent users), else fen; of `whole`."""
    whole: int
    numbers: int
    share_bp: int
    threshold_bp: int
    flagged: bool
