"""Turns clocks of leavings through agents that ran out into notices of a breach.

Runs as clocks run out. One clock is one report, however often this runs; the SP may speak, and a
second person decides.
"""

from jobs.timetable import House
from spms.core import db
from spms.core.access import job_actor
from spms.penalties import actions as penalties


async def pump(house: House) -> int:
    """Follow some clocks."""
    async with db.transaction(house.pool) as tx:
        return await penalties.follow_leavings(
            tx, actor=job_actor("follow_leavings"), now=house.clock.now()
        )
