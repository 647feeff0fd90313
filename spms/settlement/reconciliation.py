"""三方对账: what the gateway delivered, what was charged, what billing billed."""

from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from spms.core import audit
from spms.core.access import Actor, ActorKind
from spms.core.clock import business_day, next_month
from spms.core.db import Connection
from spms.core.errors import FieldError, NotFound, Unprocessable
from spms.settlement import reconciliation_queries as queries
from spms.settlement.reconciliation_model import Compared, Day, Difference, Told
from spms.settlement.refusals import AlreadyDecided

LOOKED_BACK: Final = timedelta(days=62)
DAY: Final = timedelta(days=1)


class DayNotOver(Unprocessable):
    """This day is not over, or too long ago to be compared."""

    code = "day_not_over"


class ServiceUnknown(Unprocessable):
    """There is no service with one of these codes, or one is named twice."""

    code = "service_unknown"


async def tell(tx: Connection, told: Told, *, actor: Actor, now: datetime) -> Compared:
    """Keep what one side counted of a day and compare that day.

    Raises `DayNotOver`, and `ServiceUnknown` naming the lines; then nothing is kept.
    """
    today = business_day(now)
    if not today - LOOKED_BACK <= told.day < today:
        raise DayNotOver
    await queries.hold(tx)
    codes = [each.service_code for each in told.counts]
    known = await queries.services(tx, codes)
    wrong = [
        FieldError(pointer=f"/counts/{n}/service_code", code="unknown_or_twice")
        for n, code in enumerate(codes)
        if code not in known or code in codes[:n]
    ]
    if wrong:
        raise ServiceUnknown(errors=wrong[:100])
    new = await queries.tell(tx, told, [known[code] for code in codes], now=now, actor=actor.label)
    found, gone = await queries.compare(tx, told.day, told.day + DAY, now=now)
    return Compared(new_counts=new, differences=found, gone=gone)


async def compare_next(
    tx: Connection, after: date | None, *, now: datetime
) -> tuple[date, int] | None:
    """Compare the next day of the last two months that any side told of: charges may have come.

    Returns the day and how many differences moved; None after the last.
    """
    today = business_day(now)
    first = today - LOOKED_BACK if after is None else after + DAY
    day = await queries.next_told(tx, first, today)
    if day is None:
        return None
    await queries.hold(tx)
    found, gone = await queries.compare(tx, day, day + DAY, now=now)
    return day, found + gone


async def days(read: Connection, month: date, *, now: datetime) -> list[Day]:
    """Tell of each day of a month that is over which side has told, and what is still open."""
    return await queries.days(read, month, min(next_month(month), business_day(now)))


async def get(read: Connection, difference_id: UUID, *, actor: Actor) -> Difference:
    """Return a difference; another SP's looks like nothing at all."""
    found = await queries.difference(read, difference_id)
    if found is None or (actor.kind is ActorKind.SP and actor.sp_id != found.sp_id):
        raise NotFound
    return found


async def explain(
    tx: Connection, difference_id: UUID, explanation: str, *, actor: Actor, now: datetime
) -> Difference:
    """Let an officer, or the SP that owns it, say why; a change of figures asks again."""
    found = await get(tx, difference_id, actor=actor)
    if actor.kind is ActorKind.SP and found.owner != "sp":
        raise NotFound
    if not await queries.explain(tx, difference_id, explanation, now=now, actor=actor.label):
        raise AlreadyDecided
    await audit.note(
        tx, "difference explained", "reconciliation", difference_id, actor=actor, now=now,
        reason=explanation,
    )  # fmt: skip
    return await get(tx, difference_id, actor=actor)


async def page(
    read: Connection, month: date, after: UUID | None, limit: int, *, actor: Actor
) -> list[Difference]:
    """List a month's differences; an SP sees its own services'."""
    sp_id = actor.sp_id if actor.kind is ActorKind.SP else None
    return await queries.page(read, month, sp_id, after, limit)
