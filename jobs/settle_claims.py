"""Pays the second multiple where an SP let its time to object pass.

The rows' states decide, so any number of workers may run it, and a run that dies left nothing.
"""

from jobs.timetable import House
from spms.compensation import verification
from spms.core import db


async def pump(house: House) -> int:
    """Settle some."""
    async with db.transaction(house.pool) as tx:
        return await verification.settle_silent(tx, now=house.clock.now())
