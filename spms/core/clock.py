"""The only place that asks the time. Everything else gets `now` as an argument (aware, UTC).

Business days and months are those of Asia/Shanghai; ranges are half-open.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


class Clock(Protocol):
    """Whoever can tell the time."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""


def machine_now() -> datetime:
    """Return what this machine takes for the present instant, aware, in UTC."""
    return datetime.now(UTC)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return machine_now()


class MovableClock:
    """The machine's clock plus an offset that can be moved: for the sandbox and for stories.

    A production instance never has one: `SPMS_SANDBOX` decides when the process starts.
    """

    def __init__(self, offset: timedelta = timedelta()) -> None:
        """Start `offset` away from the machine's clock."""
        self.offset = offset

    def now(self) -> datetime:
        """Return the moved instant, aware, in UTC."""
        return machine_now() + self.offset

    def move(self, step: timedelta) -> None:
        """Move the clock forward (or back, in a test that means it)."""
        self.offset += step


class FixedClock:
    """A clock that stands still until it is told otherwise: for stories."""

    def __init__(self, at: datetime) -> None:
        """Stand at `at` (aware)."""
        self.at = at

    def now(self) -> datetime:
        """Return the instant at which the clock stands."""
        return self.at

    def move(self, step: timedelta) -> None:
        """Move the clock."""
        self.at += step


def business_day(at: datetime) -> date:
    """Return the calendar day in Asia/Shanghai that contains the instant."""
    return at.astimezone(SHANGHAI).date()


def business_month(at: datetime) -> date:
    """Return the first day of the calendar month in Asia/Shanghai that contains the instant."""
    return business_day(at).replace(day=1)


def start_of_day(day: date) -> datetime:
    """Return the instant (UTC) at which a business day begins."""
    return datetime.combine(day, time(), SHANGHAI).astimezone(UTC)


def next_month(month: date) -> date:
    """Return the first day of the month after the given one."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def month_range(month: date) -> tuple[datetime, datetime]:
    """Return the half-open range of instants (UTC) that a business month covers."""
    first = month.replace(day=1)
    return start_of_day(first), start_of_day(next_month(first))
