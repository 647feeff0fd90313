"""The sequential test of a hotline, and what it costs. Pure.

A. Wald's sequential probability ratio test: every call that tells something moves a balance, up
when it failed, down when it was answered in time, by the logarithm of how much likelier that is
for a bad line than for a good one. Over the upper bound the line is shown bad, under the lower
bound it is shown good, in between one more call is needed.

With the bounds ln(1/α) and ln(β) the errors are at most α and β, whatever the overshoot (Wald
1947, 3.2): a line that connects as often as `good_percent` or oftener is found bad with a
probability of at most α, one that connects as seldom as `bad_percent` or seldomer is found good
with at most β. Giving up undecided adds to neither.
"""

import math
from enum import StrEnum
from statistics import NormalDist

from msgspec import Struct


class Shown(StrEnum):
    """What the calls have shown so far."""

    GOOD = "good"
    BAD = "bad"
    OPEN = "open"


class Test(Struct, frozen=True, kw_only=True):
    """The two hypotheses and the two errors. Shares between 0 and 1."""

    __test__ = False  # no test case, whatever pytest makes of the name

    good: float
    bad: float
    alpha: float
    beta: float
    failures_needed: int = 1
    """Fewest failed calls that may show a line bad."""

    @property
    def per_failure(self) -> float:
        """How far one failed call moves the balance up."""
        return math.log((1 - self.bad) / (1 - self.good))

    @property
    def per_answer(self) -> float:
        """How far one answered call moves the balance, which is down."""
        return math.log(self.bad / self.good)

    @property
    def upper(self) -> float:
        """From here on the line is shown bad."""
        return math.log(1 / self.alpha)

    @property
    def lower(self) -> float:
        """From here down the line is shown good."""
        return math.log(self.beta)

    def balance(self, *, answered: int, failed: int) -> float:
        """Return the logarithm of the likelihood ratio, bad over good."""
        return answered * self.per_answer + failed * self.per_failure

    def shown(self, *, answered: int, failed: int) -> Shown:
        """Say what so many answered and failed calls show; their order does not matter."""
        balance = self.balance(answered=answered, failed=failed)
        if balance >= self.upper and failed >= self.failures_needed:
            return Shown.BAD
        return Shown.GOOD if balance <= self.lower else Shown.OPEN


class Operation(Struct, frozen=True, kw_only=True):
    """How a test fares on lines of one true connect rate. Probabilities and a mean."""

    rate: float
    bad: float
    """Probability that the line is found bad."""
    good: float
    """Probability that it is found good."""
    undecided: float
    """Probability that the calls allowed are used up first."""
    calls: float
    """Mean number of calls that tell something."""


def operation(test: Test, rate: float, *, most_calls: int) -> Operation:
    """Return exactly how the test fares at a true connect rate, given up after `most_calls`.

    Not by lot: the probability of every number of answers is carried from call to call.
    """
    alive = {0: 1.0}  # by number of answered calls
    bad = good = calls = 0.0
    for made in range(1, most_calls + 1):
        calls += sum(alive.values())
        after: dict[int, float] = {}
        for answered, share in alive.items():
            for more, likely in ((1, rate), (0, 1 - rate)):
                count, weight = answered + more, share * likely
                match test.shown(answered=count, failed=made - count):
                    case Shown.BAD:
                        bad += weight
                    case Shown.GOOD:
                        good += weight
                    case _:
                        after[count] = after.get(count, 0.0) + weight
        alive = after
    return Operation(rate=rate, bad=bad, good=good, undecided=sum(alive.values()), calls=calls)


def fixed_plan(test: Test) -> tuple[int, int]:
    """Return the smallest fixed plan with the same errors: calls, and failures that are too many.

    The line is found bad when so many of the calls failed. Exact binomial sums.
    """
    z = NormalDist().inv_cdf
    spread = z(1 - test.alpha) * math.sqrt(test.good * (1 - test.good)) + z(
        1 - test.beta
    ) * math.sqrt(test.bad * (1 - test.bad))
    calls = max(1, int((spread / (test.good - test.bad)) ** 2 / 2))
    while True:
        for failures in range(1, calls + 1):
            if _at_least(calls, failures, 1 - test.good) <= test.alpha:
                if 1 - _at_least(calls, failures, 1 - test.bad) <= test.beta:
                    return calls, failures
                break
        calls += 1


def _at_least(calls: int, failures: int, share: float) -> float:
    return sum(
        math.comb(calls, n) * share**n * (1 - share) ** (calls - n)
        for n in range(failures, calls + 1)
    )
