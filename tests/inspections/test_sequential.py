"""The sequential test keeps its two promises, and costs what the manual says."""

import random
import re
from pathlib import Path

import pytest

from spms.inspections.policy import InspectionRules
from spms.inspections.sequential import Shown, Test, fixed_plan, operation

RULES = InspectionRules()
TEST = RULES.test
DOCS = Path(__file__).parents[2] / "docs" / "inspections.md"


def run(dice: random.Random, rate: float) -> tuple[Shown, int]:
    """Call a simulated line until it is shown good or bad."""
    answered = failed = 0
    while answered + failed < RULES.most_calls:
        if dice.random() < rate:
            answered += 1
        else:
            failed += 1
        shown = TEST.shown(answered=answered, failed=failed)
        if shown is not Shown.OPEN:
            return shown, answered + failed
    return Shown.OPEN, answered + failed


def test_ten_thousand_simulated_lines_are_judged_within_the_errors_with_far_fewer_calls():
    dice = random.Random(1)
    wrong = good = missed = bad = calls = 0
    for _ in range(10_000):
        rate = dice.uniform(0.50, 0.99)
        shown, made = run(dice, rate)
        calls += made
        if rate >= TEST.good:
            good += 1
            wrong += shown is Shown.BAD
        elif rate <= TEST.bad:
            bad += 1
            missed += shown is not Shown.BAD  # undecided is missed too
    assert min(good, bad) > 1_500
    assert wrong / good <= TEST.alpha
    assert missed / bad <= TEST.beta
    fixed, _ = fixed_plan(TEST)
    assert calls / 10_000 <= 0.6 * fixed


@pytest.mark.parametrize(
    ("good", "bad", "alpha", "beta"),
    [
        (0.85, 0.60, 0.01, 0.05),
        (0.85, 0.70, 0.01, 0.05),
        (0.90, 0.50, 0.001, 0.2),
        (0.95, 0.80, 0.05, 0.01),
    ],
)
def test_the_errors_at_the_marks_are_at_most_alpha_and_beta(good, bad, alpha, beta):
    test = Test(good=good, bad=bad, alpha=alpha, beta=beta)
    assert operation(test, good, most_calls=200).bad <= alpha
    assert operation(test, bad, most_calls=200).good <= beta
    for beyond in (0.01, 0.03, 0.05):  # and better still beyond the marks
        assert operation(test, good + beyond, most_calls=200).bad <= alpha
        assert operation(test, bad - beyond, most_calls=200).good <= beta


def test_the_exact_figures_are_those_of_the_simulation():
    dice = random.Random(2)
    for rate in (0.5, 0.75, 0.95):
        runs = [run(dice, rate) for _ in range(4_000)]
        exact = operation(TEST, rate, most_calls=RULES.most_calls)
        assert abs(sum(shown is Shown.BAD for shown, _ in runs) / 4_000 - exact.bad) < 0.03
        assert abs(sum(made for _, made in runs) / 4_000 - exact.calls) < 0.03 * exact.calls + 0.5


def test_a_fixed_plan_of_the_same_errors_is_the_smallest():
    calls, failures = fixed_plan(TEST)
    assert (calls, failures) == (48, 14)
    dice = random.Random(3)
    wrong = sum(
        sum(dice.random() >= TEST.good for _ in range(calls)) >= failures for _ in range(5_000)
    )
    assert wrong / 5_000 <= TEST.alpha * 1.5


def test_a_finding_needs_the_failures_that_the_rulebook_asks_for():
    eager = Test(good=0.99, bad=0.1, alpha=0.2, beta=0.05, failures_needed=3)
    assert eager.shown(answered=0, failed=2) is Shown.OPEN
    assert eager.shown(answered=0, failed=3) is Shown.BAD


def table(test: Test) -> list[str]:
    """Return the lines of the manual's table."""
    fixed, _ = fixed_plan(test)
    lines = []
    for percent in (0, 50, 60, 70, 75, 80, 85, 90, 95, 99):
        found = operation(test, percent / 100, most_calls=RULES.most_calls)
        lines.append(
            f"| {percent} % | {found.bad:.2%} | {found.good:.2%} | {found.undecided:.2%} "
            f"| {found.calls:.1f} | {1 - found.calls / fixed:.0%} |"
        )
    return lines


def test_the_manual_s_table_is_what_the_code_does():
    text = DOCS.read_text("utf-8")
    lines = re.findall(r"^\| [0-9]+ % \|.*$", text, re.MULTILINE)
    near = Test(good=0.85, bad=0.7, alpha=0.01, beta=0.05, failures_needed=3)
    assert lines == [*table(TEST), *table(near)]
