"""The only place that asks the time. Everything else gets `now` as an argument (aware, UTC).

Business days and months are those of Asia/Shanghai; ranges are half-open.
"""

import time as machine
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
STEP: Final = timedelta(seconds=1)
"""A clock set back by more than this was set back; by less, two readings of it differed."""


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


def steady_seconds() -> float:
    """Return what a counter says that nobody sets: only the difference of two readings means anything."""
    boot = getattr(machine, "CLOCK_BOOTTIME", None)  # goes on while the machine sleeps
    return machine.monotonic() if boot is None else machine.clock_gettime(boot)


class DatabaseClock:
    """The clock of the one database that all processes share, so that they agree on an order.

    Between two readings (`spms.core.database_clock`) the machine's counter tells it on; what this
    machine takes for the time of day plays no part. It does not go back, unless the database's own
    clock was set back.
    """

    def __init__(self) -> None:
        """Start at the machine's time, until the first reading."""
        self._at, self._read_at = machine_now(), steady_seconds()
        self._told = self._at

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        self._told = max(self._told, self._reckoned())
        return self._told

    def set(self, at: datetime, read_at: float) -> timedelta:
        """Take a reading: the database's time when the counter stood at `read_at`.

        Returns how much later it is than was reckoned.
        """
        reckoned = self._reckoned()
        self._at, self._read_at = at, read_at
        now = self._reckoned()
        if self._told - now > STEP:
            self._told = now
        return now - reckoned

    def _reckoned(self) -> datetime:
        return self._at + timedelta(seconds=steady_seconds() - self._read_at)


class MovableClock:
    """A clock plus an offset that can be moved: for the sandbox and for stories.

    A production instance never has one: `SPMS_SANDBOX` decides when the process starts.
    """

    def __init__(self, offset: timedelta = timedelta(), under: Clock | None = None) -> None:
        """Start `offset` away from the clock `under` it, which is the machine's unless given."""
        self.offset = offset
        self.under = under or SystemClock()

    def now(self) -> datetime:
        """Return the moved instant, aware, in UTC."""
        return self.under.now() + self.offset

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


def follows_database(clock: Clock) -> bool:
    """Whether a clock goes by the database's, so that this machine's cannot put it wrong."""
    return isinstance(clock.under if isinstance(clock, MovableClock) else clock, DatabaseClock)


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
