"""The verbs of the service proof: months summed up, responsible persons drawn."""

import secrets
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from spms.core import audit, outbox, rulebook
from spms.core.access import Actor
from spms.core.clock import business_month, month_range
from spms.core.db import Connection
from spms.core.ids import new_id
from spms.core.workdays import CalendarRules
from spms.inspections import plan_queries, proof_queries, queries
from spms.inspections.model import Candidate, PlanDocument, Start
from spms.inspections.policy import InspectionRules
from spms.inspections.proof import TOPIC_SLOW, ServiceProof, too_slow
from spms.inspections.rules import draw, person, write_document

MONTHS_BACK: Final = 3
"""So many months that are over are summed up when that was missed."""

SEED_BYTES: Final = 16


async def sum_up_months(tx: Connection, *, now: datetime) -> str:
    """Sum up the months that are over of every SP that was judged in them; say what came of it.

    An SP's month is written once. Where it was too slow, the rooms above are told, once.
    """
    month, count, slow = business_month(now), 0, 0
    for _ in range(MONTHS_BACK):
        month = business_month(month_range(month)[0] - timedelta(hours=1))
        between = month_range(month)
        rules = await rulebook.section(tx, InspectionRules, at=between[0])
        calendar = await rulebook.section(tx, CalendarRules, at=between[0])
        figures = await proof_queries.figures(tx, month, between, rules, calendar=calendar, now=now)
        found = [_judged(one, rules) for one in figures]
        new = await proof_queries.add(tx, found)
        for one in (one for one in found if one.too_slow and one.sp_id in new):
            await _tell(tx, one, now=now)
            slow += 1
        count += len(new)
    return f"{count} months summed up, {slow} too slow"


def _judged(one: ServiceProof, rules: InspectionRules) -> ServiceProof:
    slow = too_slow(answered=one.answered, in_time=one.in_time, rules=rules)
    return msgspec.structs.replace(one, too_slow=slow)


async def _tell(tx: Connection, one: ServiceProof, *, now: datetime) -> None:
    payload = {
        "sp_id": str(one.sp_id), "month": one.month.isoformat(), "answered": one.answered,
        "in_time": one.in_time, "seconds": one.answer_seconds, "percent": one.answer_percent,
    }  # fmt: skip
    await outbox.put(tx, TOPIC_SLOW, payload, now=now)


def quarter_of(month: date) -> date:
    """Return the first day of the quarter that a month belongs to."""
    return month.replace(month=month.month - (month.month - 1) % 3, day=1)


async def draw_persons(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Draw the responsible persons of active SPs not yet drawn in this quarter; say how many.

    Everybody is drawn; by lot is when. The plan's document, which all SPs may read in the end,
    names nobody's number: in its place stands the SP. Raises asyncpg's `UniqueViolationError`
    when another worker draws the same SP at the same time.
    """
    quarter = quarter_of(business_month(now))
    people = await proof_queries.not_called(tx, quarter)
    if not people:
        return "nobody to call"
    rules = await rulebook.section(tx, InspectionRules, at=now)
    named = [Candidate(sp_id=one.sp_id, number=person(one.sp_id)) for one in people]
    seed = secrets.token_hex(SEED_BYTES)
    drawn = draw(named, seed=seed, percent=100, rules=rules, start=Start.SPREAD, now=now)
    document = PlanDocument(
        plan_id=new_id(), drawn_at=now, seed=seed, start=Start.SPREAD, percent=100, rules=rules,
        candidates=named, left_out=[], items=drawn,
    )  # fmt: skip
    await plan_queries.add_plan(
        tx, document, day=None, drawn_by=actor.label, document=write_document(document),
        rulebook_version=await rulebook.version_at(tx, now),
    )  # fmt: skip
    numbers = {one.sp_id: one.number for one in people}
    called = [msgspec.structs.replace(one, number=numbers[one.sp_id]) for one in drawn]
    items = [new_id() for _ in called]
    await proof_queries.add_persons(tx, document.plan_id, quarter, items, called)
    due = [one.due_at for one in called]
    await queries.add_calls(tx, items, [one.number for one in called], due, attempt_no=1)
    await audit.note(
        tx, "inspection drawn", "inspection_plan", document.plan_id, actor=actor, now=now
    )
    return f"{len(items)} responsible persons drawn"
