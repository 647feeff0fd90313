"""What follows from the calls made so far: tables of cases, and what holds for all of them."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.inspections.model import Verdict, Why
from spms.inspections.outcomes import BEARING, Bearing, CallOutcome
from spms.inspections.policy import InspectionRules, Method
from spms.inspections.verdict import Attempt, Judgement, NextCall, Weight, decide, weigh

RULES = InspectionRules()
AGAIN = NextCall(after=timedelta(minutes=30))
REACHABLE = Judgement(verdict=Verdict.REACHABLE, reason=Why.ANSWERED)
UNREACHABLE = Judgement(verdict=Verdict.UNREACHABLE, reason=Why.RETESTS_FAILED)
CHANGED = Judgement(verdict=Verdict.NUMBER_CHANGED, reason=Why.CHANGE_CONFIRMED)
INCONCLUSIVE = Judgement(verdict=Verdict.INCONCLUSIVE, reason=Why.ATTEMPTS_USED)

SHORT = {
    "A": Attempt(outcome=CallOutcome.ANSWERED, sip_code=200, ring_ms=4_000),
    "a": Attempt(outcome=CallOutcome.ANSWERED, sip_code=200, ring_ms=35_000),
    "N": Attempt(outcome=CallOutcome.NO_ANSWER, sip_code=487, ring_ms=20_000),
    "n": Attempt(outcome=CallOutcome.NO_ANSWER, sip_code=487, ring_ms=5_000),
    "B": Attempt(outcome=CallOutcome.BUSY, sip_code=486),
    "U": Attempt(outcome=CallOutcome.UNALLOCATED, sip_code=404),
    "C": Attempt(outcome=CallOutcome.NUMBER_CHANGED, sip_code=410),
    "o": Attempt(outcome=CallOutcome.OWN_FAILURE),
    "g": Attempt(outcome=CallOutcome.CONGESTION, sip_code=503),
    "p": Attempt(outcome=CallOutcome.PROTOCOL_ERROR),
    "?": Attempt(outcome=None),
    "X": Attempt(outcome=CallOutcome.ANSWERED, sip_code=200, ring_ms=4_000, other_party=True),
}


def made(letters: str, minutes: int = 30) -> list[Attempt]:
    """Return attempts so many minutes apart."""
    first = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
    return [
        msgspec.structs.replace(SHORT[letter], placed_at=first + n * timedelta(minutes=minutes))
        for n, letter in enumerate(letters)
    ]


@pytest.mark.parametrize(
    ("calls", "follows"),
    [
        ("", AGAIN),
        ("A", AGAIN),
        ("AAAAAAAA", AGAIN),
        ("AAAAAAAAA", REACHABLE),
        ("NAAAAAAAAAAAA", REACHABLE),
        ("NAAAAAAAAAAA", AGAIN),
        ("NBUN", AGAIN),
        ("NBUNB", UNREACHABLE),
        ("NBUANNB", UNREACHABLE),
        ("C", AGAIN),
        ("CC", CHANGED),
        ("CoC", CHANGED),
        ("BCC", CHANGED),
        ("AAACC", CHANGED),
        ("XX", CHANGED),
        ("XC", CHANGED),
        ("XAX", AGAIN),
        ("CBCBC", UNREACHABLE),
        ("NogpN?NNN", UNREACHABLE),
        ("aaaaa", UNREACHABLE),
        ("nnnnnnnnn", AGAIN),
        ("nnnnnnnnnn", INCONCLUSIVE),
        ("ogp?ogp?o", AGAIN),
        ("ogp?ogp?og", INCONCLUSIVE),
        ("NNNNoooooooooN", UNREACHABLE),
        ("NNNNoooooooooo", INCONCLUSIVE),
        ("AAAN" * 25, INCONCLUSIVE),
    ],
)
def test_a_verdict_follows_from_the_calls(calls, follows):
    assert decide(made(calls), RULES) == follows


def test_one_outage_is_not_a_finding():
    assert decide(made("NNNNN", minutes=29), RULES) == AGAIN
    assert decide(made("NNNNN", minutes=30), RULES) == UNREACHABLE
    assert decide([SHORT["N"]] * 9, RULES) == AGAIN  # no time, no proof


def test_plain_bands_count_a_fixed_number_of_calls():
    rules = InspectionRules(method=Method.BANDS, band_calls=10, band_percent=70)
    assert decide(made("AAAAAAANN"), rules) == AGAIN
    assert decide(made("AAAAAAANNN"), rules) == REACHABLE
    assert decide(made("NAAAAAANNN"), rules) == UNREACHABLE
    assert decide(made("AAAAAAoANNN"), rules) == REACHABLE


@pytest.mark.parametrize(
    ("outcome", "code", "ring_ms", "weight"),
    [
        (CallOutcome.ANSWERED, 200, 20_900, Weight.REACHED),  # our own timers' inaccuracy
        (CallOutcome.ANSWERED, 200, 21_100, Weight.FAILED),
        (CallOutcome.ANSWERED, 200, None, Weight.REACHED),
        (CallOutcome.NO_ANSWER, 487, 19_100, Weight.FAILED),
        (CallOutcome.NO_ANSWER, 487, 18_900, Weight.NOTHING),
        (CallOutcome.NO_ANSWER, 408, 12_000, Weight.NOTHING),
        (CallOutcome.NO_ANSWER, None, None, Weight.NOTHING),
        (CallOutcome.NO_ANSWER, 480, 12_000, Weight.FAILED),  # the line's own word
        (CallOutcome.NO_ANSWER, 480, None, Weight.FAILED),
        (CallOutcome.NUMBER_CHANGED, 410, None, Weight.CHANGED),
        (CallOutcome.UNCLEAR, 183, 20_000, Weight.NOTHING),
    ],
)
def test_ringing_cut_short_and_answers_too_late(outcome, code, ring_ms, weight):
    attempt = Attempt(outcome=outcome, sip_code=code, ring_ms=ring_ms)
    assert weigh(attempt, RULES) is weight


TIMES = st.none() | st.datetimes(datetime(2026, 1, 1), timezones=st.just(UTC))
NO_FAULT_OF_THE_SP = st.builds(
    Attempt,
    outcome=st.sampled_from(
        [None] + [o for o in CallOutcome if BEARING[o] in {Bearing.OURS, Bearing.REVIEW}]
    ),
    sip_code=st.none() | st.integers(100, 699),
    ring_ms=st.none() | st.integers(0, 200_000),
    placed_at=TIMES,
)
ANY = st.builds(
    Attempt,
    outcome=st.none() | st.sampled_from(list(CallOutcome)),
    sip_code=st.none() | st.integers(100, 699),
    ring_ms=st.none() | st.integers(0, 200_000),
    placed_at=TIMES,
    other_party=st.booleans(),
)
ANY_RULES = st.builds(
    InspectionRules,
    method=st.sampled_from(Method),
    retests=st.integers(1, 9),
    most_calls=st.integers(3, 200),
    wasted_calls=st.integers(3, 50),
    band_calls=st.integers(10, 20),
    bad_percent=st.integers(1, 80),
    good_percent=st.integers(81, 99),
    alpha_permille=st.integers(1, 200),
    beta_permille=st.integers(1, 200),
    pass_ring_seconds=st.integers(5, 180),
)


@given(attempts=st.lists(NO_FAULT_OF_THE_SP, max_size=25), rules=ANY_RULES)
def test_own_faults_and_unclear_calls_never_speak_against_the_sp(attempts, rules):
    follows = decide(attempts, rules)
    assert isinstance(follows, NextCall) or follows.verdict is Verdict.INCONCLUSIVE


@given(attempts=st.lists(ANY, max_size=25), rules=ANY_RULES, data=st.data())
def test_calls_that_say_nothing_change_no_finding(attempts, rules, data):
    """Put own faults anywhere between the calls: what is found against the SP stays the same."""
    against = {Verdict.UNREACHABLE, Verdict.NUMBER_CHANGED}
    plain = decide(attempts, rules)
    mixed = list(attempts)
    for _ in range(data.draw(st.integers(0, 5))):
        place = data.draw(st.integers(0, len(mixed)))
        mixed.insert(place, data.draw(NO_FAULT_OF_THE_SP))
    other = decide(mixed, rules)
    found = isinstance(plain, Judgement) and plain.verdict in against
    found_again = isinstance(other, Judgement) and other.verdict in against
    assert found == found_again
    if found:
        assert plain == other


@given(attempts=st.lists(ANY, max_size=25), rules=ANY_RULES)
def test_a_finding_needs_enough_calls_of_its_kind(attempts, rules):
    follows = decide(attempts, rules)
    weights = [weigh(attempt, rules) for attempt in attempts]
    if isinstance(follows, NextCall):
        assert len(attempts) < rules.most_calls
    elif follows.verdict is Verdict.UNREACHABLE:
        failed = weights.count(Weight.FAILED) + weights.count(Weight.CHANGED)
        assert failed > rules.retests
    elif follows.verdict is Verdict.NUMBER_CHANGED:
        assert weights.count(Weight.CHANGED) >= 2
    elif follows.verdict is Verdict.REACHABLE:
        assert Weight.REACHED in weights
