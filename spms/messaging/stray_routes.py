"""HTTP about messages that came under no number of ours."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post

from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page
from spms.messaging import strays
from spms.messaging.model import StrayRead, StrayShown


class Why(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why somebody looks at what came; it holds numbers."""

    reason: Annotated[str, msgspec.Meta(min_length=2, max_length=200, pattern=r"\S")]


@get("/stray-messages", guards=[only(Role.COMPLIANCE)], responses=refusals(CursorInvalid))
async def list_strays(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[StrayShown]:
    """List messages whose sender cannot be read, newest first, without their content."""
    return await strays.page(read, cursor=after, limit=limit, actor=actor)


@post(
    "/stray-messages/{stray_id:uuid}/reading",
    status_code=200,
    guards=[only(Role.COMPLIANCE)],
    responses=refusals(NotFound),
)
async def look(stray_id: UUID, data: Why, tx: Connection, actor: Actor, now: datetime) -> StrayRead:
    """Show the octets of such a message; who looked and why is recorded first."""
    return await strays.look(tx, stray_id, reason=data.reason, actor=actor, now=now)


router = Router("/", route_handlers=[list_strays, look], tags=["messaging"])
