"""Sends what is due to webhooks once, in a process of its own: it is there to be killed."""

import asyncio
import os
import sys
from datetime import datetime

from spms.core import db
from spms.core.clock import FixedClock
from spms.core.settings import Settings
from spms.partners.webhook_courier import pump_webhooks
from spms.partners.webhook_post import Poster


async def main(at: str) -> None:
    pool = await db.open_pool(os.environ["SENDER_DATABASE_URL"], Settings())
    clock = FixedClock(datetime.fromisoformat(at))
    async with asyncio.timeout(120):
        await pump_webhooks(pool, clock, lambda: Poster(loopback=True))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
