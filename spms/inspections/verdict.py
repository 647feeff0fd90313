"""What follows from the calls made so far: a verdict, or one more call. Pure.

Source: reference domain §1.8 L1 and design §5. A failed line is called again at least twice, at
least half an hour apart, before it counts; outcomes that are our own fault never count.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

import msgspec

from spms.inspections.model import InspectionRules, Verdict, Why
from spms.inspections.outcomes import CallOutcome, counts_against_sp

CUT_SHORT = frozenset({None, 408, 487})
"""Final statuses of ringing that not the line ended: our CANCEL (487, or no answer to it) or a
timer of the network's (408)."""

TIMER_SLACK_MS = 1_000
"""What our own timers may be off, always in the SP's favour."""

CHANGES_NEEDED = 2


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one attempt; no outcome: nobody lived to tell."""

    outcome: CallOutcome | None
    sip_code: int | None = None
    ring_ms: int | None = None


class Weight(StrEnum):
    """What one attempt says."""

    REACHED = "reached"
    FAILED = "failed"
    CHANGED = "changed"
    NOTHING = "nothing"


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The end of an item."""

    verdict: Verdict
    reason: Why


class NextCall(msgspec.Struct, frozen=True, kw_only=True):
    """One more call is needed, not before this time has passed."""

    after: timedelta


def weigh(attempt: Attempt, rules: InspectionRules) -> Weight:
    """Say what one attempt speaks for.

    An answer later than the pass mark is none. Ringing that was cut short of the pass mark by
    us or by the network has not been proved to stay unanswered, and says nothing.
    """
    limit_ms = 1_000 * rules.pass_ring_seconds
    rang_ms = attempt.ring_ms or 0
    if attempt.outcome is CallOutcome.ANSWERED:
        return Weight.REACHED if rang_ms <= limit_ms + TIMER_SLACK_MS else Weight.FAILED
    if attempt.outcome is None or not counts_against_sp(attempt.outcome):
        return Weight.NOTHING
    if attempt.outcome is CallOutcome.NUMBER_CHANGED:
        return Weight.CHANGED
    cut_short = attempt.outcome is CallOutcome.NO_ANSWER and attempt.sip_code in CUT_SHORT
    if cut_short and rang_ms < limit_ms - TIMER_SLACK_MS:
        return Weight.NOTHING
    return Weight.FAILED


def decide(attempts: Sequence[Attempt], rules: InspectionRules) -> Judgement | NextCall:
    """Judge an item by its finished attempts, in order; `NextCall` while that cannot be done.

    One call that passed clears the hotline. A changed number counts once the call after it (of
    those that say anything) finds it changed as well. Otherwise every one of 1 + `retests` calls
    that say anything must have failed. After `attempts` calls without that, nothing is proved.
    """
    weights = [weigh(attempt, rules) for attempt in attempts]
    if Weight.REACHED in weights:
        return Judgement(verdict=Verdict.REACHABLE, reason=Why.ANSWERED)
    telling = [weight for weight in weights if weight is not Weight.NOTHING]
    if telling[-CHANGES_NEEDED:] == [Weight.CHANGED] * CHANGES_NEEDED:
        return Judgement(verdict=Verdict.NUMBER_CHANGED, reason=Why.CHANGE_CONFIRMED)
    if len(telling) > rules.retests:
        return Judgement(verdict=Verdict.UNREACHABLE, reason=Why.RETESTS_FAILED)
    if len(attempts) >= rules.attempts:
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason=Why.ATTEMPTS_USED)
    return NextCall(after=timedelta(minutes=rules.retest_minutes))


def speaks_against(verdict: Verdict) -> bool:
    """Whether the verdict is a finding against the SP."""
    return verdict in {Verdict.UNREACHABLE, Verdict.NUMBER_CHANGED}
