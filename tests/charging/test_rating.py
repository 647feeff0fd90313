"""What is wrong with a charge and what was due: facts in, verdict out, no database."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.authorisation.model import CapRules
from spms.charging.facts import Facts, Item, OwnLimits, Relation, Rules
from spms.charging.model import Delivery, Finding, Kind
from spms.charging.rating import Standing, judge
from spms.core.ids import new_id

NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
RULES = Rules(version=1, caps=CapRules(), order_lifetime=DAY)
SERVICE = UUID(int=1)


def item(at=NOON, *, kind=Kind.MONTHLY, price_fen=800, service_id=SERVICE, **values):
    fields = {
        "charge_id": new_id(), "record_id": "r", "msisdn": "8613800138000",
        "service_id": service_id, "kind": kind, "charged_at": at, "price_fen": price_fen,
        "delivery": Delivery.NONE, "sp_id": UUID(int=9),
    }  # fmt: skip
    return Item(**(fields | values))


def relation(
    start=NOON - DAY,
    *,
    ended_at=None,
    end_reason=None,
    price_fen=800,
    charge_from=None,
    free_until=None,
    **asked,
):
    return Relation(
        uuid4(), price_fen, uuid4(), start, ended_at, end_reason, charge_from or start, free_until,
        **asked,
    )  # fmt: skip


def facts(*relations, state="active", epoch=1, **values):
    return Facts(state, epoch, list(relations), uuid4(), **values)


def found(verdict):
    return [fault.kind for fault in verdict.faults]


def test_a_charge_with_consent_at_the_agreed_price_is_right():
    agreed = relation()
    verdict = judge(item(), facts(agreed), Standing(), RULES)
    assert found(verdict) == []
    assert verdict.due_fen == 800
    assert verdict.consent_id == agreed.subscription_id
    assert verdict.tariff_id == agreed.tariff_id


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (facts(), [Finding.NO_CONSENT]),
        (facts(state=None, epoch=None), [Finding.NO_CONSENT]),
        (facts(relation(ended_at=NOON, end_reason="subscriber")), [Finding.AFTER_UNSUBSCRIBE]),
        (facts(relation(ended_at=NOON - HOUR, end_reason="agent")), [Finding.AFTER_UNSUBSCRIBE]),
        (facts(relation(ended_at=NOON + HOUR, end_reason="subscriber")), []),
        (facts(relation(ended_at=NOON - HOUR, end_reason="operator")), [Finding.NO_CONSENT]),
        (facts(relation(), state="suspended"), [Finding.NUMBER_SUSPENDED]),
        (facts(relation(), state="terminated"), [Finding.NUMBER_TERMINATED]),
        (
            facts(relation(ended_at=NOON, end_reason="number_terminated"), state="terminated"),
            [Finding.NUMBER_TERMINATED],
        ),
        (facts(relation(charge_from=NOON)), []),
        (facts(relation(charge_from=NOON + HOUR)), [Finding.IN_TRIAL]),
        (
            facts(relation(charge_from=NOON + HOUR), state="suspended"),
            [Finding.NUMBER_SUSPENDED],
        ),
        (
            facts(relation(charge_from=NOON + HOUR, ended_at=NOON, end_reason="subscriber")),
            [Finding.AFTER_UNSUBSCRIBE],
        ),
        (
            facts(relation(charge_from=NOON + HOUR, free_until=NOON + HOUR)),
            [Finding.IN_TRIAL],
        ),
        # An SP's own trial is over at its end, whether or not the job has said so.
        (facts(relation(charge_from=NOON, free_until=NOON)), [Finding.NO_CONSENT]),
        (facts(state="terminated"), [Finding.NO_CONSENT, Finding.NUMBER_TERMINATED]),
        (facts(state="suspended"), [Finding.NO_CONSENT, Finding.NUMBER_SUSPENDED]),
    ],
)
def test_number_and_consent_decide_as_of_the_charge(known, expected):
    verdict = judge(item(), known, Standing(), RULES)
    assert found(verdict) == expected
    assert verdict.due_fen == (0 if expected else 800)


@pytest.mark.parametrize(
    ("price_fen", "expected", "due_fen"),
    [(800, [], 800), (801, [Finding.PRICE_MISMATCH], 800), (799, [], 799)],
)
def test_more_than_agreed_is_an_error_and_less_is_none(price_fen, expected, due_fen):
    verdict = judge(item(price_fen=price_fen), facts(relation()), Standing(), RULES)
    assert found(verdict) == expected
    assert verdict.due_fen == due_fen


def test_what_did_not_arrive_is_not_due_and_its_repetition_is_no_duplicate():
    known, standing = facts(relation()), Standing()
    failed = judge(item(delivery=Delivery.FAILED), known, standing, RULES)
    again = judge(item(NOON + HOUR, delivery=Delivery.DELIVERED), known, standing, RULES)
    assert (found(failed), failed.due_fen) == ([Finding.UNDELIVERED], 0)
    assert (found(again), again.due_fen) == ([], 800)


def test_a_charge_in_the_trial_is_no_month_paid():
    known, standing = facts(relation(charge_from=NOON)), Standing()
    early = judge(item(NOON - HOUR, price_fen=900), known, standing, RULES)
    right = judge(item(NOON + HOUR), known, standing, RULES)
    assert (found(early), early.due_fen) == ([Finding.IN_TRIAL, Finding.PRICE_MISMATCH], 0)
    assert (found(right), right.due_fen) == ([], 800)


def test_a_month_is_due_once_and_the_next_month_again():
    known, standing = facts(relation()), Standing()
    verdicts = [
        judge(item(at), known, standing, RULES) for at in (NOON, NOON + DAY, NOON + 30 * DAY)
    ]
    assert [found(v) for v in verdicts] == [[], [Finding.DUPLICATE], []]
    assert [v.due_fen for v in verdicts] == [800, 0, 800]


def test_the_month_turns_at_midnight_in_shanghai():
    known, standing = facts(relation()), Standing()
    midnight = datetime(2026, 3, 31, 16, tzinfo=UTC)
    before = judge(item(midnight - timedelta(microseconds=1)), known, standing, RULES)
    after = judge(item(midnight), known, standing, RULES)
    assert found(before) == found(after) == []


def test_a_new_holder_pays_her_own_month():
    standing = Standing()
    old = judge(item(), facts(relation()), standing, RULES)
    new = judge(item(NOON + DAY), facts(relation(NOON + HOUR), epoch=2), standing, RULES)
    assert found(old) == found(new) == []


def test_each_order_is_charged_once_the_oldest_first():
    older, newer = relation(NOON - 2 * HOUR), relation(NOON - HOUR)
    known, standing = facts(newer, older), Standing()
    verdicts = [
        judge(item(NOON + n * HOUR, kind=Kind.ON_DEMAND), known, standing, RULES) for n in range(3)
    ]
    assert [found(v) for v in verdicts] == [[], [], [Finding.DUPLICATE]]
    cited = [v.consent_id for v in verdicts[:2]]
    assert cited == [older.subscription_id, newer.subscription_id]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (relation(NOON - DAY + HOUR, ended_at=NOON - HOUR, end_reason="lapsed"), []),
        (relation(NOON - DAY, ended_at=NOON, end_reason="lapsed"), [Finding.NO_CONSENT]),
        (relation(NOON - DAY), [Finding.NO_CONSENT]),
        (
            relation(NOON - HOUR, ended_at=NOON, end_reason="subscriber"),
            [Finding.AFTER_UNSUBSCRIBE],
        ),
    ],
)
def test_an_order_licenses_for_its_lifetime_unless_she_left(order, expected):
    verdict = judge(item(kind=Kind.ON_DEMAND), facts(order), Standing(), RULES)
    assert found(verdict) == expected


def test_over_the_cap_only_what_still_fits_is_due():
    standing = Standing()
    verdicts = [
        judge(
            item(NOON + n * HOUR, kind=Kind.ON_DEMAND, price_fen=1400),
            facts(relation(NOON + n * HOUR, price_fen=1400)), standing, RULES,
        )
        for n in range(4)
    ]  # fmt: skip
    assert [v.due_fen for v in verdicts] == [1400, 1400, 200, 0]
    assert [found(v) for v in verdicts] == [[], [], [Finding.OVER_CAP], [Finding.OVER_CAP]]


@pytest.mark.parametrize("barred_by", ["all", "sp", "category", None])
def test_what_the_holder_barred_is_not_due(barred_by):
    known = facts(relation(), own=OwnLimits(barred_by=barred_by))
    verdict = judge(item(), known, Standing(), RULES)
    assert found(verdict) == ([Finding.BARRED] if barred_by else [])
    assert verdict.due_fen == (0 if barred_by else 800)


@pytest.mark.parametrize(
    ("own", "caps", "expected"),
    [
        (OwnLimits(), {}, [800, 800]),
        (OwnLimits(), {"game": 1000}, [800, 200]),  # over both services of the category
        (OwnLimits(), {"chat": 1000}, [800, 800]),  # another's
        (OwnLimits(), {"game": 0}, [0, 0]),
        (OwnLimits(total_month_fen=900), {"game": 1000}, [800, 100]),
        (OwnLimits(service_month_fen=700), {"game": 1000}, [700, 300]),
    ],
)
def test_a_category_has_a_cap_over_all_its_services(own, caps, expected):
    rules = Rules(version=1, caps=CapRules(category_month_fen=caps), order_lifetime=DAY)
    standing = Standing()
    verdicts = [
        judge(
            item(service_id=UUID(int=n)), facts(relation(), category="game", own=own), standing,
            rules,
        )
        for n in (1, 2)
    ]  # fmt: skip
    assert [v.due_fen for v in verdicts] == expected
    assert [Finding.OVER_CAP in found(v) for v in verdicts] == [due < 800 for due in expected]


YES, NO = UUID(int=70), UUID(int=71)
UNUSED = {"authorisation_id": NO, "reservation": "released"}


@pytest.mark.parametrize(
    ("older", "newer", "meant", "cited", "observed"),
    [
        ({}, {}, 0, None, True),
        ({"authorisation_id": NO}, {"authorisation_id": YES}, 1, YES, False),
        ({"authorisation_id": YES}, {}, 0, YES, False),
        ({}, {"authorisation_id": YES}, 1, YES, False),
        (UNUSED, {"authorisation_id": YES, "reservation": "captured"}, 1, YES, False),
        (UNUSED, {}, 0, NO, False),
    ],
)
def test_a_use_is_charged_on_the_order_that_the_sp_asked_about(
    older, newer, meant, cited, observed
):
    orders = [relation(NOON - 2 * HOUR, **older), relation(NOON - HOUR, **newer)]
    verdict = judge(item(kind=Kind.ON_DEMAND), facts(*reversed(orders)), Standing(), RULES)
    assert verdict.consent_id == orders[meant].subscription_id
    assert verdict.authorisation_id == cited
    assert list(verdict.observed) == ([Finding.NO_DECISION] if observed else [])


@pytest.mark.parametrize("taken", [False, True])
def test_what_was_held_under_the_records_name_is_what_it_rests_on(taken):
    """Also when a record that nobody asked about took the order meanwhile."""
    orders = [relation(NOON - n * HOUR) for n in (3, 1)]
    orders.insert(1, relation(NOON - 2 * HOUR, authorisation_id=YES, reservation="captured",
                              reference="mine"))  # fmt: skip
    orders[0] = orders[0]._replace(authorisation_id=NO, reservation="captured", reference="other")
    standing = Standing()
    if taken:
        standing.orders[orders[1].subscription_id] = UUID(int=5)
    charge = item(kind=Kind.ON_DEMAND, record_id="mine")
    verdict = judge(charge, facts(*reversed(orders)), standing, RULES)
    assert (found(verdict), list(verdict.observed)) == ([], [])
    assert verdict.authorisation_id == YES
    assert verdict.consent_id == orders[0 if taken else 1].subscription_id


def test_what_was_held_under_the_records_name_and_let_go_or_has_run_out_is_not_cited():
    over = relation(NOON - DAY, authorisation_id=NO, reservation="captured", reference="mine")
    gone = relation(NOON - 2 * HOUR, authorisation_id=NO, reservation="expired", reference="mine")
    meant = relation(NOON - HOUR, authorisation_id=YES)
    charge = item(kind=Kind.ON_DEMAND, record_id="mine")
    verdict = judge(charge, facts(meant, gone, over), Standing(), RULES)
    assert (verdict.consent_id, verdict.authorisation_id) == (meant.subscription_id, YES)
    assert not verdict.suspicions


def test_of_two_uses_that_were_asked_for_the_later_may_land_first():
    orders = [relation(NOON - n * HOUR, authorisation_id=UUID(int=n)) for n in (1, 3)]
    standing = Standing()
    later = judge(item(kind=Kind.ON_DEMAND), facts(*orders), standing, RULES)
    early = item(NOON - 2 * HOUR, kind=Kind.ON_DEMAND)
    earlier = judge(early, facts(orders[1]), standing, RULES)
    assert [found(one) for one in (later, earlier)] == [[], []]
    assert [one.authorisation_id for one in (later, earlier)] == [UUID(int=1), UUID(int=3)]


def test_a_yes_to_one_order_is_none_to_the_next():
    known = facts(relation(NOON - HOUR), relation(NOON - 2 * HOUR, authorisation_id=YES))
    standing = Standing()
    first, second = (
        judge(item(NOON + n * HOUR, kind=Kind.ON_DEMAND), known, standing, RULES) for n in range(2)
    )
    assert (first.authorisation_id, list(first.observed)) == (YES, [])
    assert (second.authorisation_id, list(second.observed)) == (None, [Finding.NO_DECISION])


def test_all_that_is_wrong_is_said_and_the_least_is_due():
    standing = Standing()
    judge(item(), facts(relation()), standing, RULES)
    wrong = item(NOON + HOUR, price_fen=900, delivery=Delivery.FAILED)
    verdict = judge(wrong, facts(relation(), state="suspended"), standing, RULES)
    assert set(found(verdict)) == {
        Finding.NUMBER_SUSPENDED, Finding.UNDELIVERED, Finding.PRICE_MISMATCH, Finding.DUPLICATE,
    }  # fmt: skip
    assert verdict.due_fen == 0


CHARGES = st.lists(
    st.tuples(
        st.integers(0, 5), st.sampled_from(Kind), st.integers(1, 6000), st.integers(0, 60 * 24)
    ),
    max_size=40,
)


@given(CHARGES)
def test_no_order_of_arrival_passes_a_cap_or_pays_a_month_twice(charges):
    standing, service_due, holder_due, months = Standing(), Counter(), Counter(), Counter()
    for service, kind, price_fen, hours in charges:
        at = NOON + hours * HOUR
        service_id = UUID(int=service * 2 + (kind is Kind.MONTHLY))
        charge = item(at, kind=kind, price_fen=price_fen, service_id=service_id)
        verdict = judge(charge, facts(relation(at, price_fen=3500)), standing, RULES)
        month = (at + timedelta(hours=8)).strftime("%Y-%m")
        service_due[service_id, month] += verdict.due_fen
        holder_due[month] += verdict.due_fen
        if kind is Kind.MONTHLY and verdict.due_fen:
            months[service_id, month] += 1
        least = min([price_fen, *(fault.due_fen for fault in verdict.faults)])
        assert verdict.due_fen == least
        assert bool(verdict.faults) is (verdict.due_fen < price_fen)
    assert all(due <= RULES.caps.service_month_fen for due in service_due.values())
    assert all(due <= RULES.caps.total_month_fen for due in holder_due.values())
    assert all(count == 1 for count in months.values())
