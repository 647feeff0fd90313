"""HTTP: what a calendar month pays, its file, fines and late corrections, reports."""

from datetime import date, datetime
from typing import Annotated, Final
from uuid import UUID

from litestar import Response, get, post
from litestar.params import Parameter

from spms.core.access import Actor, ActorKind, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.evidence_routes import NO_STORE
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page, read_cursor, write_cursor
from spms.settlement import adjusting, adjustment_queries, locking, report_queries
from spms.settlement.life_model import (
    Adjustment,
    AdjustmentDecision,
    NewAdjustment,
    Paid,
    Payment,
    PayoutMonth,
)
from spms.settlement.model import Report
from spms.settlement.payout_file import payout_file
from spms.settlement.refusals import AlreadyDecided, NotPayable, SamePerson

MONTH = r"^20[0-9]{2}-(?:0[1-9]|1[0-2])$(?!\n)"
MonthPart = Annotated[str, Parameter(pattern=MONTH, description="Calendar month (Asia/Shanghai)")]
CSV = "text/csv"


def _first(month: str) -> date:
    return date.fromisoformat(f"{month}-01")


@get("/settlement-payouts", guards=[only(Role.COMPLIANCE)])
async def payouts(month: MonthPart, read: Connection, now: datetime) -> PayoutMonth:
    """Show a calendar month's three lists: newly payable, resumed, held."""
    return await locking.payout_month(read, _first(month), now=now)


@get("/settlement-payouts/file", guards=[only(Role.COMPLIANCE)], media_type=CSV,
     responses=refusals(NotPayable))  # fmt: skip
async def file(month: MonthPart, read: Connection, now: datetime) -> Response[bytes]:
    """Give finance what to transfer in a calendar month, once its sheet is approved."""
    lists = await locking.payout_month(read, _first(month), now=now)
    if lists.approved_at is None:
        raise NotPayable("the sheet of this month is not approved")
    content = payout_file([*lists.newly_payable.items, *lists.resumed.items])
    return Response(content, media_type=CSV, headers=NO_STORE)


@post("/settlement-payouts/approval", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, AlreadyDecided))  # fmt: skip
async def approve(
    month: MonthPart, tx: Connection, actor: Actor, now: datetime
) -> PayoutMonth:  # fmt: skip
    """Approve a calendar month's sheet: from now on it may be paid."""
    await locking.approve_payout(tx, _first(month), actor=actor, now=now)
    return await locking.payout_month(tx, _first(month), now=now)


@post("/settlement-payments", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotPayable))  # fmt: skip
async def pay(data: Payment, tx: Connection, actor: Actor, now: datetime) -> Paid:
    """Record and book what the bank transferred, all of it or nothing."""
    return await locking.pay(tx, data, actor=actor, now=now)


@post("/settlement-adjustments", status_code=201, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound))  # fmt: skip
async def propose(
    data: NewAdjustment, tx: Connection, actor: Actor, now: datetime
) -> Adjustment:  # fmt: skip
    """Propose a fine or a late correction; once approved it goes into the next statement."""
    return await adjusting.propose(tx, data, actor=actor, now=now)


@post("/settlement-adjustments/{adjustment_id:uuid}/decision", status_code=200,
      guards=[only(Role.COMPLIANCE)], responses=refusals(NotFound, SamePerson, AlreadyDecided)
      )  # fmt: skip
async def decide(
    adjustment_id: UUID, data: AdjustmentDecision, tx: Connection, actor: Actor, now: datetime
) -> Adjustment:
    """Approve or decline; another officer than who proposed it."""
    return await adjusting.decide(tx, adjustment_id, data, actor=actor, now=now)


@get("/settlement-adjustments", guards=[only(Role.SP, Role.COMPLIANCE)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def adjustments(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[Adjustment]:
    """List fines and corrections, newest first; an SP its own that were approved."""
    sp_id = actor.sp_id if actor.kind is ActorKind.SP else None
    key = await read_cursor(read, actor, "adjustments", after, tuple[datetime, UUID])
    rows = await adjustment_queries.page(read, sp_id, key, limit + 1)
    cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = await write_cursor(read, actor, "adjustments", [last.proposed_at, last.id])
    return Page(items=rows[:limit], next=cursor)


@get("/settlement-reports", guards=[only(Role.COMPLIANCE)])
async def reports(month: MonthPart, read: Connection) -> list[Report]:
    """Show what looks wrong about a month: silent users, self-consumption, arrears."""
    return await report_queries.reports(read, _first(month))


HANDLERS: Final = (
    payouts, file, approve, pay, propose, decide, adjustments, reports,
)  # fmt: skip
