"""A process of its own that reads pages of bills, one number after another, until its input ends.

Bills are read by the API while a correction is worked off by a worker: two processes. Read in the
worker's own loop, a page would wait for the worker's Python, which no reader of a bill does.
Arguments: database, how many numbers. Prints the p99 of a page in milliseconds.
"""

import asyncio
import statistics
import sys
import time
from datetime import timedelta
from uuid import UUID

from benchmarks.book import START
from spms.charging import bill_queries
from spms.charging.bill_model import BillFilter
from spms.core import db
from spms.core.settings import Settings

READ_EVERY = 0.002
WARM = 200
"""Pages read before counting: what a connection meets for the first time is none of a busy hour's."""


async def main(url: str, numbers: int) -> None:
    """Read until told to stop."""
    period = (START - timedelta(days=30), START + timedelta(days=1))
    told = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    took = []
    pool = await db.open_pool(url, Settings(pool_size=1))
    try:
        async with db.acquired(pool) as read:
            while not told.done():
                place = len(took) * 7919 % numbers
                begun = time.perf_counter()
                await bill_queries.lines(
                    read, f"86{13000000001 + place}", period, BillFilter(),
                    before=(period[1], UUID(int=0)), limit=20,
                )  # fmt: skip
                took.append((time.perf_counter() - begun) * 1000)
                await asyncio.sleep(READ_EVERY)
    finally:
        await pool.close()
    print(statistics.quantiles(took[WARM:], n=100)[98])  # noqa: T201 - the result


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
