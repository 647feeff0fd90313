"""Works off approved mass corrections, chunk by chunk, and tells the people at the end.

A chunk is one transaction. A run that dies loses its chunk; the next goes on behind the cursor.
While one chunk waits for the disk at its COMMIT, the next is begun in another lane: one core is kept
busy and no more than one.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from typing import Final

from jobs.timetable import House
from spms.compensation import mass_correction
from spms.core import db
from spms.core.clock import Clock

AT_ONCE: Final = max(1, min(mass_correction.LANES - 1, (os.cpu_count() or 2) - 1))
"""Chunks worked on side by side: one core is left to whoever looks at a bill meanwhile."""
IN_A_ROW: Final = 8
"""Chunks that a run does one after another, so that their COMMITs are not waited for."""


async def pump(house: House) -> int:
    """Do some chunks of what is approved; tell people when nothing is left to refund."""
    return await refund_some(house.pool, house.clock) or await tell_some(house.pool, house.clock)


async def refund_some(pool: db.Pool, clock: Clock, *, at_once: int = AT_ONCE) -> int:
    """Do some chunks, so many at once and one more at its COMMIT; return how much was done."""
    turn = asyncio.Semaphore(at_once)
    return sum(await asyncio.gather(*[_work(pool, clock, turn) for _ in range(at_once + 1)]))


async def tell_some(pool: db.Pool, clock: Clock) -> int:
    """Tell some people what came back; return how many were looked at."""
    async with db.transaction(pool) as tx:
        return await mass_correction.tell_chunk(tx, now=clock.now())


async def _work(pool: db.Pool, clock: Clock, turn: asyncio.Semaphore) -> int:
    done = 0
    for _ in range(IN_A_ROW):
        more = await _chunk(pool, clock, turn)
        if not more:
            break
        done += more
    return done


async def _chunk(pool: db.Pool, clock: Clock, turn: asyncio.Semaphore) -> int:
    async with AsyncExitStack() as committing, turn:
        tx = await committing.enter_async_context(db.transaction(pool))
        return await mass_correction.refund_chunk(tx, now=clock.now())
