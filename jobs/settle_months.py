"""Counts, draws, sends and locks settlements, one stage and one transaction at a time.

Killed anywhere, it has done a whole stage or nothing of it; the recovery point is in the same
transaction, so the next worker goes on from there.
"""

from jobs.timetable import House
from spms.core import db
from spms.core.access import job_actor
from spms.settlement import calendar


async def pump(house: House) -> int:
    """Do the next stage that is due."""
    async with db.transaction(house.pool) as tx:
        return await calendar.work(tx, actor=job_actor("settle_months"), now=house.clock.now())
