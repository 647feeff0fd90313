"""HTTP: mass corrections, by two officers."""

from datetime import datetime
from typing import Final
from uuid import UUID

from litestar import get, post

from spms.compensation import mass_correction as actions
from spms.compensation.mass_correction_model import (
    Correction,
    CorrectionDecision,
    CorrectionRequest,
)
from spms.compensation.refusals import (
    CorrectionEmpty,
    Moved,
    RangeWrong,
    ReasonUnknown,
    RulesDiffer,
    SamePerson,
)
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page


@post("/mass-corrections", status_code=201, guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, RangeWrong, ReasonUnknown, RulesDiffer,
                         CorrectionEmpty))  # fmt: skip
async def propose(
    data: CorrectionRequest, tx: Connection, actor: Actor, now: datetime
) -> Correction:
    """Propose to put a wrong price right; the answer is the preview: people, fen, SP's balance."""
    return await actions.propose(tx, data, actor=actor, now=now)


@get("/mass-corrections", status_code=200, guards=[only(Role.COMPLIANCE)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def corrections(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[Correction]:
    """List mass corrections with their progress, newest first."""
    return await actions.list_page(read, actor=actor, cursor=after, limit=limit)


@get("/mass-corrections/{correction_id:uuid}", status_code=200, guards=[only(Role.COMPLIANCE)],
     responses=refusals(NotFound))  # fmt: skip
async def correction(correction_id: UUID, read: Connection) -> Correction:
    """Show one with its progress."""
    return await actions.get(read, correction_id)


@post("/mass-corrections/{correction_id:uuid}/decision", status_code=200,
      guards=[only(Role.COMPLIANCE)],
      responses=refusals(NotFound, SamePerson, Moved))  # fmt: skip
async def decide(
    correction_id: UUID, data: CorrectionDecision, tx: Connection, actor: Actor, now: datetime
) -> Correction:
    """Let it run or not, as another person than who proposed it."""
    return await actions.decide(
        tx, correction_id, accept=data.accept, reason=data.reason, actor=actor, now=now
    )


HANDLERS: Final = (propose, corrections, correction, decide)
