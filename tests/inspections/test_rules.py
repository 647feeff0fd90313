"""When calls may be placed, and a draw that anyone can repeat."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.core.clock import SHANGHAI
from spms.inspections.model import Candidate, PlanDocument, Start
from spms.inspections.policy import InspectionRules
from spms.inspections.rules import (
    commitment,
    draw,
    earliest,
    faults_of,
    hours_of,
    may_call,
    next_opening,
    slot_after,
    write_document,
)

RULES = InspectionRules()
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


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


def plan_of(sps, percent, seed, now, start=Start.SPREAD):
    lines = [Candidate(sp_id=UUID(int=n // 2), number=f"4008{n:06d}") for n in range(2 * sps)]
    drawn = draw(lines, seed=seed, percent=percent, rules=RULES, start=start, now=now)
    return PlanDocument(
        plan_id=UUID(int=1), drawn_at=now, seed=seed, start=start, percent=percent, rules=RULES,
        candidates=lines, left_out=[], items=drawn,
    )  # fmt: skip


@given(moment=MOMENTS, seed=st.text(max_size=20), percent=st.integers(1, 100))
def test_a_draw_takes_a_share_of_the_sps_with_all_their_lines_inside_the_hours(
    moment, seed, percent
):
    drawn = plan_of(25, percent, seed, moment).items
    per_sp = Counter(line.sp_id for line in drawn)
    assert set(per_sp.values()) == {2}
    assert len(per_sp) == -(-25 * percent // 100)
    assert all(line.due_at >= moment and may_call(line.due_at, RULES) for line in drawn)


def test_a_plan_can_be_checked_by_whoever_was_drawn_and_no_change_passes():
    plan = plan_of(25, 20, "s.1f", at(2, 12, 0))
    text = write_document(plan)
    bound = commitment(text)
    assert faults_of(text, bound) == []
    assert faults_of(text.replace("s.1f", "s.2f"), bound) != []
    singled_out = msgspec.structs.replace(plan, items=plan_of(25, 20, "other", plan.drawn_at).items)
    forged = write_document(singled_out)
    assert faults_of(forged, commitment(forged)) == ["the seed does not give these items"]


def test_a_draw_does_not_depend_on_the_order_of_the_candidates_nor_on_the_others():
    plan = plan_of(25, 20, "seed", at(2, 12, 0))
    mixed = draw(
        plan.candidates[::-1], seed="seed", percent=20, rules=RULES, start=Start.SPREAD,
        now=plan.drawn_at,
    )  # fmt: skip
    assert mixed == plan.items
    assert plan.items != plan_of(25, 20, "another", plan.drawn_at).items


def test_every_sp_is_drawn_as_often_as_every_other():
    counts = Counter(
        line.sp_id for n in range(400) for line in plan_of(10, 20, f"seed {n}", at(2, 12, 0)).items
    )
    assert len(counts) == 10
    for times in counts.values():
        assert 110 < times < 210  # 400 draws of two in ten, two lines each: 160 ± 4 sigma


def test_a_spread_plan_calls_once_in_each_band_of_each_day():
    moment, found = at(2, 0, 0), []
    for _ in range(28):
        moment = slot_after("seed", "4008123456", moment, RULES)
        found.append(moment)
        moment += timedelta(seconds=1)
    local = [each.astimezone(SHANGHAI) for each in found]
    assert Counter(each.date() for each in local) == {at(n, 0, 0).date(): 4 for n in range(2, 9)}
    opens, closes = hours_of(at(2, 0, 0).date(), RULES)
    band = (closes - opens) / 4
    for each in found:
        start, _ = hours_of(each.astimezone(SHANGHAI).date(), RULES)
        assert (each - start) // band == found.index(each) % 4
    assert len({each.time() for each in local}) > 20, "at seconds drawn by lot"
    assert {each.weekday() for each in local} == set(range(7))


def test_a_plan_that_starts_now_makes_every_first_call_due_at_once():
    assert {d.due_at for d in plan_of(2, 100, "s", at(2, 12, 0), Start.NOW).items} == {at(2, 12, 0)}
    assert {d.due_at for d in plan_of(2, 100, "s", at(2, 21, 0), Start.NOW).items} == {at(3, 8, 30)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"opens": "20:00", "closes": "08:30"},
        {"opens": "8:30"},
        {"opens": "24:00"},
        {"retests": 0},
        {"retest_minutes": 29},
        {"most_calls": 201},
        {"bad_percent": 85},
    ],
)
def test_a_rulebook_that_would_be_unfair_or_impossible_is_refused(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, InspectionRules)
