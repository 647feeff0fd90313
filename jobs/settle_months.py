"""Counts, draws, sends and locks settlements, one stage and one transaction at a time.

When there is no stage to do, it lists the numbers under the holds that reports placed, one by one.

Killed anywhere, it has done a whole stage or nothing of it; the recovery point is in the same
transaction, so the next worker goes on from there.
"""

from jobs.timetable import House
from spms.core import db
from spms.core.access import job_actor
from spms.settlement import calendar, held


async def pump(house: House) -> int:
    """Do the next stage that is due, or else list the numbers under one hold."""
    now = house.clock.now()
    async with db.transaction(house.pool) as tx:
        done = await calendar.work(tx, actor=job_actor("settle_months"), now=now)
    if done:
        return done
    async with db.transaction(house.pool) as tx:
        return await held.list_next(tx, now=now)
