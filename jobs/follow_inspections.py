"""Turns verdicts of spot checks into breaches, points and measures.

Runs as verdicts come. One verdict is one breach, however often this runs.
"""

from jobs.timetable import House
from spms.core import db
from spms.core.access import job_actor
from spms.penalties import actions as penalties


async def pump(house: House) -> int:
    """Follow some verdicts."""
    async with db.transaction(house.pool) as tx:
        return await penalties.follow_inspections(
            tx, actor=job_actor("follow_inspections"), now=house.clock.now()
        )
