"""The calendar of working days in mainland China: weekends, statutory holidays, days made up. Pure.

Which days are off is announced by the State Council a year at a time, in the autumn before; an
operator adds the next year in the rulebook's section `calendar`. A year nobody has told counts
Monday to Friday, so deadlines in it come earlier, never later, around its holidays.
"""

from datetime import date, datetime, timedelta
from typing import Annotated, Final

import msgspec

from spms.core.clock import business_day, start_of_day

SATURDAY: Final = 5

_OFF_2026 = (
    "01-01 01-02 02-16 02-17 02-18 02-19 02-20 02-23 04-06 05-01 05-04 05-05 06-19 09-25 "
    "10-01 10-02 10-05 10-06 10-07"
)
_WORKED_2026 = "01-04 02-14 02-28 05-09 09-20 10-10"


def _of_2026(days: str) -> list[date]:
    return [date.fromisoformat(f"2026-{day}") for day in days.split()]


Dates = Annotated[list[date], msgspec.Meta(max_length=2_000)]


class CalendarRules(msgspec.Struct, frozen=True, kw_only=True):
    """Section `calendar` of the rulebook; the defaults are the State Council's notice for 2026."""

    days_off: Dates = msgspec.field(default_factory=lambda: _of_2026(_OFF_2026))
    """Mondays to Fridays that nobody works: statutory holidays and days moved to them."""
    days_worked: Dates = msgspec.field(default_factory=lambda: _of_2026(_WORKED_2026))
    """Saturdays and Sundays that are worked instead (调休)."""

    def works(self, day: date) -> bool:
        """Whether a day is a working day."""
        if day.weekday() >= SATURDAY:
            return day in self.days_worked
        return day not in self.days_off

    def days_later(self, at: datetime, days: int) -> datetime:
        """Return the end (UTC) of the last of so many working days after the instant's own day.

        Days are those of Asia/Shanghai.
        """
        day = business_day(at)
        while days:
            day += timedelta(days=1)
            if self.works(day):
                days -= 1
        return start_of_day(day + timedelta(days=1))
