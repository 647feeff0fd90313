"""The nouns: plans, items with their calls, verdicts; and the rulebook's section."""

from datetime import datetime, time
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import msgspec

from spms.core.phone import Hotline
from spms.inspections.outcomes import CallOutcome
from spms.inspections.sandbox_call import LineKind

TOPIC_JUDGED: Final = "inspection.judged"
"""Outbox: {item_id, sp_id, hotline, verdict}, once for every item."""

HOUR: Final = r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)"

Seed = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,64}$(?!\n)")]


class Verdict(StrEnum):
    """What the calls to a hotline have shown."""

    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    NUMBER_CHANGED = "number_changed"
    INCONCLUSIVE = "inconclusive"
    """Says nothing for or against the SP."""


class Why(StrEnum):
    """What a verdict rests on."""

    ANSWERED = "answered"
    RETESTS_FAILED = "retests_failed"
    CHANGE_CONFIRMED = "change_confirmed"
    ATTEMPTS_USED = "attempts_used"
    """So many calls failed by our own fault or unclearly that we gave up."""
    WITHDRAWN = "withdrawn"
    """The hotline went out of force, with approval, after the plan was drawn."""


class CallState(StrEnum):
    """Where an attempt stands."""

    DUE = "due"
    PLACING = "placing"
    FINISHED = "finished"
    UNKNOWN = "unknown"
    """Whoever placed it did not live to tell; it counts for nothing."""
    DROPPED = "dropped"
    """Never placed: the hotline was withdrawn before."""


class Start(StrEnum):
    """When a plan's first calls are due."""

    SPREAD = "spread"
    """At times drawn by lot over what is left of the day's permitted hours."""
    NOW = "now"
    """At once, or when the permitted hours begin."""


class InspectionRules(msgspec.Struct, frozen=True, kw_only=True):
    """Section `inspection` of the rulebook (design §5: pass mark and retests of hotlines)."""

    pass_ring_seconds: Annotated[int, msgspec.Meta(ge=5, le=180)] = 20
    """A call answered within so many seconds of ringing passes."""
    retests: Annotated[int, msgspec.Meta(ge=1, le=9)] = 2
    """How many further calls must fail as well before a hotline counts as unreachable."""
    retest_minutes: Annotated[int, msgspec.Meta(ge=30, le=1440)] = 30
    """Shortest time between two calls of one item."""
    attempts: Annotated[int, msgspec.Meta(ge=3, le=20)] = 10
    """Most calls of one item, those that count for nothing included."""
    calls_per_day: Annotated[int, msgspec.Meta(ge=1, le=50)] = 8
    """Most calls to one number on one business day, all plans together."""
    opens: Annotated[str, msgspec.Meta(pattern=HOUR)] = "08:30"
    closes: Annotated[str, msgspec.Meta(pattern=HOUR)] = "20:00"
    """Calls are placed in [opens, closes), Asia/Shanghai."""
    plan_sample_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 100
    """Share of the hotlines in force that a plan draws; at least one."""

    def __post_init__(self) -> None:
        """Refuse hours without anything between them (ValueError)."""
        if self.opens >= self.closes:
            raise ValueError("hotline calls need permitted hours within one day")

    @property
    def opening(self) -> time:
        """First time of day at which a call may be placed."""
        return time.fromisoformat(self.opens)

    @property
    def closing(self) -> time:
        """Time of day by which calling is over."""
        return time.fromisoformat(self.closes)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A draw of hotlines to be called."""

    id: UUID
    drawn_at: datetime
    drawn_by: str
    seed_sha256: str
    """Hash (hexadecimal) of the seed, fixed before the first call."""
    seed: str | None
    """Shown once the plan is finished."""
    candidates: int
    """Hotlines in force at the draw, by SP and number: among these the items were drawn."""
    rulebook_version: int
    finished_at: datetime | None
    items_total: int
    items_judged: int


class HotlineCall(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt and, once it is over, the evidence of it. Times are UTC."""

    attempt_no: int
    state: CallState
    due_at: datetime
    caller: str | None = None
    """The number that was shown to the line."""
    placed_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: CallOutcome | None = None
    sip_code: int | None = None
    q850_cause: int | None = None
    """What the telephone network gave as cause."""
    ring_ms: int | None = None
    """From the first sign of ringing to the answer or the end of waiting."""
    redirected_to: str | None = None
    """Address that the line gave instead; it was not called."""
    hung_up_by_line: bool | None = None
    audio_packets: int | None = None
    trace: list[str] | None = None
    """What was sent (>) and heard (<), with milliseconds since the first message."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One hotline of one plan, with its calls in order."""

    id: UUID
    plan_id: UUID
    sp_id: UUID
    hotline: str
    verdict: Verdict | None
    """None while the calls go on."""
    reason: Why | None
    judged_at: datetime | None
    calls: list[HotlineCall]


class PlanDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A plan with a page of its items."""

    plan: Plan
    items: list[Item]
    next: str | None = None
    """Cursor of the next page of items; null on the last."""


class NewPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An officer's order to draw a plan."""

    seed: Seed | None = None
    """Printable ASCII without spaces; a random one is taken when none is given."""
    start: Start = Start.SPREAD


class LineIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a hotline of the sandbox is to behave when it is called."""

    number: Hotline
    behaviour: LineKind
    connect_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 70
    """For `flaky` lines: how many calls in a hundred are answered."""
    new_number: Hotline | None = None
    """For `changed` lines: what the network tells as the new number."""


class Placing(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was taken and must now be placed, by whoever took it."""

    item_id: UUID
    attempt_no: int
    number: str
    call_id: str
