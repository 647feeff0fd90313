"""The ladder and the transitions: pure."""

from datetime import UTC, datetime
from itertools import product
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.core.errors import NotAllowed
from spms.core.machine import advance
from spms.partners.model import Measure
from spms.penalties.model import (
    Breach,
    BreachAction,
    BreachKind,
    BreachState,
    Grade,
    PenaltyRules,
    Source,
)
from spms.penalties.rules import TRANSITIONS, consequences

NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)
RULES = PenaltyRules()


def a_breach(points: int, *services: UUID) -> Breach:
    return Breach(
        id=uuid4(), sp_id=uuid4(), kind=BreachKind.TARIFF_NOT_SHOWN, grade=Grade.SERIOUS,
        points=points, service_ids=list(services), source_kind=Source.OFFICER, source_id="1",
        statement="", state=BreachState.EFFECTIVE, found_at=NOON, proposed_by="staff:a",
    )  # fmt: skip


def measures(*points: int) -> list[list[Measure]]:
    breaches = [a_breach(each, uuid4()) for each in points]
    found = consequences(breaches, RULES)
    return [[c.measure for c in found if c.breach_id == breach.id] for breach in breaches]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([20], [[]]),
        ([21], [[Measure.NO_NEW_SERVICES]]),
        ([60], [[Measure.NO_NEW_SERVICES, Measure.SHIELDED]]),
        ([61], [[Measure.NO_NEW_SERVICES, Measure.SHIELDED, Measure.NO_NEW_SUBSCRIPTIONS]]),
        ([30, 10], [[Measure.NO_NEW_SERVICES], []]),
        ([30, 30], [[Measure.NO_NEW_SERVICES], [Measure.SHIELDED]]),
        ([100], [[r.measure for r in RULES.ladder]]),
        ([60, 60], [[Measure.NO_NEW_SERVICES, Measure.SHIELDED],
                    [Measure.SHIELDED, Measure.NO_NEW_SUBSCRIPTIONS, Measure.SETTLEMENT_HELD,
                     Measure.OFFLINE]]),
    ],
)  # fmt: skip
def test_each_breach_brings_the_rungs_it_fell_below(points, expected):
    assert measures(*points) == expected


def test_a_shield_falls_on_the_breachs_own_services_only():
    one, two = uuid4(), uuid4()
    found = consequences([a_breach(60, one, two)], RULES)
    assert {c.service_id for c in found if c.measure is Measure.SHIELDED} == {one, two}
    assert {c.service_id for c in found if c.measure is not Measure.SHIELDED} == {None}


@given(st.lists(st.integers(1, 60), max_size=6))
def test_what_holds_for_the_sp_depends_on_the_sum_and_not_on_the_order(points):
    def held(order):
        found = consequences([a_breach(each) for each in order], RULES)
        return {c.measure for c in found}

    left = 100 - sum(points)
    assert held(points) == held(points[::-1])
    expected = {r.measure for r in RULES.ladder if left < r.below} - {Measure.SHIELDED}
    assert held(points) == expected


@pytest.mark.parametrize(
    ("state", "action"),
    [move for move in product(BreachState, BreachAction) if move not in TRANSITIONS],
)
def test_every_move_that_is_not_in_the_table_is_refused(state, action):
    with pytest.raises(NotAllowed):
        advance(TRANSITIONS, state, action)
