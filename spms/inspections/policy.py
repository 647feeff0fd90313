"""The rulebook's section on spot checks: what the operator may set, and the defaults."""

from datetime import time
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from spms.inspections import sequential

HOUR: Final = r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)"


class Method(StrEnum):
    """How calls are counted into a verdict."""

    SEQUENTIAL = "sequential"
    """Until the line is shown good or bad, with as few calls as that takes."""
    BANDS = "bands"
    """A fixed number of calls, and the share of them that was answered in time."""


class InspectionRules(msgspec.Struct, frozen=True, kw_only=True):
    """Section `inspection` of the rulebook (design §5: pass mark and retests of hotlines)."""

    pass_ring_seconds: Annotated[int, msgspec.Meta(ge=5, le=180)] = 20
    """A call answered within so many seconds of ringing passes."""
    method: Method = Method.SEQUENTIAL
    good_percent: Annotated[int, msgspec.Meta(ge=2, le=99)] = 85
    """The pass mark: a line that connects so often or oftener is wrongly found bad with at most
    `alpha_permille`."""
    bad_percent: Annotated[int, msgspec.Meta(ge=1, le=98)] = 60
    """A line that connects so seldom or seldomer is wrongly found good with at most
    `beta_permille`. Nearer to the pass mark means more calls (docs/inspections.md has the table)."""
    alpha_permille: Annotated[int, msgspec.Meta(ge=1, le=200)] = 10
    beta_permille: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    band_calls: Annotated[int, msgspec.Meta(ge=10, le=150)] = 48
    """For the method `bands`: how many calls that tell something are made."""
    band_percent: Annotated[int, msgspec.Meta(ge=1, le=99)] = 70
    """For the method `bands`: with fewer answered in time the line is found bad."""
    retests: Annotated[int, msgspec.Meta(ge=1, le=9)] = 2
    """How many further calls must fail at least before a hotline counts as unreachable."""
    retest_minutes: Annotated[int, msgspec.Meta(ge=30, le=1440)] = 30
    """Shortest time between two calls of one item."""
    spread_minutes: Annotated[int, msgspec.Meta(ge=0, le=10_080)] = 120
    """Shortest time from the first failed call of a finding to the last: one outage is none."""
    most_calls: Annotated[int, msgspec.Meta(ge=3, le=200)] = 100
    """Most calls of one item; then it is given up undecided."""
    wasted_calls: Annotated[int, msgspec.Meta(ge=3, le=50)] = 10
    """Most calls of one item that say nothing, for instance because our trunk failed."""
    calls_per_day: Annotated[int, msgspec.Meta(ge=1, le=50)] = 12
    """Most calls to one number on one business day, all plans together."""
    spread_calls_per_day: Annotated[int, msgspec.Meta(ge=1, le=12)] = 4
    """Into how many equal bands a plan that is spread cuts the permitted hours of each day."""
    opens: Annotated[str, msgspec.Meta(pattern=HOUR)] = "08:30"
    closes: Annotated[str, msgspec.Meta(pattern=HOUR)] = "20:00"
    """Calls are placed in [opens, closes), Asia/Shanghai."""
    plan_sample_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 100
    """Share of the SPs whose hotlines an officer's plan draws; at least one."""
    daily_sample_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 15
    """Share of the SPs whose hotlines the day's own plan draws; at least one."""
    ring_seconds: Annotated[int, msgspec.Meta(ge=5, le=180)] = 45
    """How long a call rings at least before it is given up. Longer than the pass mark: otherwise
    nobody would see how late a slow line answers."""
    answer_seconds: Annotated[int, msgspec.Meta(ge=5, le=180)] = 20
    answer_percent: Annotated[int, msgspec.Meta(ge=1, le=99)] = 80
    """Of an SP's answered calls of a month, so many in a hundred within `answer_seconds`."""
    work_opens: Annotated[str, msgspec.Meta(pattern=HOUR)] = "09:00"
    work_closes: Annotated[str, msgspec.Meta(pattern=HOUR)] = "18:00"
    """Working hours, on working days (section `calendar`): calls in them are shown apart in the
    service proof."""
    person_calls: Annotated[int, msgspec.Meta(ge=2, le=50)] = 6
    """Most calls to a responsible person in one quarter; then it is given up undecided."""
    person_hours: Annotated[int, msgspec.Meta(ge=1, le=240)] = 20
    """Shortest time between two of them."""
    cure_days: Annotated[int, msgspec.Meta(ge=0, le=90)] = 5
    """For so many days a line that was found bad is the same finding when it is found bad again."""

    def __post_init__(self) -> None:
        """Refuse hours without anything between them, and marks the wrong way round (ValueError)."""
        if self.opens >= self.closes:
            raise ValueError("hotline calls need permitted hours within one day")
        if self.bad_percent >= self.good_percent:
            raise ValueError("a bad line connects more seldom than a good one")

    @property
    def test(self) -> sequential.Test:
        """The sequential test that these rules describe."""
        return sequential.Test(
            good=self.good_percent / 100, bad=self.bad_percent / 100,
            alpha=self.alpha_permille / 1000, beta=self.beta_permille / 1000,
            failures_needed=1 + self.retests,
        )  # fmt: skip

    @property
    def rings(self) -> int:
        """How long a call rings at least, in seconds: never shorter than the pass mark."""
        return max(self.ring_seconds, self.pass_ring_seconds, self.answer_seconds)

    @property
    def work_begins(self) -> time:
        """First time of day of the working hours."""
        return time.fromisoformat(self.work_opens)

    @property
    def work_ends(self) -> time:
        """Time of day by which the working hours are over."""
        return time.fromisoformat(self.work_closes)

    @property
    def opening(self) -> time:
        """First time of day at which a call may be placed."""
        return time.fromisoformat(self.opens)

    @property
    def closing(self) -> time:
        """Time of day by which calling is over."""
        return time.fromisoformat(self.closes)
