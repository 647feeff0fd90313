"""Works off approved mass corrections, chunk by chunk, and tells the people at the end.

A chunk is one transaction. A run that dies loses its chunk; the next goes on behind the cursor.
One core of the machine is left to others, also while a chunk waits for the disk at its COMMIT.
"""

import asyncio
import os
from typing import Final

from jobs.timetable import House
from spms.compensation import mass_correction
from spms.core import db
from spms.core.clock import Clock

AT_ONCE: Final = max(1, min(mass_correction.LANES - 1, (os.cpu_count() or 2) - 1))
"""Chunks worked on side by side: one core is left to whoever looks at a bill meanwhile."""
IN_A_ROW: Final = 8
"""Chunks that a worker does one after another before the job says what it did."""


async def pump(house: House) -> int:
    """Do some chunks of what is approved; tell people when nothing is left to refund."""
    return await refund_some(house.pool, house.clock) or await tell_some(house.pool, house.clock)


async def refund_some(pool: db.Pool, clock: Clock, *, at_once: int = AT_ONCE) -> int:
    """Do some chunks, so many side by side; return how much was done."""
    return sum(await asyncio.gather(*[_work(pool, clock) for _ in range(at_once)]))


async def tell_some(pool: db.Pool, clock: Clock) -> int:
    """Tell some people what came back; return how many were looked at."""
    async with db.transaction(pool) as tx:
        return await mass_correction.tell_chunk(tx, now=clock.now())


async def _work(pool: db.Pool, clock: Clock) -> int:
    done = 0
    for _ in range(IN_A_ROW):
        async with db.transaction(pool) as tx:
            more = await mass_correction.refund_chunk(tx, now=clock.now())
        if not more:
            break
        done += more
    return done
