"""The tables that say what a call came to, and on whose account."""

import pytest

from spms.inspections.outcomes import (
    BEARING,
    CAUSES,
    ENDINGS,
    STATUSES,
    Bearing,
    CallOutcome,
    Ending,
    classify,
    classify_ending,
    counts_against_sp,
    is_own_failure,
    needs_review,
)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (200, CallOutcome.ANSWERED),
        (204, CallOutcome.ANSWERED),
        (301, CallOutcome.NUMBER_CHANGED),
        (302, CallOutcome.UNCLEAR),
        (380, CallOutcome.UNCLEAR),
        (400, CallOutcome.OWN_FAILURE),
        (401, CallOutcome.OWN_FAILURE),
        (403, CallOutcome.OWN_FAILURE),
        (404, CallOutcome.UNALLOCATED),
        (407, CallOutcome.OWN_FAILURE),
        (408, CallOutcome.UNCLEAR),
        (410, CallOutcome.NUMBER_CHANGED),
        (420, CallOutcome.OWN_FAILURE),
        (480, CallOutcome.NO_ANSWER),
        (484, CallOutcome.OWN_FAILURE),
        (486, CallOutcome.BUSY),
        (487, CallOutcome.PROTOCOL_ERROR),
        (488, CallOutcome.OWN_FAILURE),
        (500, CallOutcome.CONGESTION),
        (503, CallOutcome.CONGESTION),
        (504, CallOutcome.CONGESTION),
        (600, CallOutcome.BUSY),
        (603, CallOutcome.REJECTED),
        (604, CallOutcome.UNALLOCATED),
        (607, CallOutcome.REJECTED),
        (608, CallOutcome.OWN_FAILURE),
        (699, CallOutcome.UNCLEAR),
    ],
)
def test_a_status_alone_says(code: int, outcome: CallOutcome) -> None:
    assert classify(code, q850=None, rang=False) is outcome


@pytest.mark.parametrize(
    ("code", "q850", "outcome"),
    [
        (480, 1, CallOutcome.UNALLOCATED),
        (404, 22, CallOutcome.NUMBER_CHANGED),
        (480, 17, CallOutcome.BUSY),
        (486, 34, CallOutcome.CONGESTION),
        (480, 41, CallOutcome.CONGESTION),
        (404, 3, CallOutcome.OWN_FAILURE),
        (502, 27, CallOutcome.UNCLEAR),
        (486, 16, CallOutcome.BUSY),  # normal clearing adds nothing
        (603, 21, CallOutcome.REJECTED),  # the called user refused …
        (403, 21, CallOutcome.OWN_FAILURE),  # … and here somebody on the way did
        (200, 17, CallOutcome.ANSWERED),  # who answers is not busy
    ],
)
def test_a_known_cause_goes_before_the_status(code: int, q850: int, outcome: CallOutcome) -> None:
    assert classify(code, q850=q850, rang=False) is outcome


def test_a_timeout_after_ringing_is_no_answer() -> None:
    assert classify(408, q850=None, rang=True) is CallOutcome.NO_ANSWER


@pytest.mark.parametrize("code", range(300, 700))
def test_nothing_that_may_be_ours_counts_against_the_sp(code: int) -> None:
    own_words = {301, 404, 408, 410, 480, 486, 600, 603, 604, 607}
    outcome = classify(code, q850=None, rang=True)
    assert counts_against_sp(outcome) == (code in own_words)


def test_an_announcement_counts_only_when_the_network_names_its_cause() -> None:
    assert classify_ending(Ending.ANNOUNCEMENT, q850=None) is CallOutcome.UNCLEAR
    assert classify_ending(Ending.ANNOUNCEMENT, q850=22) is CallOutcome.NUMBER_CHANGED
    assert classify_ending(Ending.RING_LIMIT, q850=34) is CallOutcome.NO_ANSWER


def test_every_outcome_has_one_bearing_and_every_ending_an_outcome() -> None:
    assert set(BEARING) == set(CallOutcome)
    assert set(ENDINGS) == set(Ending)
    for outcome in CallOutcome:
        said = [counts_against_sp(outcome), is_own_failure(outcome), needs_review(outcome)]
        assert sum(said) == (BEARING[outcome] is not Bearing.CONNECTED)


def test_no_table_calls_a_refusal_an_answer() -> None:
    entries = [*CAUSES.values(), *STATUSES.values()]
    assert all(outcome is not CallOutcome.ANSWERED and why for outcome, why in entries)
