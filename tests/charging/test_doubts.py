"""The rules that name or doubt a charge: golden tables, no database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from spms.charging.doubts import (
    doubts,
    no_decision,
    reserved_not_delivered,
    sort_out,
    split,
    unlicensed,
)
from spms.charging.facts import Fault, Item, Relation, Stray, Verdict
from spms.charging.model import AuditRules, Delivery, Finding, Kind, Mode

NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)
A, B, SP, SERVICE, CHARGE = (UUID(int=n) for n in range(1, 6))
RULES = AuditRules(split_minutes=30, split_charges=3, split_fen=1000)


def item(kind=Kind.ON_DEMAND, price_fen=400):
    return Item(
        CHARGE, "r", "8613800138000", SERVICE, kind, NOON, price_fen, Delivery.DELIVERED, SP
    )


def ago(minutes, fen=400):
    return (NOON - timedelta(minutes=minutes), fen)


def related(authorisation_id):
    return Relation(A, 400, B, NOON, None, None, NOON, None, authorisation_id)


@pytest.mark.parametrize(
    ("kind", "stray", "expected"),
    [
        (Kind.MONTHLY, Stray(), Finding.NO_CONSENT),
        (Kind.ON_DEMAND, Stray(), Finding.MT_WITHOUT_MO),
        (Kind.MONTHLY, Stray(former_id=A), Finding.AFTER_TRANSFER),
        (Kind.ON_DEMAND, Stray(former_id=A), Finding.AFTER_TRANSFER),
        (Kind.MONTHLY, Stray(other_id=B, other_code="600001"), Finding.OTHER_SERVICE),
        (Kind.ON_DEMAND, Stray(other_id=B, other_code="600001"), Finding.OTHER_SERVICE),
        (Kind.MONTHLY, Stray(former_id=A, other_id=B), Finding.AFTER_TRANSFER),
    ],
)
def test_a_charge_nobody_agreed_to_is_named_by_what_there_is_instead(kind, stray, expected):
    fault = unlicensed(item(kind), stray)
    assert (fault.kind, fault.due_fen) == (expected, 0)


@pytest.mark.parametrize(
    ("row", "strikes"),
    [
        ([], False),
        ([ago(1)], False),  # two are not yet a succession
        ([ago(1), ago(2)], True),  # 1,200 in three
        ([ago(1, 300), ago(2, 300)], False),  # 1,000 is not more than 1,000
        ([ago(1, 300), ago(2, 301)], True),
        ([ago(29.99), ago(2)], True),
        ([ago(30), ago(2)], False),  # half an hour ago is out of the window
        ([ago(-1), ago(2)], False),  # what came later in time is no succession before
        ([ago(1, 1), ago(2, 1), ago(3, 1)], False),
        ([ago(1), ago(40), ago(50), ago(60)], False),
    ],
)
def test_a_quick_succession_is_a_rolling_sum(row, strikes):
    assert [fault.kind for fault in split(item(), row, RULES)] == (
        [Finding.SPLIT_CHARGES] if strikes else []
    )


@pytest.mark.parametrize(
    ("reservation", "delivery", "strikes"),
    [
        (None, Delivery.NONE, False),  # it held nothing
        ("reserved", Delivery.NONE, False),  # may still be captured
        ("captured", Delivery.NONE, False),
        ("released", Delivery.NONE, True),
        ("expired", Delivery.NONE, True),
        ("released", Delivery.DELIVERED, False),  # the network saw it arrive
        ("expired", Delivery.FAILED, False),  # `undelivered` says so, and refunds
    ],
)
def test_what_was_held_and_let_go_was_not_delivered(reservation, delivery, strikes):
    found = reserved_not_delivered(item()._replace(delivery=delivery), reservation)
    assert [(fault.kind, fault.due_fen) for fault in found] == (
        [(Finding.RESERVED_NOT_DELIVERED, 0)] if strikes else []
    )


@pytest.mark.parametrize(
    ("asked", "strikes"), [(None, True), (related(None), True), (related(CHARGE), False)]
)
def test_a_charge_that_nobody_said_yes_to_is_counted_with_its_price(asked, strikes):
    found = no_decision(item(), asked)
    assert [(fault.kind, fault.due_fen) for fault in found] == (
        [(Finding.NO_DECISION, 400)] if strikes else []
    )


@pytest.mark.parametrize(
    ("kind", "authorisation_id", "expected"),
    [
        (Kind.ON_DEMAND, A, [Finding.SPLIT_CHARGES]),
        (Kind.MONTHLY, A, []),  # several months that turn at once are no split charge
        (Kind.MONTHLY, None, [Finding.NO_DECISION]),
        (Kind.ON_DEMAND, None, [Finding.SPLIT_CHARGES, Finding.NO_DECISION]),
    ],
)
def test_doubts_are_about_uses_in_succession_and_decisions_never_asked(
    kind, authorisation_id, expected
):
    asked = related(authorisation_id)
    found = doubts(item(kind), asked, RULES, [ago(1), ago(2)])
    assert [fault.kind for fault in found] == expected


@pytest.mark.parametrize(
    ("mode", "faults", "due", "suspicions", "observed"),
    [
        (Mode.REFUND, [Finding.SPLIT_CHARGES], 0, [], []),
        (Mode.REVIEW, [], 400, [Finding.SPLIT_CHARGES], []),
        (Mode.OBSERVE, [], 400, [], [Finding.SPLIT_CHARGES]),
    ],
)
def test_a_mode_says_what_follows(mode, faults, due, suspicions, observed):
    verdict = Verdict([], 400, A, None, None)
    suspect = [Fault(Finding.SPLIT_CHARGES, 0, {})]
    out = sort_out(verdict, suspect, AuditRules(split_mode=mode))
    assert [fault.kind for fault in out.faults] == faults
    assert out.due_fen == due
    assert [fault.kind for fault in out.suspicions] == suspicions
    assert list(out.observed) == observed


def test_what_promises_rest_on_is_refunded_whatever_a_rulebook_says():
    rules = AuditRules(split_mode=Mode.OBSERVE, no_decision_mode=Mode.REVIEW)
    own = {
        Finding.SPLIT_CHARGES, Finding.NO_DECISION, Finding.RESERVED_NOT_DELIVERED,
        Finding.DELIVERED_NOT_CHARGED,
    }  # fmt: skip
    assert {kind for kind in Finding if rules.mode(kind) is Mode.REFUND} == set(Finding) - own
