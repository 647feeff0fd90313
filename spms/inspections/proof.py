"""Service proof beyond reach: how soon an SP's hotlines answer, month by month. Pure.

Source: China Unicom's SP policy of 2007, 80 % of calls answered within 20 s (reference peers).
"""

import math
from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec

from spms.inspections.policy import InspectionRules

TOPIC_SLOW: Final = "inspection.slow"
"""Outbox: {sp_id, month, answered, in_time, seconds, percent}, once for an SP's month in which
its hotlines were shown to answer too slowly."""


class ServiceProof(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls judged in one month (Asia/Shanghai) have shown of an SP's hotlines.

    A call counts in the month in which its spot check was judged, so a month that is over stays
    as it is. Calls that may have failed by our own fault are left out everywhere.
    """

    sp_id: UUID
    month: date
    lines: int
    """Hotlines that were judged."""
    lines_answered: int
    """Of these, the ones that answered at least once: an SP promises both of its lines."""
    working_calls: int
    """Calls in working hours: on working days, by the rulebook's hours."""
    working_answered: int
    other_calls: int
    other_answered: int
    answered: int
    """Answered calls of lines that were not found bad: those count for that finding."""
    in_time: int
    """Of these, answered within `answer_seconds` of ringing."""
    answer_seconds: int
    answer_percent: int
    """The share of `answered` that is asked for."""
    too_slow: bool
    """The month is a finding: so few in time are no accident of a line that keeps the mark."""
    summed_at: datetime


def at_most(calls: int, in_time: int, share: float) -> float:
    """Return the probability that of so many calls at most `in_time` are in time, by chance."""
    return sum(
        math.comb(calls, n) * share**n * (1 - share) ** (calls - n) for n in range(in_time + 1)
    )


def too_slow(*, answered: int, in_time: int, rules: InspectionRules) -> bool:
    """Whether so few calls in time show a month too slow, wrongly so with at most α (rulebook).

    Exact binomial test against an SP that keeps the mark to the percent: a few calls under it in
    a small sample are no finding.
    """
    if 100 * in_time >= rules.answer_percent * answered:
        return False
    return at_most(answered, in_time, rules.answer_percent / 100) <= rules.alpha_permille / 1000
