"""Sends receipts of charges that landed, spending reminders, and warnings of unusual bills.

Runs as they land, behind the landing. Each notice has a natural key, so a second run is harmless.
"""

from jobs.timetable import House
from spms.charging import notices
from spms.core import db


async def pump(house: House) -> int:
    """Tell about some batches."""
    async with db.transaction(house.pool) as tx:
        return await notices.tell(tx, now=house.clock.now())
