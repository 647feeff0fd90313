"""Lets relations follow their numbers: suspended, resumed, terminated, changed hands.

Runs as number events come. Authorisation and the audit read the number's own events, so nothing
is charged in between.
"""

from jobs.timetable import House
from spms.core import db
from spms.subscriptions import actions as subscriptions


async def pump(house: House) -> int:
    """Follow some events."""
    async with db.transaction(house.pool) as tx:
        return await subscriptions.follow_numbers(tx, now=house.clock.now())
