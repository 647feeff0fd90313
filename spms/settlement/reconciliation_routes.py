"""HTTP: counts of the gateway and of billing, and where they differ from what was charged."""

from datetime import date, datetime
from typing import Annotated, Final
from uuid import UUID

from litestar import get, post
from litestar.params import Parameter

from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page, read_cursor, write_cursor
from spms.settlement import reconciliation
from spms.settlement.reconciliation import DayNotOver, ServiceUnknown
from spms.settlement.reconciliation_model import Compared, Day, Difference, Explanation, Told
from spms.settlement.refusals import AlreadyDecided

MONTH = r"^20[0-9]{2}-(?:0[1-9]|1[0-2])$(?!\n)"
MonthPart = Annotated[str, Parameter(pattern=MONTH, description="Business month (Asia/Shanghai)")]


@post("/reconciliation-counts", status_code=200, guards=[only(Role.GATEWAY)],
      responses=refusals(DayNotOver, ServiceUnknown))  # fmt: skip
async def tell(data: Told, tx: Connection, actor: Actor, now: datetime) -> Compared:
    """Tell what the gateway delivered, or billing billed, on a day; it is compared at once."""
    return await reconciliation.tell(tx, data, actor=actor, now=now)


@get("/reconciliation-differences", guards=[only(Role.SP, Role.COMPLIANCE)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def differences(
    month: MonthPart, read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[Difference]:
    """List a month's differences, each with its owner; an SP those of its services."""
    first = date.fromisoformat(f"{month}-01")
    key = await read_cursor(read, actor, f"differences {month}", after, tuple[UUID])
    rows = await reconciliation.page(read, first, key[0] if key else None, limit + 1, actor=actor)
    cursor = None
    if len(rows) > limit:
        cursor = await write_cursor(read, actor, f"differences {month}", [rows[limit - 1].id])
    return Page(items=rows[:limit], next=cursor)


@get("/reconciliation-days", guards=[only(Role.COMPLIANCE)])
async def days(month: MonthPart, read: Connection, now: datetime) -> list[Day]:
    """Show which side has told of each day of a month that is over, and what is still open."""
    return await reconciliation.days(read, date.fromisoformat(f"{month}-01"), now=now)


@post("/reconciliation-differences/{difference_id:uuid}/explanation", status_code=200,
      guards=[only(Role.SP, Role.COMPLIANCE)], responses=refusals(NotFound, AlreadyDecided)
      )  # fmt: skip
async def explain(
    difference_id: UUID, data: Explanation, tx: Connection, actor: Actor, now: datetime
) -> Difference:
    """Say why two sides differ: an officer, or the SP where it is the SP's to explain."""
    return await reconciliation.explain(tx, difference_id, data.explanation, actor=actor, now=now)


HANDLERS: Final = (tell, differences, days, explain)
