"""HTTP: claims that need proof, and what billing must not count as arrears."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from litestar import get, post
from litestar.datastructures import State

from spms.compensation import verification as actions
from spms.compensation import verification_queries as queries
from spms.compensation import verification_shown as shown
from spms.compensation.claimants import claimant
from spms.compensation.reasons import ClaimReason
from spms.compensation.refusals import (
    AuditDecides,
    Moved,
    NumberMissing,
    OverRemaining,
    ReasonUnknown,
    SamePerson,
    VerifiedBefore,
)
from spms.compensation.rules import ClaimTooOld
from spms.compensation.verification_model import (
    DisputedFees,
    DisputedSearch,
    Objection,
    Preview,
    VerificationDecision,
    VerificationEntry,
    VerificationRequest,
)
from spms.core.access import Actor, ActorKind, Role, only
from spms.core.db import Connection
from spms.core.errors import NotAllowed, NotFound
from spms.core.http import refusals
from spms.core.paging import Cursor, CursorInvalid, Limit, Page, read_cursor, write_cursor
from spms.subscribers import looks
from spms.subscribers.looks import LooksUsedUp

OPENING = (
    NotFound, ReasonUnknown, ClaimTooOld, NumberMissing, AuditDecides, OverRemaining,
    VerifiedBefore, Moved, LooksUsedUp,
)  # fmt: skip
DECIDING = (NotFound, NotAllowed, SamePerson, Moved)


class After(NamedTuple):
    """Sort key of the feed."""

    msisdn: str


@get("/claim-reasons", status_code=200,
     guards=[only(Role.SUBSCRIBER, Role.AGENT, Role.SP, Role.COMPLIANCE)])  # fmt: skip
async def claim_reasons(read: Connection, now: datetime) -> list[ClaimReason]:
    """List the codes one may claim under now, in words, and who bears what of each."""
    return await shown.reasons(read, now=now)


@post("/claims/preview", status_code=200, guards=[only(Role.SUBSCRIBER, Role.AGENT)],
      responses=refusals(NotFound, ReasonUnknown, NumberMissing, LooksUsedUp))  # fmt: skip
async def preview(data: VerificationRequest, state: State, actor: Actor, now: datetime) -> Preview:
    """Tell what a claim would bring and who would bear it, without making it.

    An agent's is a look at the number.
    """
    msisdn, _ = claimant(actor, data.msisdn)
    async with looks.counted_first(
        state.pool, msisdn, reason=data.reason, actor=actor, now=now
    ) as tx:
        return await actions.preview(tx, data, msisdn=msisdn, actor=actor, now=now)


@post("/verifications", status_code=200, guards=[only(Role.SUBSCRIBER, Role.AGENT)],
      responses=refusals(*OPENING))  # fmt: skip
async def open_claim(
    data: VerificationRequest, state: State, actor: Actor, now: datetime
) -> VerificationEntry:
    """Claim with a cause that charge records cannot show: once back at once, the SP has its say.

    Claiming the same charge again answers with the first claim. An agent's is a look at the number.
    """
    msisdn, source = claimant(actor, data.msisdn)
    async with looks.counted_first(
        state.pool, msisdn, reason=data.reason, actor=actor, now=now
    ) as tx:
        row = await actions.open_claim(
            tx, data, msisdn=msisdn, source=source, actor=actor, now=now
        )  # fmt: skip
        return await shown.entry(tx, row, actor=actor)


@get("/verifications", status_code=200,
     guards=[only(Role.SP, Role.COMPLIANCE, Role.SUBSCRIBER)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def verifications(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[VerificationEntry]:
    """List claims that need proof, newest first: an SP its own, a subscriber hers, officers all."""
    sp_id = actor.sp_id if actor.kind is ActorKind.SP else None
    msisdn = actor.msisdn if actor.kind is ActorKind.SUBSCRIBER else None
    return await shown.list_page(
        read, sp_id=sp_id, msisdn=msisdn, actor=actor, cursor=after, limit=limit
    )


@post("/verifications/{verification_id:uuid}/approval", status_code=200,
      guards=[only(Role.COMPLIANCE)], responses=refusals(*DECIDING))  # fmt: skip
async def approve(
    verification_id: UUID, data: VerificationDecision, tx: Connection, actor: Actor, now: datetime
) -> VerificationEntry:
    """Let a claim above the limits be paid once, or decline it; not by who made it."""
    row = await actions.approve(
        tx, verification_id, accept=data.accept, reason=data.reason, actor=actor, now=now
    )
    return await shown.entry(tx, row, actor=actor)


@post("/verifications/{verification_id:uuid}/objection", status_code=200, guards=[only(Role.SP)],
      responses=refusals(NotFound, NotAllowed, Moved))  # fmt: skip
async def object_to(
    verification_id: UUID, data: Objection, tx: Connection, actor: Actor, now: datetime
) -> VerificationEntry:
    """Object with evidence; after the SP's time is up, silence has accepted."""
    row = await actions.object_to(tx, verification_id, data.evidence, actor=actor, now=now)
    return await shown.entry(tx, row, actor=actor)


@post("/verifications/{verification_id:uuid}/decision", status_code=200,
      guards=[only(Role.COMPLIANCE)], responses=refusals(*DECIDING))  # fmt: skip
async def decide(
    verification_id: UUID, data: VerificationDecision, tx: Connection, actor: Actor, now: datetime
) -> VerificationEntry:
    """Decide after an objection: the second multiple, or the first and no more."""
    row = await actions.decide(
        tx, verification_id, accept=data.accept, reason=data.reason, actor=actor, now=now
    )
    return await shown.entry(tx, row, actor=actor)


@post("/disputed-fees/search", status_code=200, guards=[only(Role.GATEWAY)])
async def search_disputed_fees(data: DisputedSearch, read: Connection) -> list[DisputedFees]:
    """Tell what of some numbers' bills is in dispute; those without anything are left out.

    Billing takes it off arrears before any reminder, late fee or suspension.
    """
    return await queries.disputed_fees(
        read, list(data.msisdns), after=None, limit=len(data.msisdns)
    )


@get("/disputed-fees", status_code=200, guards=[only(Role.GATEWAY)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def disputed_fees(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[DisputedFees]:
    """Give every number with something in dispute, page by page: the feed for billing."""
    last = await read_cursor(read, actor, "disputed-fees", after, After)
    rows = await queries.disputed_fees(
        read, None, after=last.msisdn if last else None, limit=limit + 1
    )
    cursor = None
    if len(rows) > limit:
        cursor = await write_cursor(read, actor, "disputed-fees", [rows[limit - 1].msisdn])
    return Page(items=rows[:limit], next=cursor)


HANDLERS: Final = (
    claim_reasons, preview, open_claim, verifications, approve, object_to, decide,
    search_disputed_fees, disputed_fees,
)  # fmt: skip
