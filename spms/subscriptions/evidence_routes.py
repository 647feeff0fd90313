"""HTTP about what proves a relation: evidence packs, for whoever may see the relation."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.datastructures import State

from spms.core import audit, signing
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.evidence_routes import answered_json, answered_pdf
from spms.core.http import refusals
from spms.core.pack import seal
from spms.core.pack_sheet import render
from spms.subscribers import looks
from spms.subscribers.looks import LooksUsedUp
from spms.subscriptions.evidence_pack import content
from spms.subscriptions.evidence_sheet import sheet
from spms.subscriptions.routes import visible

PATH = "/subscriptions/{subscription_id:uuid}/evidence-pack"
Why = Annotated[str, msgspec.Meta(min_length=2, max_length=200, pattern=r"\S")]


class PackWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a pack is made: kept in the audit log."""

    reason: Why


async def _pack(
    tx: Connection, state: State, subscription_id: UUID, actor: Actor, now: datetime
) -> tuple[dict[str, Any], bytes]:
    current = await visible(tx, subscription_id, actor)
    await signing.publish(tx, state.signer, now=now)
    made = msgspec.to_builtins(await content(tx, current, actor=actor, now=now))
    return made, seal(made, state.signer)


async def _note(
    tx: Connection, subscription_id: UUID, reason: str, actor: Actor, now: datetime
) -> None:
    current = await visible(tx, subscription_id, actor)
    await looks.count(tx, current.msisdn, reason=reason, actor=actor, now=now)
    await audit.note(
        tx, "subscription.evidence_packed", "subscription", subscription_id, actor=actor, now=now,
        reason=reason,
    )  # fmt: skip


@get(f"{PATH}.json", guards=[only(Role.SUBSCRIBER, Role.SP)], responses=refusals(NotFound))
async def own_json(
    subscription_id: UUID, tx: Connection, state: State, actor: Actor, now: datetime
) -> Response[dict[str, Any]]:
    """Give one's own relation's signed evidence pack; `spms verify` checks it offline."""
    return answered_json((await _pack(tx, state, subscription_id, actor, now))[1])


@get(
    f"{PATH}.pdf", guards=[only(Role.SUBSCRIBER, Role.SP)], responses=refusals(NotFound),
    media_type="application/pdf",
)  # fmt: skip
async def own_pdf(
    subscription_id: UUID, tx: Connection, state: State, actor: Actor, now: datetime
) -> Response[bytes]:
    """Give one's own relation's signed evidence pack on paper, the JSON attached."""
    made, sealed = await _pack(tx, state, subscription_id, actor, now)
    return answered_pdf(render(sheet(made), sealed, state.signer))


@post(
    f"{PATH}.json", status_code=200, guards=[only(Role.AGENT, Role.COMPLIANCE)],
    responses=refusals(NotFound, LooksUsedUp),
)  # fmt: skip
async def staff_json(
    *,
    subscription_id: UUID, data: PackWanted, tx: Connection, state: State, actor: Actor,
    now: datetime,
) -> Response[dict[str, Any]]:  # fmt: skip
    """Make any relation's signed evidence pack with the number in it; who and why is recorded."""
    await _note(tx, subscription_id, data.reason, actor, now)
    return answered_json((await _pack(tx, state, subscription_id, actor, now))[1])


@post(
    f"{PATH}.pdf", status_code=200, guards=[only(Role.AGENT, Role.COMPLIANCE)],
    responses=refusals(NotFound, LooksUsedUp), media_type="application/pdf",
)  # fmt: skip
async def staff_pdf(
    *,
    subscription_id: UUID, data: PackWanted, tx: Connection, state: State, actor: Actor,
    now: datetime,
) -> Response[bytes]:  # fmt: skip
    """Make any relation's evidence pack on paper, the JSON attached; who and why is recorded."""
    await _note(tx, subscription_id, data.reason, actor, now)
    made, sealed = await _pack(tx, state, subscription_id, actor, now)
    return answered_pdf(render(sheet(made), sealed, state.signer))


router = Router(
    "/", route_handlers=[own_json, own_pdf, staff_json, staff_pdf], tags=["subscriptions"]
)
