"""Works off approved mass corrections, chunk by chunk, and tells the people at the end.

A chunk is one transaction. A run that dies loses its chunk; the next goes on behind the cursor.
"""

import asyncio
import os
from typing import Final

from jobs.timetable import House
from spms.compensation import mass_correction
from spms.core import db
from spms.core.clock import Clock

AT_ONCE: Final = max(1, min(mass_correction.LANES, (os.cpu_count() or 2) - 1))
"""Lanes worked side by side: one core is left to whoever looks at a bill meanwhile."""


async def pump(house: House) -> int:
    """Do a chunk in each of some lanes, side by side."""
    return await work_once(house.pool, house.clock)


async def work_once(pool: db.Pool, clock: Clock, *, at_once: int = AT_ONCE) -> int:
    """Do a chunk in each of some lanes; return how much was done."""
    return sum(await asyncio.gather(*[_chunk(pool, clock) for _ in range(at_once)]))


async def _chunk(pool: db.Pool, clock: Clock) -> int:
    async with db.transaction(pool) as tx:
        return await mass_correction.work_chunk(tx, now=clock.now())
