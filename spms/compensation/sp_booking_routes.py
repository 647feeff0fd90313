"""HTTP: what two officers book on an SP's account, and what the SP sees of it."""

from datetime import datetime
from typing import Final
from uuid import UUID

from litestar import get, post

from spms.compensation import sp_booking as actions
from spms.compensation.refusals import EnteredBefore, Moved, NothingToBook, SamePerson
from spms.compensation.sp_booking_model import SpBooking, SpBookingDecision, SpBookingRequest
from spms.core.access import Actor, ActorKind, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page


@post("/sp-bookings", status_code=201, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, EnteredBefore))  # fmt: skip
async def propose(
    data: SpBookingRequest, tx: Connection, actor: Actor, now: datetime
) -> SpBooking:  # fmt: skip
    """Propose to book a deposit that came or goes back, a call on it, or what is given up."""
    return await actions.propose(tx, data, actor=actor, now=now)


@post("/sp-bookings/{booking_id:uuid}/decision", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, SamePerson, Moved, NothingToBook))  # fmt: skip
async def decide(
    booking_id: UUID, data: SpBookingDecision, tx: Connection, actor: Actor, now: datetime
) -> SpBooking:
    """Agree, and it is booked, or decline; as another person than who proposed it."""
    return await actions.decide(
        tx, booking_id, accept=data.accept, reason=data.reason, actor=actor, now=now
    )


@get("/sp-bookings", status_code=200, guards=[only(Role.SP, Role.COMPLIANCE)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def bookings(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[SpBooking]:
    """List them, newest first; an SP what was booked on its own account."""
    sp_id = actor.sp_id if actor.kind is ActorKind.SP else None
    return await actions.list_page(read, sp_id, actor=actor, cursor=after, limit=limit)


HANDLERS: Final = (propose, decide, bookings)
