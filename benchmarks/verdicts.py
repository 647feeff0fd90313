"""V1 to V3: how fair the verdicts on hotlines are, and what they cost, on simulated lines.

True connect rates lie evenly between 50 and 99 percent. Every line is judged as in production, by
`spms.inspections.verdict.decide` and the rulebook's defaults, call after call, half an hour apart.
"""

import random
from datetime import UTC, datetime, timedelta

from benchmarks.figures import Figure, Ground
from spms.inspections.model import Verdict
from spms.inspections.outcomes import CallOutcome
from spms.inspections.policy import InspectionRules
from spms.inspections.sequential import fixed_plan
from spms.inspections.verdict import Attempt, Judgement, decide

FIGURES = (
    Figure(
        id="V1",
        title="lines at or over the pass mark found bad, beside alpha",
        ours="% of those lines",
        beside="alpha, %",
        must=1.0,
        aim=0.5,
        at_most=True,
        seconds=2,
    ),
    Figure(
        id="V2",
        title="lines at or under the bad mark not found bad, beside beta",
        ours="% of those lines",
        beside="beta, %",
        must=1.0,
        aim=0.5,
        at_most=True,
        seconds=2,
    ),
    Figure(
        id="V3",
        title="mean calls for a verdict beside a fixed plan of the same errors",
        ours="calls",
        beside="calls of the fixed plan",
        must=0.6,
        aim=0.55,
        at_most=True,
        seconds=2,
    ),
)
SPS, SPS_SHORT = 10_000, 1_500
LEAST, MOST = 0.50, 0.99
BEGUN = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)


def judged(dice: random.Random, rate: float, rules: InspectionRules) -> tuple[Verdict, int]:
    """Call a line of a true connect rate until it has its verdict; count the calls."""
    attempts: list[Attempt] = []
    while True:
        answered = dice.random() < rate
        attempts.append(Attempt(
            outcome=CallOutcome.ANSWERED if answered else CallOutcome.BUSY,
            sip_code=200 if answered else 486, ring_ms=3_000 if answered else None,
            placed_at=BEGUN + len(attempts) * HALF_HOUR,
        ))  # fmt: skip
        outcome = decide(attempts, rules)
        if isinstance(outcome, Judgement):
            return outcome.verdict, len(attempts)


def sample(dice: random.Random, sps: int, rules: InspectionRules) -> tuple[float, float, float]:
    """Return the % of good lines found bad, of bad ones not found, and the calls for each verdict."""
    good = wrong = bad = missed = calls = 0
    for _ in range(sps):
        rate = dice.uniform(LEAST, MOST)
        verdict, made = judged(dice, rate, rules)
        calls += made
        found = verdict is Verdict.UNREACHABLE
        if 100 * rate >= rules.good_percent:
            good, wrong = good + 1, wrong + found
        elif 100 * rate <= rules.bad_percent:
            bad, missed = bad + 1, missed + (not found)
    return 100 * wrong / good, 100 * missed / bad, calls / sps


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """One sample of another city of lines for each pair."""
    rules = InspectionRules()
    calls_fixed, _ = fixed_plan(rules.test)
    for seed in ground.turns("V1", "V2", "V3"):
        dice = random.Random(seed + 1)  # noqa: S311 - seeded on purpose
        shares = sample(dice, SPS_SHORT if ground.short else SPS, rules)
        limits = (100 * rules.test.alpha, 100 * rules.test.beta, calls_fixed)
        for figure, ours, beside in zip(FIGURES, shares, limits, strict=True):
            if figure.id in wanted:
                ground.note(figure.id, ours, beside)
