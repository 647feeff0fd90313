"""Refunds the charges that the audit found wrong: the difference, and the same again.

Runs as findings come. Natural keys make a second run harmless.
"""

from jobs.timetable import House
from spms.compensation import actions as compensation
from spms.core import db


async def pump(house: House) -> int:
    """Refund some findings."""
    async with db.transaction(house.pool) as tx:
        return await compensation.refund_findings(tx, now=house.clock.now())
