"""HTTP: payouts that billing refused, resolved by two officers."""

from datetime import datetime
from typing import Final
from uuid import UUID

from litestar import get, post

from spms.compensation import payout_resolution as actions
from spms.compensation.payout_resolution_model import (
    RefusedPayout,
    Resolution,
    ResolutionDecision,
    ResolutionRequest,
)
from spms.compensation.refusals import Moved, SamePerson
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page


@get("/refused-payouts", status_code=200, guards=[only(Role.COMPLIANCE)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def refused(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[RefusedPayout]:
    """List payouts that billing refused, with what is proposed about them."""
    return await actions.list_page(read, actor=actor, cursor=after, limit=limit)


@post("/refused-payouts/{payout_id:uuid}/resolutions", status_code=201,
      guards=[only(Role.COMPLIANCE)], responses=refusals(NotFound, Moved))  # fmt: skip
async def propose(
    payout_id: UUID, data: ResolutionRequest, tx: Connection, actor: Actor, now: datetime
) -> Resolution:
    """Propose to send it again, or to book it as paid by hand."""
    return await actions.propose(
        tx, payout_id, data.outcome, reason=data.reason, actor=actor, now=now
    )


@post("/payout-resolutions/{resolution_id:uuid}/decision", status_code=200,
      guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, SamePerson, Moved))  # fmt: skip
async def decide(
    resolution_id: UUID, data: ResolutionDecision, tx: Connection, actor: Actor, now: datetime
) -> Resolution:
    """Agree, and it is done, or decline; as another person than who proposed it."""
    return await actions.decide(
        tx, resolution_id, accept=data.accept, reason=data.reason, actor=actor, now=now
    )


HANDLERS: Final = (refused, propose, decide)
