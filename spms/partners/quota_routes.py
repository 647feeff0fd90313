"""HTTP: what an SP may send."""

from datetime import datetime
from uuid import UUID

from litestar import Router, get, post

from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound, Unprocessable
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page, read_cursor, write_cursor
from spms.partners import actions, quota, quota_queries
from spms.partners.quota import QuotaClash
from spms.partners.quota_model import NewQuota, Quota
from spms.partners.routes import Staff, own_or_staff


@post("/sps/{sp_id:uuid}/quotas", status_code=201, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, QuotaClash, Unprocessable))  # fmt: skip
async def agree(sp_id: UUID, data: NewQuota, tx: Connection, actor: Actor, now: datetime) -> Quota:
    """Put on record what an SP may send from an instant on."""
    return await quota.agree(tx, sp_id, data, actor=actor, now=now)


@get("/sps/{sp_id:uuid}/quotas", guards=[only(Role.SP, *Staff)],
     responses=refusals(NotFound, CursorInvalid))  # fmt: skip
async def agreed(
    sp_id: UUID, read: Connection, actor: Actor, limit: Limit = 20, after: Cursor = None
) -> Page[Quota]:
    """List what was ever agreed with an SP, newest first."""
    own_or_staff(actor, sp_id)
    await actions.get(read, sp_id)
    name = f"quotas {sp_id}"
    key = await read_cursor(read, actor, name, after, tuple[int])
    rows = await quota_queries.of_sp(read, sp_id, key[0] if key else None, limit + 1)
    more = len(rows) > limit
    cursor = await write_cursor(read, actor, name, [rows[limit - 1].version]) if more else None
    return Page(items=rows[:limit], next=cursor)


router = Router("/", route_handlers=[agree, agreed], tags=["partners"])
