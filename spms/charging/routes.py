"""HTTP by which SPs deliver charge records and read them; files in are in `file_routes`."""

from datetime import datetime

from litestar import Router, post

from spms.charging import actions
from spms.charging.model import Landing, RecordBatch
from spms.charging.own_charge_routes import own_file, own_page, own_totals
from spms.charging.parsing import read_body
from spms.core.access import Actor, Role, only
from spms.core.db import Connection


@post("/charge-records", status_code=200, guards=[only(Role.SP)])
async def land(data: RecordBatch, tx: Connection, actor: Actor, now: datetime) -> Landing:
    """Deliver charge records.

    Good ones land with a verdict, bad ones are quarantined; both are said line by line. Sending a
    record again is harmless.
    """
    lines = [read_body(number, record) for number, record in enumerate(data.records, start=1)]
    return await actions.land(tx, lines, sp_id=actor.sp_id, file_id=None, actor=actor, now=now)


router = Router("/", route_handlers=[land, own_page, own_totals, own_file], tags=["charging"])
