"""What a claim comes to, without a database."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.charging.model import Finding
from spms.compensation.model import (
    Account,
    ClaimState,
    CompensationRules,
    Disputed,
    Fault,
    PostingReason,
    RefundKind,
)
from spms.compensation.rules import (
    BOOKINGS,
    ClaimTooOld,
    check_age,
    is_holders,
    is_told,
    judge,
    oldest_disputable,
    refund_lines,
    refund_text,
)
from spms.subscribers.model import Language, NumberState

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DEFAULTS = CompensationRules()


def a_charge(*faults, charged_fen=800, **values):
    return Disputed(**{
        "msisdn": "8613800138000", "charge_id": uuid4(), "charged_at": NOON, "sp_id": uuid4(),
        "service_name": "天气早知道", "charged_fen": charged_fen,
        "faults": [Fault(kind=Finding(kind), due_fen=due) for kind, due in faults],
        "epoch": 1, "epoch_since": NOON - SECOND, "number_state": NumberState.ACTIVE,
        "language": Language.ZH,
    } | values)  # fmt: skip


@pytest.mark.parametrize(
    ("faults", "state", "due_fen", "decided_by"),
    [
        ([], ClaimState.STANDS, 800, None),
        ([("no_consent", 0)], ClaimState.REFUNDED, 0, Finding.NO_CONSENT),
        ([("price_mismatch", 500)], ClaimState.REFUNDED, 500, Finding.PRICE_MISMATCH),
        (
            [("price_mismatch", 500), ("after_unsubscribe", 0)],
            ClaimState.REFUNDED, 0, Finding.AFTER_UNSUBSCRIBE,
        ),
        ([("over_cap", 799)], ClaimState.REFUNDED, 799, Finding.OVER_CAP),
        ([("price_mismatch", 800)], ClaimState.STANDS, 800, Finding.PRICE_MISMATCH),
        ([("price_mismatch", 900)], ClaimState.STANDS, 800, Finding.PRICE_MISMATCH),
        (
            [("undelivered", 0), ("duplicate", 0)],
            ClaimState.REFUNDED, 0, Finding.DUPLICATE,
        ),
    ],
)  # fmt: skip
def test_the_finding_that_leaves_least_due_decides(faults, state, due_fen, decided_by):
    verdict = judge(a_charge(*faults))
    assert (verdict.state, verdict.due_fen, verdict.decided_by) == (state, due_fen, decided_by)


@given(charged=st.integers(1, 1_000_000), due=st.integers(0, 1_000_000))
def test_a_wrong_charge_comes_back_twice_and_never_more_than_double(charged, due):
    if due >= charged:
        with pytest.raises(ValueError, match="difference"):
            refund_lines(uuid4(), uuid4(), charged_fen=charged, due_fen=due)
        return
    lines = refund_lines(uuid4(), uuid4(), charged_fen=charged, due_fen=due)
    assert [line.kind for line in lines] == [RefundKind.PRINCIPAL, RefundKind.COMPENSATION]
    assert sum(line.amount_fen for line in lines) == 2 * (charged - due) <= 2 * charged


def test_both_refunds_are_booked_from_the_sp_to_the_subscriber():
    table = {kind: (b.debit, b.credit, b.reason) for kind, b in BOOKINGS.items()}
    assert table == {
        RefundKind.PRINCIPAL: (
            Account.SP_RECEIVABLE, Account.SUBSCRIBER_PAYABLE, PostingReason.REFUND_PRINCIPAL,
        ),
        RefundKind.COMPENSATION: (
            Account.SP_RECEIVABLE, Account.SUBSCRIBER_PAYABLE, PostingReason.REFUND_COMPENSATION,
        ),
    }  # fmt: skip


def test_the_posting_of_a_refund_has_one_identity_whoever_makes_it():
    charge_id = uuid4()
    ids = [
        [line.posting_id for line in refund_lines(uuid4(), charge_id, charged_fen=2, due_fen=1)]
        for _ in range(2)
    ]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


@pytest.mark.parametrize(
    ("now", "oldest"),
    [
        ((2026, 8, 2, 4), (2026, 3, 2, 4)),
        ((2026, 3, 2, 4), (2025, 10, 2, 4)),
        ((2026, 5, 31, 4), (2025, 12, 31, 4)),
        ((2026, 7, 31, 4), (2026, 2, 28, 4)),  # February has no 31st
        ((2026, 7, 31, 16), (2026, 2, 28, 16)),  # 1 August in Shanghai → 1 March there
        ((2028, 7, 29, 4), (2028, 2, 29, 4)),
    ],
)
def test_the_time_bar_is_five_calendar_months_back_in_shanghai(now, oldest):
    bar = datetime(*oldest, tzinfo=UTC)
    at = datetime(*now, tzinfo=UTC)
    assert oldest_disputable(at, DEFAULTS) == bar
    check_age(a_charge(charged_at=bar), at, DEFAULTS)
    with pytest.raises(ClaimTooOld):
        check_age(a_charge(charged_at=bar - SECOND), at, DEFAULTS)


@pytest.mark.parametrize(
    ("values", "holders", "told"),
    [
        ({}, True, True),
        ({"charged_at": NOON - SECOND}, True, True),
        ({"charged_at": NOON - 2 * SECOND}, False, False),
        ({"epoch_since": None, "epoch": None, "number_state": None}, False, False),
        ({"number_state": NumberState.SUSPENDED}, True, True),
        ({"number_state": NumberState.TERMINATED}, True, False),
    ],
)
def test_only_the_one_who_was_charged_is_told(values, holders, told):
    charge = a_charge(("no_consent", 0), **values)
    assert (is_holders(charge), is_told(charge)) == (holders, told)


def test_the_sms_says_what_was_wrong_and_what_comes_back_in_the_subscribers_language():
    charge = a_charge(("price_mismatch", 500))
    lines = refund_lines(uuid4(), charge.charge_id, charged_fen=800, due_fen=500)
    chinese = refund_text(charge, lines)
    assert chinese == ("您3月2日“天气早知道”收费8.00元有误，现退还3.00元并补偿3.00元，共6.00元。")
    assert len(chinese) <= 70, "one SMS"
    english = refund_text(a_charge(language=Language.EN), lines)
    assert "8.00 yuan on 2026-03-02" in english
    assert "Refund 3.00 + compensation 3.00 = 6.00 yuan" in english
