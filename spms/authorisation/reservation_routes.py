"""HTTP: charges in two steps."""

from datetime import datetime
from uuid import UUID

from litestar import Router, get, post
from litestar.datastructures import State

from spms.authorisation import reservations
from spms.authorisation.deciding import ReferenceReused
from spms.authorisation.engine import Engine
from spms.authorisation.reservation_model import (
    Answer,
    Ask,
    Reservation,
    ReservationRequest,
    ReservationState,
)
from spms.authorisation.reservations import ChargingStopped, ReservationClosed
from spms.core.access import Actor, Role, only
from spms.core.authenticate import IN_TURN, Until
from spms.core.db import Connection
from spms.core.errors import NotFound, Unavailable
from spms.core.http import refusals


@post(
    "/", status_code=200, guards=[only(Role.SP)], opt={IN_TURN: Until.KNOWN},
    responses=refusals(ReferenceReused, Unavailable),
)  # fmt: skip
async def reserve(data: ReservationRequest, state: State, actor: Actor) -> Answer:
    """Ask whether a charge may go and hold it (预占): it counts towards the caps from now on.

    A denial holds nothing. What is not captured in time is given back by itself.
    """
    engine: Engine = state.engine
    return await engine.decide(
        Ask(request=data.question(), sp_id=actor.sp_id, actor=actor.label, reference=data.reference)
    )


@get(
    "/{reservation_id:uuid}",
    status_code=200,
    guards=[only(Role.SP)],
    responses=refusals(NotFound),
)
async def show(reservation_id: UUID, read: Connection, actor: Actor) -> Reservation:
    """Show one of the SP's own reservations."""
    return await reservations.get(read, reservation_id, actor=actor)


@post(
    "/{reservation_id:uuid}/capture",
    status_code=200,
    guards=[only(Role.SP)],
    opt={IN_TURN: Until.ANSWERED},
    responses=refusals(NotFound, ReservationClosed, ChargingStopped),
)
async def capture(reservation_id: UUID, tx: Connection, actor: Actor, now: datetime) -> Reservation:
    """Say that the service was rendered: the charge stands. Safe to repeat.

    Charging stops when a wish to leave comes in: what is held then can only be released.
    """
    return await reservations.close(
        tx, reservation_id, ReservationState.CAPTURED, actor=actor, now=now
    )


@post(
    "/{reservation_id:uuid}/release",
    status_code=200,
    guards=[only(Role.SP)],
    opt={IN_TURN: Until.ANSWERED},
    responses=refusals(NotFound, ReservationClosed),
)
async def release(reservation_id: UUID, tx: Connection, actor: Actor, now: datetime) -> Reservation:
    """Give a held charge back: it counts towards no cap any more. Safe to repeat."""
    return await reservations.close(
        tx, reservation_id, ReservationState.RELEASED, actor=actor, now=now
    )


router = Router(
    "/reservations", route_handlers=[reserve, show, capture, release], tags=["authorisation"]
)
