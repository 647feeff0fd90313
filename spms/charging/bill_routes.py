"""HTTP about the itemised bill: people and agents read it page by page and line by line."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from spms.charging import bill, summaries
from spms.charging.bill_model import Bill, BillFilter, LineExplained
from spms.charging.model import Kind
from spms.charging.summaries import SummaryWish
from spms.core import db
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import Forbidden, NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit
from spms.core.phone import Msisdn
from spms.subscribers.looks import LooksUsedUp

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
        pattern=r"\S",
        description="Kept in the audit log: a ticket, a call, a request of the holder",
    ),
]


Code = Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z]{1,16}$(?!\\n)")]
CodeAsked = Annotated[
    str | None,
    Parameter(pattern="^[0-9A-Za-z]{1,16}$(?!\\n)", description="Only lines with this code"),
]
KindAsked = Annotated[Kind | None, Parameter(description="Only lines of this kind")]
RefundedAsked = Annotated[
    bool, Parameter(description="Only lines of which something was given back")
]


class BillSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose bill, of which month, and why it is looked at."""

    msisdn: Msisdn
    month: Annotated[str, msgspec.Meta(pattern=MONTH, examples=["2026-03"])]
    reason: Why
    sp_code: Code | None = None
    service_code: Code | None = None
    kind: Kind | None = None
    refunded: bool = False
    """Only lines of which something was given back."""
    after: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    """`next` of the page before this one."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50


class LineSearch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which line of whose bill, and why it is looked at."""

    msisdn: Msisdn
    charge_id: UUID
    reason: Why


@get("/my/bill", guards=[only(Role.SUBSCRIBER)], responses=refusals(CursorInvalid, Forbidden))
async def my_bill(
    *,
    month: Month,
    read: Connection,
    actor: Actor,
    sp_code: CodeAsked = None,
    service_code: CodeAsked = None,
    kind: KindAsked = None,
    refunded: RefundedAsked = False,
    after: Cursor = None,
    limit: Limit = 50,
) -> Bill:
    """Show the signed-in subscriber what she was charged for in a month."""
    wanted = BillFilter(sp_code=sp_code, service_code=service_code, kind=kind, refunded=refunded)
    return await bill.own_bill(read, month, wanted, actor=actor, cursor=after, limit=limit)


@get(
    "/my/bill/lines/{charge_id:uuid}",
    guards=[only(Role.SUBSCRIBER)],
    responses=refusals(NotFound, Forbidden),
)
async def my_line(charge_id: UUID, read: Connection, actor: Actor) -> LineExplained:
    """Explain one line of the signed-in subscriber's bill: decision, tariff, both consents."""
    return await bill.own_line(read, charge_id, actor=actor)


@get("/my/bill/summary", guards=[only(Role.SUBSCRIBER)], responses=refusals(Forbidden))
async def my_summary(read: Connection, actor: Actor) -> SummaryWish:
    """Show whether the signed-in subscriber is told by SMS every month what her bill came to."""
    return await summaries.wish(read, actor=actor)


@post(
    "/my/bill/summary",
    status_code=200,
    guards=[only(Role.SUBSCRIBER)],
    responses=refusals(Forbidden),
)
async def set_summary(
    data: SummaryWish, tx: Connection, actor: Actor, now: datetime
) -> SummaryWish:
    """Switch the monthly message off or on; its next holder is told again."""
    return await summaries.set_wish(tx, data, actor=actor, now=now)


@post(
    "/bills/search",
    status_code=200,
    guards=[only(Role.AGENT)],
    responses=refusals(CursorInvalid, LooksUsedUp),
)
async def search_bill(data: BillSearch, tx: Connection, actor: Actor, now: datetime) -> Bill:
    """Show a number's bill to an agent; the look-up and its reason are recorded."""
    return await bill.searched_bill(
        tx,
        data.msisdn,
        data.month,
        BillFilter(
            sp_code=data.sp_code,
            service_code=data.service_code,
            kind=data.kind,
            refunded=data.refunded,
        ),
        reason=data.reason,
        cursor=data.after,
        limit=data.limit,
        actor=actor,
        now=now,
    )


@post(
    "/bills/lines/search",
    status_code=200,
    guards=[only(Role.AGENT)],
    responses=refusals(NotFound, LooksUsedUp),
)
async def search_line(data: LineSearch, state: State, actor: Actor, now: datetime) -> LineExplained:
    """Explain one line of a number's bill to an agent; the look-up and its reason are recorded."""
    async with db.transaction(state.pool) as tx:
        found = await bill.searched_line(
            tx, data.msisdn, data.charge_id, reason=data.reason, actor=actor, now=now
        )
    if found is None:  # refused only after the commit, so that the look stays counted and on record
        raise NotFound
    return found


router = Router(
    "/",
    route_handlers=[
        my_bill, my_line, my_summary, set_summary, search_bill, search_line,
    ],
    tags=["charging"],
)  # fmt: skip
