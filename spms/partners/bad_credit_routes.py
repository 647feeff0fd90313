"""The bad-credit list and companies in several provinces, over HTTP."""

from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Router, get, post

from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page, read_cursor, write_cursor
from spms.partners import bad_credit
from spms.partners.model import BadCredit, CompanyLink, Reason


class Clearance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which entry an SP is cleared, and what an officer has seen."""

    bad_credit_id: UUID
    reason: Reason


@get("/bad-credit", guards=[only(Role.COMPLIANCE)], responses=refusals(CursorInvalid))
async def find(
    read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[BadCredit]:
    """List whom the operator does not or did not deal with, newest first."""
    key = await read_cursor(read, actor, "bad-credit", after, tuple[UUID])
    rows = await bad_credit.page(read, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = await write_cursor(read, actor, "bad-credit", [rows[limit - 1].id]) if more else None
    return Page(items=rows[:limit], next=cursor)


@post("/sps/{sp_id:uuid}/bad-credit-clearances", status_code=204, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound))  # fmt: skip
async def clear(sp_id: UUID, data: Clearance, tx: Connection, actor: Actor, now: datetime) -> None:
    """Say that an SP's responsible person only has a listed person's name."""
    await bad_credit.clear(tx, sp_id, data.bad_credit_id, reason=data.reason, actor=actor, now=now)


@post("/sps/{sp_id:uuid}/company", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, bad_credit.LinkedOtherwise))  # fmt: skip
async def link(
    sp_id: UUID, data: CompanyLink, tx: Connection, actor: Actor, now: datetime
) -> CompanyLink:
    """Record under which company an SP works in which province (for linkage, 联动)."""
    return await bad_credit.link(tx, sp_id, data, actor=actor, now=now)


router = Router("/", route_handlers=[find, clear, link], tags=["partners"])
