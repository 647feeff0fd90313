"""What follows from the calls made so far: a verdict, or one more call. Pure.

Source: reference domain §1.8 L1 and design §5. Calls are made until the line is shown good or bad
(`sequential.py`); a failed line is called again at least twice, at least half an hour apart,
before it counts; outcomes that are our own fault never count.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from spms.inspections.model import Verdict, Why
from spms.inspections.outcomes import CallOutcome, counts_against_sp
from spms.inspections.policy import InspectionRules, Method
from spms.inspections.sequential import Shown

CUT_SHORT = frozenset({None, 408, 487})
"""Final statuses of ringing that not the line ended: our CANCEL (487, or no answer to it) or a
timer of the network's (408)."""

TIMER_SLACK_MS = 1_000
"""What our own timers may be off, always in the SP's favour."""

CHANGES_NEEDED = 2

DEAD = frozenset({CallOutcome.UNALLOCATED, CallOutcome.NUMBER_CHANGED})
"""What the network says of a mobile that no longer leads to the person it was registered for."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one attempt; no outcome: nobody lived to tell."""

    outcome: CallOutcome | None
    sip_code: int | None = None
    ring_ms: int | None = None
    placed_at: datetime | None = None
    other_party: bool = False
    """Somebody answered, and proved to be another party than the registered one."""


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
        if attempt.other_party:
            return Weight.CHANGED
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

    A changed number counts once the call after it (of those that say anything) finds it changed
    as well. Otherwise calls go on until they show the line good or bad by the rulebook's method;
    what shows it bad must also lie `spread_minutes` apart. After `most_calls` calls, or
    `wasted_calls` that say nothing, nothing is proved.
    """
    weighed = [(attempt, weigh(attempt, rules)) for attempt in attempts]
    telling = [(attempt, weight) for attempt, weight in weighed if weight is not Weight.NOTHING]
    if [weight for _, weight in telling[-CHANGES_NEEDED:]] == [Weight.CHANGED] * CHANGES_NEEDED:
        return Judgement(verdict=Verdict.NUMBER_CHANGED, reason=Why.CHANGE_CONFIRMED)
    failed = [attempt for attempt, weight in telling if weight is not Weight.REACHED]
    match _shown(answered=len(telling) - len(failed), failed=len(failed), rules=rules):
        case Shown.GOOD:
            return Judgement(verdict=Verdict.REACHABLE, reason=Why.ANSWERED)
        case Shown.BAD if _spread(failed) >= timedelta(minutes=rules.spread_minutes):
            return Judgement(verdict=Verdict.UNREACHABLE, reason=Why.RETESTS_FAILED)
    wasted = len(attempts) - len(telling)
    if wasted >= rules.wasted_calls or len(attempts) >= rules.most_calls:
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason=Why.ATTEMPTS_USED)
    return NextCall(after=timedelta(minutes=rules.retest_minutes))


def decide_person(attempts: Sequence[Attempt], rules: InspectionRules) -> Judgement | NextCall:
    """Judge the calls to a responsible person, in order; `NextCall` while that cannot be done.

    One answer is enough, however late: a mobile has one owner, who may be busy or asleep. Only
    a number that the network calls nobody's, or changed, on the two latest calls that say
    anything is dead; a bell that nobody answers proves nothing.
    """
    if any(one.outcome is CallOutcome.ANSWERED for one in attempts):
        return Judgement(verdict=Verdict.REACHABLE, reason=Why.ANSWERED)
    said = [one.outcome for one in attempts if one.outcome and counts_against_sp(one.outcome)]
    if len(said) >= CHANGES_NEEDED and set(said[-CHANGES_NEEDED:]) <= DEAD:
        return Judgement(verdict=Verdict.DEAD, reason=Why.NUMBER_DEAD)
    if len(attempts) >= rules.person_calls:
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason=Why.ATTEMPTS_USED)
    return NextCall(after=timedelta(hours=rules.person_hours))


def _shown(*, answered: int, failed: int, rules: InspectionRules) -> Shown:
    if rules.method is Method.SEQUENTIAL:
        return rules.test.shown(answered=answered, failed=failed)
    if answered + failed < rules.band_calls:
        return Shown.OPEN
    bad = 100 * answered < rules.band_percent * (answered + failed) and failed > rules.retests
    return Shown.BAD if bad else Shown.GOOD


def _spread(failed: Sequence[Attempt]) -> timedelta:
    """Return the time from the first failed call to the last; none when a time is missing."""
    times = [attempt.placed_at for attempt in failed if attempt.placed_at is not None]
    return max(times) - min(times) if len(times) == len(failed) and times else timedelta()


def speaks_against(verdict: Verdict) -> bool:
    """Whether the verdict is a finding against the SP."""
    return verdict in {Verdict.UNREACHABLE, Verdict.NUMBER_CHANGED, Verdict.DEAD}
