"""The sandbox's clock: it can be moved forward, so that a demonstration need not wait a month.

Served only in the sandbox. The offset is kept in the database; other processes on it follow
within a second.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated

import asyncpg
import msgspec
from litestar import Router, get, post
from litestar.datastructures import State

from spms.core import audit, db
from spms.core.access import Actor, Role, only
from spms.core.clock import MovableClock

FORWARD_SECONDS_MAX = 86_400
FOLLOW_SECONDS = 1.0

OFFSET = "SELECT clock_offset_seconds FROM instance"
MOVE = """
    UPDATE instance SET clock_offset_seconds = clock_offset_seconds + $1
    RETURNING clock_offset_seconds
"""
SET = "UPDATE instance SET clock_offset_seconds = $1"


class Forward(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far to move the clock."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=FORWARD_SECONDS_MAX)]


class ClockFace(msgspec.Struct, frozen=True, kw_only=True):
    """What the sandbox's clock shows."""

    now: datetime
    offset_seconds: int
    """How far it is from the machine's clock."""


async def read_offset(read: db.Connection) -> timedelta:
    """Return how far the sandbox's clock is from the machine's."""
    return timedelta(seconds=await read.fetchval(OFFSET))


async def set_offset(tx: db.Connection, offset: timedelta) -> None:
    """Put the clock somewhere: at a first start into the past, after the city to the present."""
    await tx.execute(SET, int(offset.total_seconds()))


async def follow(pool: db.Pool, clock: MovableClock) -> None:
    """Keep this process's clock at the offset the database holds, for as long as it runs."""
    while True:
        await asyncio.sleep(FOLLOW_SECONDS)
        try:
            async with db.acquired(pool) as read:
                clock.offset = await read_offset(read)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            continue  # the database is away; the clock goes on as it was


@get("/sandbox/clock")
async def show(read: db.Connection, state: State) -> ClockFace:
    """Tell what the sandbox's clock shows."""
    offset = await read_offset(read)
    return ClockFace(now=state.clock.now(), offset_seconds=int(offset.total_seconds()))


@post("/sandbox/clock/forward", status_code=200, guards=[only(Role.ADMIN)])
async def forward(data: Forward, state: State, actor: Actor, now: datetime) -> ClockFace:
    """Move the sandbox's clock forward by at most a day."""
    async with db.transaction(state.pool) as tx:
        offset = await tx.fetchval(MOVE, data.seconds)
        await audit.note(tx, "clock moved", "instance", "clock", actor=actor, now=now)
    if isinstance(state.clock, MovableClock):
        state.clock.offset = timedelta(seconds=offset)
    return ClockFace(now=state.clock.now(), offset_seconds=offset)


router = Router("/", route_handlers=[show, forward], tags=["sandbox"])
