"""What a claim comes to, without a database."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.charging.model import Finding
from spms.compensation.accounts import (
    BEARERS,
    PAIRS,
    Account,
    Bearer,
    Bearers,
    Cause,
    PostingReason,
    both,
)
from spms.compensation.clawback_model import Firsts, GivenBack
from spms.compensation.journal_model import Entry, EntryLine
from spms.compensation.model import ClaimState, CompensationRules, Disputed, Fault, RefundKind
from spms.compensation.rules import (
    ClaimTooOld,
    Due,
    check_age,
    is_holders,
    is_told,
    judge,
    multiples,
    oldest_disputable,
    outstanding,
    refund_lines,
    refund_text,
    whose,
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
        "language": Language.ZH, "round": 0, "principal_fen": 0, "compensation_fen": 0,
        "honoured_due_fen": charged_fen,
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


@given(
    charged=st.integers(1, 1_000_000),
    dues=st.lists(st.integers(0, 1_000_000), max_size=4),
    cap=st.none() | st.integers(0, 1_000_000),
    multiplier=st.integers(1, 2),
)
def test_rounds_add_up_to_what_the_worst_finding_owes_and_never_more(
    charged, dues, cap, multiplier
):
    rules = CompensationRules(compensation_cap_fen=cap, multiplier=multiplier)
    dues = [min(due, charged) for due in dues]
    charge = a_charge(charged_fen=charged)
    for due in dues:
        missing = outstanding(charge, due, rules)
        assert min(missing) >= 0
        charge = msgspec.structs.replace(
            charge,
            round=charge.round + 1,
            principal_fen=charge.principal_fen + missing.principal_fen,
            compensation_fen=charge.compensation_fen + missing.compensation_fen,
        )
    difference = charged - min(dues, default=charged)
    owed = multiples(difference, rules)
    assert (charge.principal_fen, charge.compensation_fen) == owed
    assert sum(owed) <= multiplier * difference
    assert cap is None or owed.compensation_fen <= cap


BORNE = [
    (Bearer.SP, RefundKind.PRINCIPAL, Account.SP_RECEIVABLE, PostingReason.REFUND_PRINCIPAL),
    (Bearer.SP, RefundKind.COMPENSATION, Account.SP_RECEIVABLE, PostingReason.REFUND_COMPENSATION),
    (Bearer.OPERATOR, RefundKind.PRINCIPAL, Account.OPERATOR_SHARE, PostingReason.REFUND_PRINCIPAL),
    (Bearer.OPERATOR, RefundKind.COMPENSATION, Account.GOODWILL, PostingReason.REFUND_COMPENSATION),
]


@pytest.mark.parametrize(("bearer", "kind", "debit", "reason"), BORNE)
def test_who_bears_an_error_pays_the_subscriber(bearer, kind, debit, reason):
    (line,) = (
        line for line in refund_lines(a_charge(), Due(5, 5), both(bearer)) if line.kind is kind
    )
    booked = (line.booking.debit, line.booking.credit, line.booking.reason)
    assert booked == (debit, Account.SUBSCRIBER_PAYABLE, reason)
    assert (debit, Account.SUBSCRIBER_PAYABLE) in PAIRS


def test_every_cause_has_one_who_bears_it_and_the_rulebook_may_say_another():
    assert set(BEARERS) == set(Cause)
    mixed = {"first": "operator", "second": "sp"}
    rules = msgspec.convert(
        {"bearers": {"metering": "sp", "operator_fault": mixed}}, CompensationRules
    )
    assert rules.borne(Cause.METERING) == both(Bearer.SP)
    assert rules.borne(Cause.OPERATOR_FAULT) == Bearers(first=Bearer.OPERATOR, second=Bearer.SP)
    assert rules.borne(Cause.SP_FAULT) == both(Bearer.SP)
    first, second = refund_lines(a_charge(), Due(5, 5), rules.borne(Cause.OPERATOR_FAULT))
    assert (first.booking.debit, second.booking.debit) == (
        Account.OPERATOR_SHARE, Account.SP_RECEIVABLE,
    )  # fmt: skip


def test_the_posting_of_a_refund_has_one_identity_whoever_makes_it():
    charge = a_charge()
    ids = [[line.booking.id for line in refund_lines(charge, Due(1, 1))] for _ in range(2)]
    later = refund_lines(msgspec.structs.replace(charge, round=1), Due(1, 1))
    assert ids[0] == ids[1]
    assert len({*ids[0], *(line.booking.id for line in later)}) == 4


def test_nothing_missing_is_no_line():
    assert refund_lines(a_charge(), Due(0, 0)) == []


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
    lines = refund_lines(charge, Due(300, 300))
    chinese = refund_text(charge, lines)
    assert chinese == ("您3月2日“天气早知道”收费8.00元有误，现退还3.00元并补偿3.00元，共6.00元。")
    assert len(chinese) <= 70, "one SMS"
    english = refund_text(a_charge(language=Language.EN), lines)
    assert "8.00 yuan on 2026-03-02" in english
    assert "Refund 3.00 + compensation 3.00 = 6.00 yuan" in english


def taken_back(first_fen, second_fen, unwound_fen=0):
    """The entry that takes a refund back which the SP bears."""
    moved = (
        (Account.SUBSCRIBER_PAYABLE, Account.SP_RECEIVABLE, "refund_principal", first_fen),
        (Account.SUBSCRIBER_PAYABLE, Account.SP_RECEIVABLE, "refund_compensation", second_fen),
        (Account.SP_RECEIVABLE, Account.SP_PAYABLE, "unwind_sp_share", unwound_fen),
    )
    lines = [
        EntryLine(
            id=uuid4(), debit=debit, credit=credit, sp_id=uuid4(), amount_fen=fen, reason=reason,
            reverses=uuid4(),
        )
        for debit, credit, reason, fen in moved if fen
    ]  # fmt: skip
    return Entry(
        msisdn="8613800138000", id=uuid4(), seq=2, kind="reversal", charge_id=uuid4(),
        reverses=uuid4(), amount_fen=sum(line.amount_fen for line in lines), at=NOON, actor="a",
        lines=lines,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("owed", "waiting", "younger", "taken", "written_off", "expected"),
    [
        (0, 0, 0, 800, 0, (0, 800, 800)),  # all of it recovered, the first before the share
        (1600, 800, 0, 0, 0, (0, 0, 0)),  # nothing yet
        (1600, 800, 0, 800, 0, (0, 0, 0)),  # of another refund, but not of this one
        (800, 0, 0, 800, 0, (0, 800, 0)),  # the first only
        (3000, 0, 0, 800, 0, (0, 800, 0)),  # and what is owed besides goes on being owed
        (4600, 800, 800, 800, 0, (0, 800, 0)),  # a younger first waits: it is no matter of this one
        (1000, 500, 500, 800, 0, (0, 800, 300)),  # of which not less stays owed than waits: 500
        (300, 300, 0, 500, 0, (0, 500, 800)),  # half of it waits
        (0, 800, 0, 0, 0, (0, 0, 1600)),  # the deposit paid all
        (0, 800, 0, 0, 1100, (1100, 0, 500)),  # most was given up
        (0, 0, 0, 800, 1000, (1000, 600, 0)),  # another debt was given up: before the SP has any
        (-400, 0, 0, 800, 0, (0, 800, 1200)),  # what was recovered too much before
    ],
)
def test_what_was_recovered_of_a_fraud_goes_back_to_who_bore_it(
    owed, waiting, younger, taken, written_off, expected
):
    before = Firsts(owed_fen=owed, waiting_fen=waiting, younger_fen=younger, taken_fen=taken)
    back = whose(before, taken_back(800, 800), written_off)
    assert back == GivenBack(**dict(zip(GivenBack.__struct_fields__, expected, strict=True)))


def test_what_was_unwound_had_not_come_off_before_the_share():
    before = Firsts(owed_fen=0, waiting_fen=0, younger_fen=0, taken_fen=5000)
    assert whose(before, taken_back(800, 800, 501), 0) == GivenBack(first_fen=299, due_fen=800)


amounts = st.integers(0, 5000)


@given(
    owed=st.integers(-5000, 5000), waiting=amounts, younger=amounts, taken=amounts,
    written_off=amounts, first=amounts, second=amounts,
)  # fmt: skip
def test_after_a_fraud_an_sp_never_has_too_much_recovered_from_it_nor_too_little(
    owed, waiting, younger, taken, written_off, first, second
):
    before = Firsts(owed_fen=owed, waiting_fen=waiting, younger_fen=younger, taken_fen=taken)
    back = whose(before, taken_back(first, second), written_off)
    given = back.given_up_fen + back.first_fen + back.due_fen
    assert min(back.given_up_fen, back.first_fen, back.due_fen) >= 0
    assert back.given_up_fen <= written_off
    assert back.first_fen <= min(first, taken)
    assert owed - first - second + given >= 0
    assert given <= first + second + max(0, -owed)
