"""Carries queued SMS to the network over the link.

Runs as they are queued. While the network is away they wait; a crash leaves a lease that ends.
"""

from jobs.timetable import House
from spms.messaging.courier import pump_out


async def pump(house: House) -> int:
    """Send what is due."""
    return await pump_out(house.pool, house.link, house.clock)
