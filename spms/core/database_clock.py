"""Reading the database's clock, so that all nodes tell one time.

An order is decided by instants: which came first, the yes or the TD? Nodes whose own clocks differ
would each be right about what they saw and wrong about what another did. So none of them is asked:
a process reads the database's clock when it starts and every few seconds, and of several readings
keeps the one that took the shortest way. It is wrong by half of that way at most.
"""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from spms.core import db
from spms.core.clock import STEP, DatabaseClock, steady_seconds

FOLLOW_SECONDS: Final = 5.0
READINGS: Final = 3
ERROR_SECONDS_MAX: Final = 0.25
"""A reading that may be wrong by more is no reading, where there was a better one before."""

READ = "SELECT clock_timestamp()"

log = structlog.get_logger()


async def read(connection: db.Connection, clock: DatabaseClock, *, first: bool = False) -> float:
    """Set a clock by the database's; return by how many seconds it may be wrong at most.

    Unless it is the `first`, a reading over a line that is slow just now is left alone.
    """
    readings = []
    for _ in range(READINGS):
        before = steady_seconds()
        at = await connection.fetchval(READ)
        after = steady_seconds()
        readings.append(((after - before) / 2, (before + after) / 2, at))
    error, read_at, at = min(readings)
    if first or error <= ERROR_SECONDS_MAX:
        step = clock.set(at, read_at)
        if not first and abs(step) > STEP:
            log.warning("clock_stepped", seconds=round(step / timedelta(seconds=1), 3))
    return error


async def follow(pool: db.Pool, clock: DatabaseClock) -> None:
    """Keep a clock by the database's, for as long as the process runs."""
    while True:
        await asyncio.sleep(FOLLOW_SECONDS)
        try:
            async with db.acquired(pool) as connection:
                await read(connection, clock)
        except db.ANY_TROUBLE:
            continue  # the database is away; the counter tells the time on
