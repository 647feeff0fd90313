"""HTTP about charges: SPs deliver records and files, people and agents read the bill."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.params import Parameter

from spms.charging import actions, bill
from spms.charging.bill_model import Bill, LineExplained
from spms.charging.model import Landing, OwnCharge, RecordBatch
from spms.charging.parsing import read_body
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import Forbidden, NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page
from spms.core.phone import Msisdn

MONTH = r"^20[0-9]{2}-(?:0[1-9]|1[0-2])$(?!\n)"
Month = Annotated[
    str,
    Parameter(pattern=MONTH, description="Business month (Asia/Shanghai)"),
]
Why = Annotated[
    str,
    msgspec.Meta(
        min_length=2,
        max_length=200,
        description="Kept in the audit log: a ticket, a call, a request of the holder",
    ),
]


class BillSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose bill, of which month, and why it is looked at."""

    msisdn: Msisdn
    month: Annotated[str, msgspec.Meta(pattern=MONTH, examples=["2026-03"])]
    reason: Why
    after: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    """`next` of the page before this one."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class LineSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which line of whose bill, and why it is looked at."""

    msisdn: Msisdn
    charge_id: UUID
    reason: Why


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


@get("/my/bill", guards=[only(Role.SUBSCRIBER)], responses=refusals(CursorInvalid, Forbidden))
async def my_bill(
    month: Month, read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Bill:
    """Show the signed-in subscriber what she was charged for in a month."""
    return await bill.own_bill(read, month, actor=actor, cursor=after, limit=limit)


@get(
    "/my/bill/lines/{charge_id:uuid}",
    guards=[only(Role.SUBSCRIBER)],
    responses=refusals(NotFound, Forbidden),
)
async def my_line(charge_id: UUID, read: Connection, actor: Actor) -> LineExplained:
    """Explain one line of the signed-in subscriber's bill: decision, tariff, both consents."""
    return await bill.own_line(read, charge_id, actor=actor)


@post(
    "/bills/search", status_code=200, guards=[only(Role.AGENT)], responses=refusals(CursorInvalid)
)
async def search_bill(data: BillSearch, tx: Connection, actor: Actor, now: datetime) -> Bill:
    """Show a number's bill to an agent; the look-up and its reason are recorded."""
    return await bill.searched_bill(
        tx,
        data.msisdn,
        data.month,
        reason=data.reason,
        cursor=data.after,
        limit=data.limit,
        actor=actor,
        now=now,
    )


@post(
    "/bills/lines/search", status_code=200, guards=[only(Role.AGENT)], responses=refusals(NotFound)
)
async def search_line(
    data: LineSearch, tx: Connection, actor: Actor, now: datetime
) -> LineExplained:
    """Explain one line of a number's bill to an agent; the look-up and its reason are recorded."""
    return await bill.searched_line(
        tx, data.msisdn, data.charge_id, reason=data.reason, actor=actor, now=now
    )


router = Router(
    "/",
    route_handlers=[
        land,
        own_charges,
        my_bill,
        my_line,
        search_bill,
        search_line,
    ],
    tags=["charging"],
)
