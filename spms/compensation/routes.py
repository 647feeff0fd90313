"""HTTP: disputes by subscribers and agents, refunds on the bill, what SPs owe."""

from datetime import datetime
from functools import partial
from uuid import UUID

from litestar import Router, get, post
from litestar.datastructures import State

from spms.compensation import (
    actions,
    clawback_routes,
    mass_correction_routes,
    payout_routes,
    sp_booking_routes,
    verification_routes,
)
from spms.compensation.claimants import claimant
from spms.compensation.model import (
    Ageing,
    Claim,
    ClaimEntry,
    ClaimRequest,
    Receivable,
    Refund,
    RefundSearch,
)
from spms.compensation.receivable import ageing, deposit
from spms.compensation.refusals import NumberMissing
from spms.compensation.rules import ClaimTooOld, DisputedOften
from spms.core.access import Actor, ActorKind, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.http import refusals
from spms.core.once import IdempotencyKey, KeyReused, once
from spms.core.paging import Cursor, CursorInvalid, Limit, Page
from spms.partners import actions as partners
from spms.subscribers import looks
from spms.subscribers.looks import LooksUsedUp


@post(
    "/claims",
    status_code=200,
    guards=[only(Role.SUBSCRIBER, Role.AGENT)],
    responses=refusals(NotFound, ClaimTooOld, NumberMissing, KeyReused, DisputedOften, LooksUsedUp),
)
async def claim(
    data: ClaimRequest,
    state: State,
    actor: Actor,
    now: datetime,
    idempotency_key: IdempotencyKey = None,
) -> Claim:
    """Dispute a charge: refunded double at once when it was wrong, or shown to be right.

    A charge that was refunded before, by whatever entrance, answers with that first claim. An
    agent's is a look at the number.
    """
    msisdn, source = claimant(actor, data.msisdn)

    async def work(tx: Connection) -> Claim:
        return await actions.claim(
            tx,
            msisdn=msisdn,
            charge_id=data.charge_id,
            source=source,
            reason=data.reason,
            actor=actor,
            now=now,
        )

    async with looks.counted_first(
        state.pool, msisdn, reason=data.reason, actor=actor, now=now, key=idempotency_key
    ) as tx:
        return await once(tx, Claim, idempotency_key, data, partial(work, tx), actor=actor, now=now)


@get("/my/claims", status_code=200, guards=[only(Role.SUBSCRIBER)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def my_claims(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[Claim]:
    """List the signed-in subscriber's claims, newest first."""
    return await actions.claims_of_holder(read, actor=actor, cursor=after, limit=limit)


@get("/my/refunds", status_code=200, guards=[only(Role.SUBSCRIBER)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def my_refunds(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[Refund]:
    """List what the signed-in subscriber got back, newest first."""
    return await actions.refunds_of_holder(read, actor=actor, cursor=after, limit=limit)


@post("/refunds/search", status_code=200, guards=[only(Role.AGENT)],
      responses=refusals(CursorInvalid, LooksUsedUp))  # fmt: skip
async def search_refunds(
    data: RefundSearch,
    tx: Connection,
    actor: Actor,
    now: datetime,
    *,
    after: Cursor = None,
    limit: Limit = 50,
) -> Page[Refund]:
    """List what the holder of a number got back; the look-up and its reason are recorded."""
    return await actions.search_refunds(
        tx, data.msisdn, reason=data.reason, actor=actor, now=now, cursor=after, limit=limit
    )


@get("/claims", status_code=200, guards=[only(Role.SP, Role.COMPLIANCE)],
     responses=refusals(CursorInvalid))  # fmt: skip
async def claims(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[ClaimEntry]:
    """List claims, newest first: an SP those about its own charges, an officer all."""
    sp_id = actor.sp_id if actor.kind is ActorKind.SP else None
    return await actions.claims_of_sp(read, sp_id, actor=actor, cursor=after, limit=limit)


@get("/sps/{sp_id:uuid}/receivable", status_code=200, guards=[only(Role.SP, Role.COMPLIANCE)],
     responses=refusals(NotFound))  # fmt: skip
async def receivable(sp_id: UUID, read: Connection, actor: Actor, now: datetime) -> Receivable:
    """Tell what an SP owes for wrong charges and since when, in fen; an SP only its own."""
    if actor.kind is ActorKind.SP and actor.sp_id != sp_id:
        raise NotFound
    await partners.get(read, sp_id)
    return Receivable(
        sp_id=sp_id, receivable_fen=await actions.receivable(read, sp_id),
        deposit_fen=await deposit(read, sp_id),
        by_age=next(iter(await ageing(read, sp_id, now=now)), None),
    )  # fmt: skip


@get("/receivables", status_code=200, guards=[only(Role.COMPLIANCE)])
async def receivables(read: Connection, now: datetime) -> list[Ageing]:
    """Tell what each SP owes for wrong charges, by how long ago it was advanced, in fen."""
    return await ageing(read, None, now=now)


router = Router(
    "/",
    route_handlers=[
        claim, my_claims, my_refunds, search_refunds, claims, receivable, receivables,
        *verification_routes.HANDLERS, *mass_correction_routes.HANDLERS,
        *payout_routes.HANDLERS, *clawback_routes.HANDLERS, *sp_booking_routes.HANDLERS,
    ],
    tags=["compensation"],
)  # fmt: skip
