"""Works off approved mass corrections, chunk by chunk, and tells the people at the end.

A chunk is one transaction. A run that dies loses its chunk; the next goes on behind the cursor.
"""

from jobs.timetable import House
from spms.compensation import mass_correction
from spms.core import db


async def pump(house: House) -> int:
    """Do one chunk."""
    async with db.transaction(house.pool) as tx:
        return await mass_correction.work_chunk(tx, now=house.clock.now())
