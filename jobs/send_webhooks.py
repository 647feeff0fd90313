"""Posts events to SPs' webhook endpoints.

Runs as they are queued. An endpoint that fails is tried again after the rulebook's table; a crash
leaves a lease that ends, and the event is posted again.
"""

from jobs.timetable import House
from spms.partners.webhook_courier import pump_webhooks
from spms.partners.webhook_post import Poster
from spms.partners.webhook_routes import loopback


async def pump(house: House) -> int:
    """Post what is due."""
    here = loopback(house.settings)
    return await pump_webhooks(house.pool, house.clock, lambda: Poster(loopback=here))
