"""Working days of mainland China, told by the rulebook."""

from datetime import UTC, date, datetime

import pytest

from spms.core.clock import SHANGHAI
from spms.core.workdays import CalendarRules

CALENDAR = CalendarRules()


def _noon(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=SHANGHAI)


def _last_day(day: str, days: int, calendar: CalendarRules = CALENDAR) -> str:
    """Return the day that ends with the deadline."""
    end = calendar.days_later(_noon(day), days).astimezone(SHANGHAI)
    assert (end.hour, end.minute) == (0, 0)
    return date.fromordinal(end.toordinal() - 1).isoformat()


def test_five_working_days_skip_the_weekend_and_end_at_midnight_in_shanghai() -> None:
    noon = datetime(2026, 3, 2, 4, tzinfo=UTC)
    assert CALENDAR.days_later(noon, 5) == datetime(2026, 3, 9, 16, tzinfo=UTC)
    friday_night = datetime(2026, 3, 6, 15, 59, tzinfo=UTC)
    assert CALENDAR.days_later(friday_night, 1) == datetime(2026, 3, 9, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "days", "last"),
    [
        ("2026-09-30", 1, "2026-10-08"),  # eight days of National Day
        ("2026-10-09", 1, "2026-10-10"),  # a Saturday that is worked for it
        ("2026-02-13", 1, "2026-02-14"),  # so is the Saturday before Spring Festival
        ("2026-02-14", 1, "2026-02-24"),
        ("2026-02-13", 5, "2026-02-27"),
        ("2026-04-30", 3, "2026-05-08"),
        ("2027-09-30", 1, "2027-10-01"),  # nobody has told 2027: earlier, never later
    ],
)
def test_holidays_do_not_count_and_days_made_up_do(day: str, days: int, last: str) -> None:
    assert _last_day(day, days) == last


def test_an_operator_tells_the_next_year() -> None:
    told = CalendarRules(days_off=[date(2027, 10, 1)], days_worked=[date(2027, 10, 2)])
    assert _last_day("2027-09-30", 1, told) == "2027-10-02"


def test_every_day_off_is_a_weekday_and_every_day_worked_a_weekend() -> None:
    assert all(day.weekday() < 5 for day in CALENDAR.days_off)
    assert all(day.weekday() >= 5 for day in CALENDAR.days_worked)
    assert (len(CALENDAR.days_off), len(CALENDAR.days_worked)) == (19, 6)
