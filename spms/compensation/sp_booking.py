"""An SP's deposit as it comes and goes, the call on it, giving up: proposed by one, agreed by another.

Settlement takes from what an SP earns. This is for the rest: an SP that earns nothing any more.
"""

from datetime import datetime
from uuid import UUID

from spms.compensation import receivable
from spms.compensation import sp_booking_queries as queries
from spms.compensation.refusals import EnteredBefore, Moved, NothingToBook, SamePerson
from spms.compensation.sp_booking_model import (
    BookingKind,
    BookingState,
    SpBooking,
    SpBookingRequest,
)
from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import new_id
from spms.core.paging import Page, read_cursor, write_cursor
from spms.partners import actions as partners

BOOKING = {
    BookingKind.DEPOSIT_PAID: receivable.pay_deposit,
    BookingKind.DEPOSIT_RETURNED: receivable.return_deposit,
    BookingKind.DEPOSIT_CALL: receivable.call_deposit,
    BookingKind.WRITE_OFF: receivable.write_off,
}


async def propose(
    tx: Connection, data: SpBookingRequest, *, actor: Actor, now: datetime
) -> SpBooking:
    """Say what is to be booked; nothing moves by this.

    Raises `NotFound` without such an SP, `EnteredBefore` for a reference it has of that kind.
    """
    await partners.get(tx, data.sp_id)
    booking_id = new_id()
    if not await queries.propose(tx, booking_id, data, actor=actor.label, now=now):
        raise EnteredBefore
    await audit.note(
        tx, f"sp_booking.{data.kind}_proposed", "sp_booking", booking_id, actor=actor, now=now,
        reason=data.reason,
    )  # fmt: skip
    return await _held(tx, booking_id)


async def decide(
    tx: Connection, booking_id: UUID, *, accept: bool, reason: str, actor: Actor, now: datetime
) -> SpBooking:
    """Agree, and it is booked as far as there is something to book; or decline.

    Raises `NotFound`, `SamePerson`, `Moved` when it was decided before, `NothingToBook`.
    """
    row = await _held(tx, booking_id)
    if row.proposed_by == actor.label:
        raise SamePerson
    if row.state is not BookingState.PROPOSED:
        raise Moved
    entry_id, booked_fen = None, None
    if accept:
        booked_fen = await BOOKING[row.kind](
            tx, row.sp_id, row.amount_fen, cause_id=row.id, actor=actor, now=now
        )
        if booked_fen == 0:
            raise NothingToBook
        entry_id = receivable.entry_id(row.kind, row.sp_id, row.id)
    state = BookingState.AGREED if accept else BookingState.DECLINED
    if not await queries.decide(
        tx, booking_id, state, entry_id=entry_id, booked_fen=booked_fen, actor=actor.label, now=now
    ):
        raise Moved
    await audit.note(
        tx, f"sp_booking.{row.kind}_{state}", "sp_booking", booking_id, actor=actor, now=now,
        reason=reason,
    )  # fmt: skip
    return await _held(tx, booking_id)


async def list_page(
    read: Connection, sp_id: UUID | None, *, actor: Actor, cursor: str | None, limit: int
) -> Page[SpBooking]:
    """List what was proposed, newest first; an SP what was booked on its own account."""
    after = await read_cursor(read, actor, "sp_bookings", cursor, tuple[datetime, UUID])
    rows = await queries.page(read, sp_id, after, limit + 1)
    more = None
    if len(rows) > limit:
        last = rows[limit - 1]
        more = await write_cursor(read, actor, "sp_bookings", [last.proposed_at, last.id])
    return Page(items=rows[:limit], next=more)


async def _held(tx: Connection, booking_id: UUID) -> SpBooking:
    found = await queries.hold(tx, booking_id)
    if found is None:
        raise NotFound
    return found
