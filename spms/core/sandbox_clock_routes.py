"""How the sandbox's clock is read and moved over HTTP."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.datastructures import State

from spms.core import audit, db, sandbox_clock
from spms.core.access import Actor, Role, only
from spms.core.clock import MovableClock

FORWARD_SECONDS_MAX = 86_400


class Forward(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far to move the clock."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=FORWARD_SECONDS_MAX)]


class ClockFace(msgspec.Struct, frozen=True, kw_only=True):
    """What the sandbox's clock shows."""

    now: datetime
    offset_seconds: int
    """How far it is from the machine's clock."""


@get("/sandbox/clock")
async def show(read: db.Connection, state: State) -> ClockFace:
    """Tell what the sandbox's clock shows."""
    offset = await sandbox_clock.read_offset(read)
    return ClockFace(now=state.clock.now(), offset_seconds=int(offset.total_seconds()))


@post("/sandbox/clock/forward", status_code=200, guards=[only(Role.ADMIN)])
async def forward(data: Forward, state: State, actor: Actor, now: datetime) -> ClockFace:
    """Move the sandbox's clock forward by at most a day."""
    async with db.transaction(state.pool) as tx:
        offset = await sandbox_clock.move(tx, data.seconds)
        await audit.note(tx, "clock moved", "instance", "clock", actor=actor, now=now)
    if isinstance(state.clock, MovableClock):
        state.clock.offset = offset
    return ClockFace(now=state.clock.now(), offset_seconds=int(offset.total_seconds()))


router = Router("/", route_handlers=[show, forward], tags=["sandbox"])
