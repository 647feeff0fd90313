"""The waterfall on paper: worked examples, both readings of the Shaanxi rule, properties."""

from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.core.money import share
from spms.penalties.model import Grade
from spms.settlement.model import (
    AFTER_SHARE,
    BEFORE_SHARE,
    Cut,
    Facts,
    Item,
    Kind,
    RateBase,
    SettlementRules,
    Tier,
    Waterfall,
    is_sound,
)
from spms.settlement.restating import facts_behind
from spms.settlement.waterfall import ADDING, UnsoundRules, settle, sp_share

YUAN = 100
RULES = SettlementRules()
A, B = UUID(int=1), UUID(int=2)


def item(fen):
    return Item(id=uuid4(), amount_fen=fen, about="test")


def cut(grade=Grade.GENERAL):
    return Cut(breach_id=uuid4(), grade=grade)


GOLDEN = Facts(
    gross_fen=500_000 * YUAN, charges=62_500, principal_fen=10_000 * YUAN,
    controlled_fen=3_000 * YUAN, controlled_charges=375, mt=150_000, mo=20_000,
    cuts=(Cut(breach_id=A, grade=Grade.GENERAL),),
    fines=(Item(id=B, amount_fen=5_000 * YUAN, about="fine"),),
    owed_fen=20_000 * YUAN, carried={Kind.MT_FEE: 100 * YUAN},
)  # fmt: skip
"""The worked example of docs/settlement.md."""
GOLDEN_STEPS = [
    (Kind.GROSS, 0, 50_000_000),
    (Kind.REFUNDS, 1_000_000, 49_000_000),
    (Kind.BAD_DEBT, 4_000_000, 45_000_000),
    (Kind.SERVICE_FEE, 5_000_000, 40_000_000),
    # 5 000 000 + 12 000 000 + 7 000 000 are the SP's.
    (Kind.SHARE, 16_000_000, 24_000_000),
    (Kind.CREDITS, 0, 24_000_000),
    (Kind.BROUGHT, 0, 24_000_000),
    (Kind.CONTROLLED, 300_000, 23_700_000),
    # 100 000 × 5 + 30 000 × 4 fen, and 10 000 from the month before.
    (Kind.MT_FEE, 630_000, 23_070_000),
    (Kind.GRADE_CUT, 2_307_000, 20_763_000),
    (Kind.FINES, 500_000, 20_263_000),
    (Kind.DEBITS, 0, 20_263_000),
    (Kind.COMPENSATION, 1_000_000, 19_263_000),
    (Kind.DEPOSIT, 0, 19_263_000),
]


def test_the_worked_example():
    worked = settle(GOLDEN, RULES)
    assert [(step.kind, step.taken_fen, step.left_fen) for step in worked.steps] == GOLDEN_STEPS
    assert (worked.payable_fen, worked.carried) == (19_263_000, {})
    assert worked.step(Kind.GRADE_CUT).inputs["breaches"] == GOLDEN.cuts


@pytest.mark.parametrize(
    ("rate_base", "base_yuan"), [(RateBase.GROSS, 410_000), (RateBase.LEFT, 414_000)]
)
def test_both_readings_of_the_shaanxi_rule(rate_base, base_yuan):
    rules = msgspec.structs.replace(RULES, rate_base=rate_base)
    worked = settle(Facts(gross_fen=500_000 * YUAN), rules)
    assert worked.step(Kind.SHARE).inputs["base_fen"] == base_yuan * YUAN


@pytest.mark.parametrize(
    ("base_yuan", "sp_yuan"),
    [(0, 0), (100_000, 50_000), (300_000, 170_000), (350_000, 205_000), (500_000, 310_000),
     (700_000, 470_000), (1_000_000, 740_000)],
)  # fmt: skip
def test_the_progressive_share(base_yuan, sp_yuan):
    assert sp_share(base_yuan * YUAN, RULES.sp_share) == sp_yuan * YUAN


def test_a_flat_share_is_one_tier():
    assert sp_share(333, (Tier(up_to=None, value=8500),)) == share(333, 8500)


