"""Charges in two steps (预占): reserve, then capture once the service is rendered, or release.

A reservation is an allowed decision that counts towards the caps from its first instant. An order
on demand that it used stays used, also when it is released: the person would have to order anew.
"""

from datetime import datetime
from uuid import UUID

from spms.authorisation import reservation_queries as queries
from spms.authorisation.deciding import decide_all, given
from spms.authorisation.queries import plan
from spms.authorisation.reservation_model import Answer, Ask, Reservation, ReservationState
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import Conflict, NotFound

EXPIRE_AT_ONCE = 5000


class ReservationClosed(Conflict):
    """The reservation was captured, released or has expired."""

    code = "reservation_closed"


class ChargingStopped(Conflict):
    """The person has left or barred it since, or the number is not hers or not in service."""

    code = "charging_stopped"


async def reserve(tx: Connection, ask: Ask, *, now: datetime) -> Answer:
    """Decide about a charge and hold it; the same reference of a number gets the first answer.

    Raises `ReferenceReused` when the reference names another service or price.
    """
    await plan(tx)
    return given((await decide_all(tx, [ask], now=now))[0])


async def get(read: Connection, reservation_id: UUID, *, actor: Actor) -> Reservation:
    """Show one of the SP's own reservations; any other is `NotFound`."""
    row = await queries.get(read, reservation_id, actor.sp_id)
    if row is None:
        raise NotFound
    return queries.shown(row)


async def close(
    tx: Connection, reservation_id: UUID, state: ReservationState, *, actor: Actor, now: datetime
) -> Reservation:
    """Capture or release a reservation; doing the same again changes nothing.

    Raises `NotFound`; `ReservationClosed` when it was closed the other way or its time is over; and
    `ChargingStopped` for a capture after the person left: it can only be released.
    """
    row = await queries.get(tx, reservation_id, actor.sp_id)
    if row is None:
        raise NotFound
    verb = queries.capture if state is ReservationState.CAPTURED else queries.release
    await verb(tx, row, actor=actor.label, now=now)
    row = await queries.get(tx, reservation_id, actor.sp_id)
    if row is not None and row.state is ReservationState.RESERVED and row.expires_at > now:
        raise ChargingStopped
    if row is None or row.state != state:
        raise ReservationClosed
    return queries.shown(row)


async def expire(tx: Connection, *, actor: Actor, now: datetime) -> int:
    """Give back what was held and not captured in time; return how many."""
    return await queries.expire(tx, actor=actor.label, now=now, limit=EXPIRE_AT_ONCE)
