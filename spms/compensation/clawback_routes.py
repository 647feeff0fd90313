"""HTTP: refunds that fraud brought about, taken back by two officers."""

from datetime import datetime
from typing import Final
from uuid import UUID

from litestar import get, post

from spms.compensation import clawback as actions
from spms.compensation.clawback_model import Clawback, ClawbackDecision, ClawbackRequest
from spms.compensation.refusals import Moved, NotPaidOut, SamePerson
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.once import IdempotencyKey, KeyReused, once
from spms.core.paging import Cursor, CursorInvalid, Limit, Page


@post("/clawbacks", status_code=201, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, NotPaidOut, Moved, KeyReused))  # fmt: skip
async def propose(
    data: ClawbackRequest,
    tx: Connection,
    actor: Actor,
    now: datetime,
    idempotency_key: IdempotencyKey = None,
) -> Clawback:
    """Propose to take a refund back, with the proof of the fraud; nothing moves by this."""

    async def work() -> Clawback:
        return await actions.propose(tx, data, actor=actor, now=now)

    return await once(tx, Clawback, idempotency_key, data, work, actor=actor, now=now)


@get("/clawbacks", status_code=200, guards=[only(Role.COMPLIANCE, Role.GATEWAY)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def clawbacks(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[Clawback]:
    """List what was proposed and what became of it; billing takes what was agreed."""
    masked = Role.GATEWAY not in actor.roles
    return await actions.list_page(read, actor=actor, cursor=after, limit=limit, masked=masked)


@post("/clawbacks/{clawback_id:uuid}/decision", status_code=200, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, SamePerson, Moved))  # fmt: skip
async def decide(
    clawback_id: UUID, data: ClawbackDecision, tx: Connection, actor: Actor, now: datetime
) -> Clawback:
    """Agree, and it is taken back, or decline; as another person than who proposed it."""
    return await actions.decide(
        tx, clawback_id, accept=data.accept, reason=data.reason, actor=actor, now=now
    )


HANDLERS: Final = (propose, clawbacks, decide)
