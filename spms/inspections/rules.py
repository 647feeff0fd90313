"""When calls may be placed, and the draw. Pure: time, seed and candidates are arguments."""

import hashlib
import math
import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final, TypeVar

from spms.core.clock import SHANGHAI, business_day, start_of_day
from spms.inspections.model import InspectionRules, Start

WRAP_UP: Final = timedelta(minutes=2)
"""No call starts so shortly before closing: a call that began inside the hours ends inside them."""

T = TypeVar("T")


def hours_of(day: date, rules: InspectionRules) -> tuple[datetime, datetime]:
    """Return the half-open range (UTC) in which a call may start on a business day."""
    midnight = start_of_day(day)
    opens = midnight + timedelta(hours=rules.opening.hour, minutes=rules.opening.minute)
    closes = midnight + timedelta(hours=rules.closing.hour, minutes=rules.closing.minute)
    return opens, max(opens + timedelta(minutes=1), closes - WRAP_UP)


def may_call(at: datetime, rules: InspectionRules) -> bool:
    """Whether a call may start at this instant."""
    first, last = hours_of(business_day(at), rules)
    return first <= at < last


def next_opening(at: datetime, rules: InspectionRules) -> datetime:
    """Return when the permitted hours begin for the first time after the instant."""
    day = business_day(at)
    today, _ = hours_of(day, rules)
    return today if at < today else hours_of(day + timedelta(days=1), rules)[0]


def earliest(at: datetime, rules: InspectionRules) -> datetime:
    """Return the instant itself when a call may start then, otherwise the next opening."""
    return at if may_call(at, rules) else next_opening(at, rules)


def draw(
    candidates: Sequence[T], *, seed: str, rules: InspectionRules, start: Start, now: datetime
) -> list[tuple[T, datetime]]:
    """Draw hotlines and the times of their first calls.

    The same seed, candidates (in the same order), rules and instant give the same draw. The share
    is rounded up, so that a draw among any candidates is never empty.
    """
    lot = random.Random(seed)  # noqa: S311 - a draw that anyone can repeat, not a secret
    count = math.ceil(len(candidates) * rules.plan_sample_percent / 100)
    drawn = lot.sample(range(len(candidates)), count)
    first = earliest(now, rules)
    _, last = hours_of(first.astimezone(SHANGHAI).date(), rules)
    share = 0.0 if start is Start.NOW else 1.0
    return [(candidates[n], first + (last - first) * (share * lot.random())) for n in drawn]


def commitment(seed: str) -> str:
    """Return what binds us to a seed without telling it: its SHA-256 in hexadecimal."""
    return hashlib.sha256(seed.encode()).hexdigest()
