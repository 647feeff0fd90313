"""Writes what happened to relations into their SPs' feeds, and queues it for their webhooks.

Runs as it happens; one worker at a time, so that positions become visible in their order. A crash
rolls back, and the next run finds the same again.
"""

from jobs.timetable import House
from spms.core import db
from spms.partners import event_feed
from spms.subscriptions.telling import tell_untold


async def pump(house: House) -> int:
    """Tell some of what is untold."""
    async with db.transaction(house.pool) as tx:
        if not await event_feed.take_turn(tx):
            return 0
        await tell_untold(tx)
        return await event_feed.number(tx, now=house.clock.now())
