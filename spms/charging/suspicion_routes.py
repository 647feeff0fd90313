"""HTTP about what the audit leaves to people."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.params import Parameter

from spms.charging import suspicions
from spms.charging.bill_routes import Month
from spms.charging.suspicion_model import Observed, Suspicion
from spms.charging.suspicions import SuspicionDecided
from spms.core.access import Actor, Role, only
from spms.core.clock import month_range
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page


class SuspicionDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a suspicion was found to be, and why."""

    upheld: bool
    reason: Annotated[str, msgspec.Meta(min_length=2, max_length=500)]


@get("/charge-suspicions", guards=[only(Role.COMPLIANCE)], responses=refusals(CursorInvalid))
async def to_decide(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[Suspicion]:
    """List charges that look wrong and wait for a person, the oldest first."""
    return await suspicions.to_decide(read, actor=actor, cursor=after, limit=limit)


@post(
    "/charge-suspicions/{suspicion_id:uuid}/decision",
    status_code=200,
    guards=[only(Role.COMPLIANCE)],
    responses=refusals(NotFound, SuspicionDecided),
)
async def decide(
    suspicion_id: UUID, data: SuspicionDecision, tx: Connection, actor: Actor, now: datetime
) -> Suspicion:
    """Decide whether a charge was wrong. Upheld, what was not due is paid back double."""
    return await suspicions.decide(
        tx, suspicion_id, upheld=data.upheld, reason=data.reason, actor=actor, now=now
    )


@get("/charge-observations", guards=[only(Role.COMPLIANCE)])
async def observations(
    read: Connection,
    month: Annotated[Month, Parameter(description="Business month in which the charges landed")],
) -> list[Observed]:
    """Show what rules that are only tried out would have struck, by SP and kind."""
    since, until = month_range(date.fromisoformat(f"{month}-01"))
    return await suspicions.observed(read, since=since, until=until)


router = Router("/", route_handlers=[to_decide, decide, observations], tags=["charging"])
