"""HTTP about what proves a charge, or proves it wrong: evidence packs."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.datastructures import State

from spms.charging import bill
from spms.charging.evidence_pack import content
from spms.charging.evidence_sheet import sheet
from spms.core import audit, signing
from spms.core.access import Actor, Role, only
from spms.core.db import Connection
from spms.core.errors import Forbidden, NotFound
from spms.core.evidence_routes import answered_json, answered_pdf
from spms.core.http import refusals
from spms.core.pack import seal
from spms.core.pack_sheet import render
from spms.subscribers.looks import LooksUsedUp

PATH = "/charge-records/{charge_id:uuid}/evidence-pack"
Why = Annotated[str, msgspec.Meta(min_length=2, max_length=200, pattern=r"\S")]


class ChargePackWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a pack is made: kept in the audit log."""

    reason: Why


async def _pack(
    tx: Connection, state: State, charge_id: UUID, actor: Actor, now: datetime
) -> tuple[dict[str, Any], bytes]:
    await signing.publish(tx, state.signer, now=now)
    made = msgspec.to_builtins(await content(tx, charge_id, actor=actor, now=now))
    return made, seal(made, state.signer)


async def _note(tx: Connection, charge_id: UUID, reason: str, actor: Actor, now: datetime) -> None:
    await audit.note(
        tx, "charge.evidence_packed", "charge", charge_id, actor=actor, now=now,
        reason=reason,
    )  # fmt: skip


@get(
    f"{PATH}.json", guards=[only(Role.SUBSCRIBER, Role.SP)], responses=refusals(NotFound, Forbidden)
)
async def own_json(
    charge_id: UUID, tx: Connection, state: State, actor: Actor, now: datetime
) -> Response[dict[str, Any]]:
    """Give one's own charge's signed evidence pack; `spms verify` checks it offline."""
    return answered_json((await _pack(tx, state, charge_id, actor, now))[1])


@get(
    f"{PATH}.pdf", guards=[only(Role.SUBSCRIBER, Role.SP)], responses=refusals(NotFound, Forbidden),
    media_type="application/pdf",
)  # fmt: skip
async def own_pdf(
    charge_id: UUID, tx: Connection, state: State, actor: Actor, now: datetime
) -> Response[bytes]:
    """Give one's own charge's signed evidence pack on paper, the JSON attached."""
    made, sealed = await _pack(tx, state, charge_id, actor, now)
    return answered_pdf(render(sheet(made), sealed, state.signer))


@post(
    f"{PATH}.json", status_code=200, guards=[only(Role.AGENT, Role.COMPLIANCE)],
    responses=refusals(NotFound, LooksUsedUp),
)  # fmt: skip
async def staff_json(
    *,
    charge_id: UUID, data: ChargePackWanted, tx: Connection, state: State, actor: Actor,
    now: datetime,
) -> Response[dict[str, Any]]:  # fmt: skip
    """Make any charge's signed evidence pack with the number in it; who and why is recorded."""
    await bill.count_look(tx, charge_id, reason=data.reason, actor=actor, now=now)
    await _note(tx, charge_id, data.reason, actor, now)
    return answered_json((await _pack(tx, state, charge_id, actor, now))[1])


@post(
    f"{PATH}.pdf", status_code=200, guards=[only(Role.AGENT, Role.COMPLIANCE)],
    responses=refusals(NotFound, LooksUsedUp), media_type="application/pdf",
)  # fmt: skip
async def staff_pdf(
    *,
    charge_id: UUID, data: ChargePackWanted, tx: Connection, state: State, actor: Actor,
    now: datetime,
) -> Response[bytes]:  # fmt: skip
    """Make any charge's evidence pack on paper, the JSON attached; who and why is recorded."""
    await bill.count_look(tx, charge_id, reason=data.reason, actor=actor, now=now)
    await _note(tx, charge_id, data.reason, actor, now)
    made, sealed = await _pack(tx, state, charge_id, actor, now)
    return answered_pdf(render(sheet(made), sealed, state.signer))


router = Router("/", route_handlers=[own_json, own_pdf, staff_json, staff_pdf], tags=["charging"])
