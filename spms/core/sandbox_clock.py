"""The sandbox's clock: it can be moved forward, so that a demonstration need not wait a month.

Served only in the sandbox. The offset is kept in the database; other processes on it follow
within a second.
"""

import asyncio
from datetime import timedelta

from spms.core import db
from spms.core.clock import MovableClock

FOLLOW_SECONDS = 1.0

OFFSET = "SELECT clock_offset_seconds FROM instance"
MOVE = """
    UPDATE instance SET clock_offset_seconds = clock_offset_seconds + $1
    RETURNING clock_offset_seconds
"""
SET = "UPDATE instance SET clock_offset_seconds = $1"


async def read_offset(read: db.Connection) -> timedelta:
    """Return how far the sandbox's clock is from the machine's."""
    return timedelta(seconds=await read.fetchval(OFFSET))


async def set_offset(tx: db.Connection, offset: timedelta) -> None:
    """Put the clock somewhere: at a first start into the past, after the city to the present."""
    await tx.execute(SET, int(offset.total_seconds()))


async def move(tx: db.Connection, seconds: int) -> timedelta:
    """Move the clock forward; return how far it is from the machine's now."""
    return timedelta(seconds=await tx.fetchval(MOVE, seconds))


async def follow(pool: db.Pool, clock: MovableClock) -> None:
    """Keep this process's clock at the offset the database holds, for as long as it runs."""
    while True:
        await asyncio.sleep(FOLLOW_SECONDS)
        try:
            async with db.acquired(pool) as read:
                clock.offset = await read_offset(read)
        except db.ANY_TROUBLE:
            continue  # the database is away; the clock goes on as it was