def test_controlled_charges_may_come_off_before_the_share():
    facts = Facts(gross_fen=500_000 * YUAN, controlled_fen=10_000 * YUAN)
    after = settle(facts, RULES)
    before = settle(
        facts,
        msgspec.structs.replace(
            RULES, before_share=(*BEFORE_SHARE, Kind.CONTROLLED), after_share=AFTER_SHARE[1:]
        ),
    )
    assert before.step(Kind.SHARE).inputs["base_fen"] == 400_000 * YUAN
    assert after.payable_fen == sp_share(410_000 * YUAN, RULES.sp_share) - 10_000 * YUAN
    assert before.payable_fen == sp_share(400_000 * YUAN, RULES.sp_share)


def test_what_a_month_cannot_take_it_carries_and_the_next_takes():
    first = settle(Facts(gross_fen=1_000, fines=(item(5_000),), principal_fen=1_500,
                         owed_fen=3_000), RULES)  # fmt: skip
    assert first.payable_fen == 0
    assert first.carried == {Kind.REFUNDS: 500, Kind.FINES: 5_000}
    still_owed = 3_000 - 1_000
    second = settle(Facts(gross_fen=1_000_000, owed_fen=still_owed, carried=first.carried), RULES)
    assert second.step(Kind.REFUNDS).taken_fen == 500
    assert second.step(Kind.FINES).taken_fen == 5_000
    assert second.step(Kind.COMPENSATION).taken_fen == 1_500, "the second multiple, once"
    assert second.carried == {}


def test_a_first_multiple_that_the_deposit_paid_meanwhile_is_not_taken_again():
    worked = settle(Facts(gross_fen=10_000, owed_fen=200, carried={Kind.REFUNDS: 500}), RULES)
    assert worked.step(Kind.REFUNDS).taken_fen == 200
    assert (worked.step(Kind.COMPENSATION).taken_fen, worked.carried) == (0, {})


def test_the_deposit_covers_what_is_left_if_the_rulebook_says_so():
    facts = Facts(gross_fen=100, owed_fen=5_000, deposit_fen=2_000)
    rules = msgspec.structs.replace(RULES, call_deposit=True)
    recovered = settle(facts, RULES).step(Kind.COMPENSATION).taken_fen
    assert settle(facts, RULES).step(Kind.DEPOSIT).arising_fen == 0
    assert settle(facts, rules).step(Kind.DEPOSIT).arising_fen == 2_000
    assert recovered == 41, "half of what the two rates leave of 100"


def test_unbalanced_messages_cost_by_tiers_with_a_minimum_and_not_at_first():
    def fee(mt, mo, **values):
        rules = msgspec.structs.replace(RULES, mt_minimum_fen=values.pop("minimum", 0))
        worked = settle(Facts(gross_fen=10**9, mt=mt, mo=mo, **values), rules)
        return worked.step(Kind.MT_FEE).arising_fen

    assert fee(10, 10) == fee(5, 10, minimum=1_000) == 0
    assert fee(100_001, 0) == 100_000 * 5 + 4
    assert fee(1, 0, minimum=1_000) == 1_000
    assert fee(1, 0, minimum=1_000, mt_is_free=True) == 0


def test_cuts_add_up_to_all_of_the_month_and_no_more_and_leave_earlier_months_alone():
    facts = Facts(
        gross_fen=1_000_000, cuts=(cut(Grade.GRAVE), cut(Grade.GRAVE), cut(Grade.SERIOUS)),
        carried={Kind.BROUGHT: 700},
    )  # fmt: skip
    worked = settle(facts, RULES)
    assert (worked.step(Kind.GRADE_CUT).inputs["cut_bp"], worked.payable_fen) == (10_000, 700)


def test_a_payable_too_small_is_carried_and_comes_with_the_next():
    rules = msgspec.structs.replace(RULES, minimum_payout_fen=1_000)
    first = settle(Facts(gross_fen=1_000), rules)
    assert (first.payable_fen, first.carried) == (0, {Kind.BROUGHT: 410})
    second = settle(Facts(gross_fen=2_000, carried=first.carried), rules)
    assert second.payable_fen == 820 + 410


@pytest.mark.parametrize(
    "wrong",
    [
        {"before_share": (*BEFORE_SHARE, Kind.FINES)},
        {"after_share": AFTER_SHARE[1:]},
        {"before_share": (*BEFORE_SHARE, Kind.GROSS)},
        {"sp_share": ()},
        {"cut_bp": {Grade.GRAVE: 5000}},
        {"sp_share": (Tier(up_to=5, value=1),)},
        {"sp_share": (Tier(up_to=5, value=1), Tier(up_to=5, value=1), Tier(up_to=None, value=1))},
        {"sp_share": (Tier(up_to=None, value=10_001),)},
    ],
)
def test_rules_that_take_a_step_twice_or_never_are_refused(wrong):
    rules = msgspec.structs.replace(RULES, **wrong)
    assert not is_sound(rules)
    with pytest.raises(UnsoundRules):
        settle(Facts(), rules)


