"""When calls may be placed, and a draw that anyone can repeat."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.core.clock import SHANGHAI
from spms.inspections.model import InspectionRules, Start
from spms.inspections.rules import commitment, draw, earliest, may_call, next_opening

RULES = InspectionRules()
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))
HOTLINES = [f"4008{n:06d}" for n in range(50)]


def at(day: int, hour: int, minute: int, second: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, second, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("moment", "allowed"),
    [
        (at(2, 0, 0), False),
        (at(2, 8, 29, 59), False),
        (at(2, 8, 30), True),
        (at(2, 19, 57, 59), True),
        (at(2, 19, 58), False),  # so shortly before closing no call starts
        (at(2, 20, 0), False),
        (at(2, 23, 59), False),
    ],
)
def test_calls_start_inside_the_permitted_hours(moment, allowed):
    assert may_call(moment, RULES) is allowed
    assert earliest(moment, RULES) == (moment if allowed else next_opening(moment, RULES))


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        (at(2, 7, 0), at(2, 8, 30)),
        (at(2, 8, 30), at(3, 8, 30)),
        (at(2, 20, 0), at(3, 8, 30)),
        (at(31, 23, 0), at(31, 8, 30) + timedelta(days=1)),
    ],
)
def test_the_next_opening_is_in_the_morning(moment, opening):
    assert next_opening(moment, RULES) == opening


@given(moment=MOMENTS)
def test_every_moment_has_an_earliest_one_within_a_day(moment):
    found = earliest(moment, RULES)
    assert may_call(found, RULES)
    assert moment <= found <= moment + timedelta(days=1)
    assert may_call(next_opening(moment, RULES), RULES)


@given(moment=MOMENTS, seed=st.text(max_size=20), percent=st.integers(1, 100))
def test_a_draw_is_repeatable_and_spread_over_one_day_s_hours(moment, seed, percent):
    rules = InspectionRules(plan_sample_percent=percent)
    first = draw(HOTLINES, seed=seed, rules=rules, start=Start.SPREAD, now=moment)
    assert first == draw(HOTLINES, seed=seed, rules=rules, start=Start.SPREAD, now=moment)
    numbers = [number for number, _ in first]
    assert len(numbers) == len(set(numbers)) == -(-50 * percent // 100)
    assert all(due >= moment and may_call(due, rules) for _, due in first)
    assert len({due.astimezone(SHANGHAI).date() for _, due in first}) == 1


def test_different_seeds_draw_differently_and_bind_differently():
    rules = InspectionRules(plan_sample_percent=20)
    first, other = (
        draw(HOTLINES, seed=seed, rules=rules, start=Start.SPREAD, now=at(2, 12, 0))
        for seed in ("one", "two")
    )
    assert {number for number, _ in first} != {number for number, _ in other}
    assert commitment("one") != commitment("two")


def test_a_draw_that_starts_now_makes_every_first_call_due_at_once():
    drawn = draw(HOTLINES, seed="s", rules=RULES, start=Start.NOW, now=at(2, 12, 0))
    assert {due for _, due in drawn} == {at(2, 12, 0)}
    drawn = draw(HOTLINES, seed="s", rules=RULES, start=Start.NOW, now=at(2, 21, 0))
    assert {due for _, due in drawn} == {at(3, 8, 30)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"opens": "20:00", "closes": "08:30"},
        {"opens": "8:30"},
        {"opens": "24:00"},
        {"retests": 0},
        {"retest_minutes": 29},
        {"attempts": 21},
    ],
)
def test_a_rulebook_that_would_be_unfair_or_impossible_is_refused(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, InspectionRules)
