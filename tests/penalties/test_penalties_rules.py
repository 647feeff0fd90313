"""The ladder and the transitions: pure."""

from datetime import UTC, datetime
from itertools import product
from uuid import UUID, uuid4

import msgspec
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
    Rank,
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


SERVICES, PRICES, PROMOTION = (
    Measure.NO_NEW_SERVICES, Measure.NO_HIGH_PRICES, Measure.NO_PROMOTION,
)  # fmt: skip


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([5], [[]]),
        ([6], [[PRICES]]),
        ([20], [[PRICES]]),
        ([21], [[SERVICES, PRICES, PROMOTION]]),
        ([60], [[SERVICES, Measure.SHIELDED, PRICES, PROMOTION]]),
        ([61], [[SERVICES, Measure.SHIELDED, Measure.NO_NEW_SUBSCRIPTIONS, PRICES, PROMOTION]]),
        ([10, 10], [[PRICES], []]),
        ([10, 30], [[PRICES], [SERVICES, PROMOTION]]),
        ([30, 10], [[SERVICES, PRICES, PROMOTION], []]),
        ([30, 30], [[SERVICES, PRICES, PROMOTION], [Measure.SHIELDED]]),
        ([100], [[*(r.measure for r in RULES.ladder), PRICES, PROMOTION]]),
        ([60, 60], [[SERVICES, Measure.SHIELDED, PRICES, PROMOTION],
                    [Measure.SHIELDED, Measure.NO_NEW_SUBSCRIPTIONS, Measure.SETTLEMENT_HELD,
                     Measure.OFFLINE]]),
    ],
)  # fmt: skip
def test_each_breach_brings_the_rungs_and_takes_the_rights_it_fell_below(points, expected):
    assert measures(*points) == expected


def test_a_rulebook_may_grant_rights_to_every_rank():
    ranks = [Rank(name="A", at_least=0, new_services=True, high_price=True, promotion=True)]
    lenient = msgspec.structs.replace(RULES, ranks=ranks, ladder=[])
    assert consequences([a_breach(90)], lenient) == []


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
    expected |= {PRICES} if left < 95 else set()
    expected |= {PROMOTION} if left < 80 else set()
    assert held(points) == expected


@pytest.mark.parametrize(
    ("state", "action"),
    [move for move in product(BreachState, BreachAction) if move not in TRANSITIONS],
)
def test_every_move_that_is_not_in_the_table_is_refused(state, action):
    with pytest.raises(NotAllowed):
        advance(TRANSITIONS, state, action)