fen = st.integers(0, 10**11)
facts = st.builds(
    Facts,
    gross_fen=fen, principal_fen=st.integers(-(10**11), 10**11), controlled_fen=fen, mt=st.integers(0, 10**7),
    mo=st.integers(0, 10**7), owed_fen=fen, deposit_fen=fen, mt_is_free=st.booleans(),
    cuts=st.lists(st.builds(cut, st.sampled_from(Grade)), max_size=3).map(tuple),
    fines=st.lists(st.builds(item, fen), max_size=2).map(tuple),
    debits=st.lists(st.builds(item, fen), max_size=2).map(tuple),
    credits=st.lists(st.builds(item, fen), max_size=2).map(tuple),
    returned=st.lists(st.builds(item, fen), max_size=2).map(tuple),
    carried=st.dictionaries(
        st.sampled_from([Kind.REFUNDS, Kind.CONTROLLED, Kind.MT_FEE, Kind.FINES, Kind.BROUGHT]), fen
    ),
)  # fmt: skip
orders = st.permutations([*BEFORE_SHARE, *AFTER_SHARE]).flatmap(
    lambda order: st.integers(0, len(order)).map(lambda n: (tuple(order[:n]), tuple(order[n:])))
)


@st.composite
def any_rules(draw):
    before, after = draw(orders)
    ends = sorted(draw(st.sets(st.integers(1, 10**10), max_size=4)))
    scale = tuple(Tier(up_to=end, value=draw(st.integers(0, 10_000))) for end in [*ends, None])
    return SettlementRules(
        before_share=before, after_share=after, sp_share=scale,
        rate_base=draw(st.sampled_from(RateBase)), bad_debt_bp=draw(st.integers(0, 10_000)),
        service_fee_bp=draw(st.integers(0, 10_000)), call_deposit=draw(st.booleans()),
        minimum_payout_fen=draw(st.integers(0, 10**6)),
    )  # fmt: skip


@given(facts=facts, rules=any_rules())
def test_nothing_is_negative_nothing_is_lost_and_every_row_adds_up(facts, rules):
    worked = settle(facts, rules)
    left = 0
    for step in worked.steps:
        assert min(step.arising_fen, step.brought_fen, step.taken_fen, step.carried_fen) >= 0
        if step.kind in ADDING:
            left += step.arising_fen
        elif step.kind is not Kind.DEPOSIT:
            left -= step.taken_fen
        assert step.left_fen == left >= 0
        if step.kind not in {*ADDING, Kind.COMPENSATION, Kind.DEPOSIT}:
            assert step.brought_fen + step.arising_fen == step.taken_fen + step.carried_fen
    assert worked.payable_fen + worked.payable_carried_fen == left
    recovered = worked.step(Kind.REFUNDS).taken_fen + worked.step(Kind.COMPENSATION).taken_fen
    covered = worked.step(Kind.DEPOSIT).arising_fen
    assert recovered + covered <= facts.owed_fen
    assert covered <= facts.deposit_fen


@given(facts=facts, rules=any_rules())
def test_a_statement_says_all_that_it_was_worked_out_from(facts, rules):
    worked = settle(facts, rules)
    read = msgspec.json.decode(msgspec.json.encode(worked), type=Waterfall)
    assert settle(facts_behind(read), rules) == worked


@given(base=st.integers(0, 10**11), more=st.integers(0, 10**9), rules=any_rules())
def test_more_to_share_is_never_less_for_the_sp_nor_for_the_operator(base, more, rules):
    low, high = sp_share(base, rules.sp_share), sp_share(base + more, rules.sp_share)
    assert low <= high <= low + more


@given(gross=fen, more=st.integers(0, 10**9), facts=facts)
def test_more_charged_is_never_less_payable(gross, more, facts):
    low, high = (
        settle(msgspec.structs.replace(facts, gross_fen=amount), RULES)
        for amount in (gross, gross + more)
    )
    assert low.payable_fen <= high.payable_fen
