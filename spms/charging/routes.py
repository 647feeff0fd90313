"""HTTP by which SPs deliver charge records and read them; files in are in `file_routes`."""

from datetime import datetime

from litestar import Router, post

from spms.authorisation.deciding import ReferenceReused
from spms.authorisation.reservation_model import ReservationRequest
from spms.authorisation.reservations import ChargingStopped, ReservationClosed
from spms.charging import actions, at_once
from spms.charging.at_once import ChargedAtOnce, NotDue, RecordIdTaken
from spms.charging.model import Landing, RecordBatch
from spms.charging.own_charge_routes import own_file, own_page, own_totals
from spms.charging.parsing import read_body
from spms.core.access import Actor, Role, only
from spms.core.authenticate import IN_TURN, Until
from spms.core.db import Connection
from spms.core.errors import Unavailable
from spms.core.http import refusals


@post("/charge-records", status_code=200, guards=[only(Role.SP)], opt={IN_TURN: Until.ANSWERED})
async def land(data: RecordBatch, tx: Connection, actor: Actor, now: datetime) -> Landing:
    """Deliver charge records.

    Good ones land with a verdict, bad ones are quarantined; both are said line by line. Sending a
    record again is harmless.
    """
    lines = [read_body(number, record) for number, record in enumerate(data.records, start=1)]
    return await actions.land(tx, lines, sp_id=actor.sp_id, file_id=None, actor=actor, now=now)


@post(
    "/charges",
    status_code=200,
    guards=[only(Role.SP)],
    opt={IN_TURN: Until.ANSWERED},
    responses=refusals(
        ReferenceReused, ReservationClosed, ChargingStopped, NotDue, RecordIdTaken, Unavailable
    ),
)
async def charge(
    data: ReservationRequest, tx: Connection, actor: Actor, now: datetime
) -> ChargedAtOnce:
    """Charge in one step: ask (鉴权), and where the answer is yes, land the charge record with it.

    For what needs no delivery by message. The reference is the record's id: sending the same again
    charges nothing twice. A denial says why, and nothing is charged.
    """
    return await at_once.charge(tx, data, actor=actor, now=now)


router = Router(
    "/", route_handlers=[land, charge, own_page, own_totals, own_file], tags=["charging"]
)
