"""HTTP about charges: SPs deliver records and files, people and agents read the bill."""

from datetime import datetime

from litestar import Router, get, post

from spms.charging import actions, bill
from spms.charging.model import Landing, OwnCharge, RecordBatch
from spms.charging.parsing import read_body
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page


@post("/charge-records", status_code=200, guards=[only(Role.SP)])
async def land(data: RecordBatch, tx: Connection, actor: Actor, now: datetime) -> Landing:
    """Deliver charge records.

    Good ones land with a verdict, bad ones are quarantined; both are said line by line. Sending a
    record again is harmless.
    """
    lines = [read_body(number, record) for number, record in enumerate(data.records, start=1)]
    return await actions.land(tx, lines, sp_id=actor.sp_id, file_id=None, actor=actor, now=now)


@get("/charge-records", guards=[only(Role.SP)], responses=refusals(CursorInvalid))
async def own_charges(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[OwnCharge]:
    """List an SP's own charges with their verdicts, newest first."""
    return await bill.sp_charges(read, actor=actor, cursor=after, limit=limit)


router = Router(
    "/",
    route_handlers=[
        land,
        own_charges,
    ],
    tags=["charging"],
)
