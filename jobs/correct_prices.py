"""Works off approved mass corrections, chunk by chunk, and tells the people at the end.

A chunk is one transaction. A run that dies loses its chunk; the next goes on behind the cursor.
"""

import asyncio
from typing import Final

from jobs.timetable import House
from spms.compensation import mass_correction
from spms.core import db
from spms.core.clock import Clock

AT_ONCE: Final = 2


async def pump(house: House) -> int:
    """Do a chunk in each of two lanes, side by side."""
    return await work_once(house.pool, house.clock)


async def work_once(pool: db.Pool, clock: Clock) -> int:
    """Do a chunk in each of some lanes, side by side; return how much was done."""
    return sum(await asyncio.gather(*[_chunk(pool, clock) for _ in range(AT_ONCE)]))


async def _chunk(pool: db.Pool, clock: Clock) -> int:
    async with db.transaction(pool) as tx:
        return await mass_correction.work_chunk(tx, now=clock.now())
