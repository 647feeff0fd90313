"""A process of its own that reads pages of bills, one number after another, when it is told to.

Bills are read by the API while a correction is worked off by a worker: two processes. Read in the
worker's own loop, a page would wait for the worker's Python, which no reader of a bill does.
Argument: database. A line `read N` on its input lets it read bills of N numbers (it says `ready`
first), the next line ends that, and it prints the p99 of a page in milliseconds.
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
"""Pages read before any is counted: what a connection meets for the first time is none of a busy
hour's."""
PERIOD = (START - timedelta(days=30), START + timedelta(days=1))


async def page(read: db.Connection, n: int, numbers: int) -> float:
    """Read a page; return the milliseconds."""
    begun = time.perf_counter()
    await bill_queries.lines(
        read, f"86{13000000001 + n * 7919 % numbers}", PERIOD, BillFilter(),
        before=(PERIOD[1], UUID(int=0)), limit=20,
    )  # fmt: skip
    return (time.perf_counter() - begun) * 1000


async def main(url: str) -> None:
    """Read when told, until told to stop."""
    loop = asyncio.get_running_loop()
    pool = await db.open_pool(url, Settings(pool_size=1))
    warm = False
    async with db.acquired(pool) as read:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            numbers = int(line.removeprefix("read "))
            for n in range(0 if warm else WARM):
                await page(read, n, numbers)
            warm = True
            print("ready", flush=True)  # noqa: T201 - whoever told it to waits for this
            told = loop.run_in_executor(None, sys.stdin.readline)
            took: list[float] = []
            while not told.done():
                took.append(await page(read, len(took), numbers))
                await asyncio.sleep(READ_EVERY)
            print(statistics.quantiles(took, n=100)[98], flush=True)  # noqa: T201 - the result
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
