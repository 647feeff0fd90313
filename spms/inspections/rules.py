"""When calls may be placed, and the draw. Pure: time, seed and candidates are arguments.

Nothing here throws dice: whatever is drawn is the SHA-256 of the seed and of what it is drawn
for, so that anybody can draw it again with any tool (docs/inspections.md shows how).
"""

import hashlib
import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from spms.core.clock import business_day, start_of_day
from spms.inspections.model import Candidate, Drawn, Placing, PlanDocument, Start
from spms.inspections.policy import InspectionRules

WRAP_UP: Final = timedelta(minutes=2)
"""No call starts so shortly before closing: a call that began inside the hours ends inside them."""

TICKETS: Final = 2**256


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


def may_leave(call: Placing, at: datetime) -> bool:
    """Whether a call that was taken may still leave: the clock may have jumped meanwhile."""
    return (call.opens_at is None or call.opens_at <= at) and (
        call.closes_at is None or at < call.closes_at
    )


def next_opening(at: datetime, rules: InspectionRules) -> datetime:
    """Return when the permitted hours begin for the first time after the instant."""
    day = business_day(at)
    today, _ = hours_of(day, rules)
    return today if at < today else hours_of(day + timedelta(days=1), rules)[0]


def earliest(at: datetime, rules: InspectionRules) -> datetime:
    """Return the instant itself when a call may start then, otherwise the next opening."""
    return at if may_call(at, rules) else next_opening(at, rules)


def ticket(seed: str, *about: object) -> int:
    """Return the lot that a seed gives something: SHA-256 of all of it, joined by `|`."""
    return int.from_bytes(hashlib.sha256("|".join(map(str, (seed, *about))).encode()).digest())


def slot(seed: str, number: str, day: date, band: int, rules: InspectionRules) -> datetime:
    """Return the second at which a spread plan may call a number in one band of a day's hours."""
    first, last = hours_of(day, rules)
    length = (last - first) / rules.spread_calls_per_day
    within = ticket(seed, "slot", number, day.isoformat(), band) / TICKETS
    return first + timedelta(seconds=int((length * (band + within)).total_seconds()))


def slot_after(seed: str, number: str, after: datetime, rules: InspectionRules) -> datetime:
    """Return the first of a number's slots at or after an instant."""
    day = business_day(after)
    while True:
        for band in range(rules.spread_calls_per_day):
            found = slot(seed, number, day, band, rules)
            if found >= after:
                return found
        day += timedelta(days=1)


def due(
    seed: str, number: str, *, after: datetime, start: Start, rules: InspectionRules
) -> datetime:
    """Return when the next call to a number is due, not before `after`."""
    if start is Start.NOW:
        return earliest(after, rules)
    return slot_after(seed, number, after, rules)


def draw(
    candidates: Sequence[Candidate],
    *,
    seed: str,
    percent: int,
    rules: InspectionRules,
    start: Start,
    now: datetime,
) -> list[Drawn]:
    """Draw SPs, and with each all of its lines, and the times of their first calls.

    The SPs with the lowest tickets are drawn, whatever the order of the candidates. The share is
    rounded up, so that a draw among any candidates is never empty.
    """
    sps = sorted({line.sp_id for line in candidates}, key=lambda sp: (ticket(seed, "sp", sp), sp))
    chosen = set(sps[: math.ceil(len(sps) * percent / 100)])
    return [
        Drawn(
            sp_id=line.sp_id, number=line.number,
            due_at=due(seed, line.number, after=now, start=start, rules=rules),
            caller_offset=ticket(seed, "caller", line.sp_id, line.number) % 1_000,
        )
        for line in sorted(candidates, key=lambda line: (line.sp_id, line.number))
        if line.sp_id in chosen
    ]  # fmt: skip


def person(sp_id: UUID) -> str:
    """Return what stands for a responsible person's mobile in a plan that everybody may read."""
    return f"responsible:{sp_id}"


def commitment(text: str) -> str:
    """Return what binds us to a text without telling it: its SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def write_document(document: PlanDocument) -> str:
    """Return the text of a plan, of which the hash is published: JSON, fields in their order."""
    return msgspec.json.encode(document).decode()


def faults_of(text: str, plan_sha256: str) -> list[str]:
    """Check a revealed plan against its published hash, and draw it again; no faults: all is well.

    This is what an SP does that wants to know whether it was singled out.
    """
    if commitment(text) != plan_sha256:
        return ["the document is not the one that was committed to"]
    plan = msgspec.json.decode(text, type=PlanDocument)
    again = draw(
        plan.candidates, seed=plan.seed, percent=plan.percent, rules=plan.rules, start=plan.start,
        now=plan.drawn_at,
    )  # fmt: skip
    return [] if again == plan.items else ["the seed does not give these items"]
