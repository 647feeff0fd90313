"""C1, C2, C3: a page of an itemised bill from a large month beside one from a small month; and B1m.

Each size has a database of its own with one business month (`benchmarks/bill_month.py`). C2 and the
open half of C3 are measured on that. Then the product's own job seals the month, part by part
(`sealing.seal_next`), and C1 and the sealed half of C3 are measured on the same rows. In between, while
the large month is open, charge files are ingested into it (B1m, `benchmarks/charge_pair.py`): what
`spms simulate --month` delivers for some of its numbers, which are given relations for that.

Databases can be kept: `--prepare NAME --rows N` makes one; `--on LARGE SMALL` measures two of them,
C2 and C3o if their months are open, C1 and C3 if they are sealed; `--seal NAME` seals a month, and
`--open NAME` puts its rows back into the order of arrival. SPMS_TEST_DATABASE_URL names the server.

What is timed is `bill.own_bill`, all that the room does for a page of twenty lines: cursor, lines,
findings, refunds, names, totals of the month. HTTP would add the same to both sides. Numbers are drawn
at random; a few pages of each side are asked for before one is counted. C3 counts the shared buffers
that the statement of the page touches (EXPLAIN ANALYZE, hit or read), everything in it included; the
totals are a statement of their own and are said beside it.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from benchmarks import city_ground
from benchmarks.bill_month import A_NUMBER, END, HOURS, MONTH, START, load, opened
from benchmarks.charge_pair import month_of, pairs
from benchmarks.figures import Figure, Ground
from benchmarks.settlement import named
from spms.charging import bill, bill_queries, sealing
from spms.charging.bill_model import BillFilter
from spms.core import db, roles
from spms.core.settings import Settings
from tests import make

FIGURES = (
    Figure(
        id="C1",
        title="p99 of a bill page of a sealed month, large month beside small",
        ours="ms, large",
        beside="ms, small",
        must=1.5,
        aim=1.1,
        at_most=True,
        seconds=8,
    ),
    Figure(
        id="C2",
        title="p99 of a bill page of an open month, large month beside small",
        ours="ms, large",
        beside="ms, small",
        must=3,
        aim=1.5,
        at_most=True,
        seconds=6,
    ),
    Figure(
        id="C3",
        title="buffers a page of 20 lines touches, sealed month, large (open: C3o)",
        ours="buffers, median over numbers",
        must=8,
        aim=6,
        at_most=True,
    ),
    Figure(
        id="C3o",
        title="buffers a page of 20 lines touches, open month, large",
        ours="buffers, median over numbers",
        must=20,
        aim=8,
        at_most=True,
    ),
    Figure(
        id="B1m",
        title="B1 into a month of 50,000,000 charges (short: 120,000)",
        ours="charges/s",
        beside="rows/s by COPY",
        must=0.25,
        aim=0.40,
        seconds=6,
    ),
)
SIZES, SIZES_SHORT = (50_000_000, 1_000_000), (120_000, 12_000)
"""Rows of the large and of the small month."""
PAGES, PAGES_SHORT = 2_000, 300
"""Pages of one sample: its p99 is the 20th or 3rd slowest."""
COUNTED, COUNTED_SHORT = 200, 100
"""Numbers whose page is counted: two in five have something wrong, and cost more."""
LINES, LINES_SHORT = 100_000, 7_000
"""Of a charge file of B1m: more than one portion, as in B1."""
LIMIT = 20
LATER = END + timedelta(days=5)
LAST_ID = UUID(int=2**128 - 1)
# What is in the month is not small money; here no cap is to be met.
NO_CAPS = """
    INSERT INTO rulebook (version, effective_from, rules, reason, created_at, created_by)
    SELECT version + 1, $1, rules || '{"cap": {"service_month_fen": 900000,
           "total_month_fen": 9000000}}', 'a month of any amount', $1, 'bench'
      FROM rulebook ORDER BY version DESC LIMIT 1
"""


HELD = "SELECT count(*) FROM charge_record"
BILLS = {"C1", "C2", "C3", "C3o"}


class Side(msgspec.Struct, kw_only=True):
    """One size: its database, and who may be asked for."""

    owner: asyncpg.Connection
    pool: db.Pool
    numbers: int


@asynccontextmanager
async def side(url: str, rows: int) -> AsyncIterator[Side]:
    """Open what a loaded size is measured through."""
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0")
    pool = await db.open_pool(roles.app_url(url), Settings(pool_size=3))
    try:
        yield Side(owner=owner, pool=pool, numbers=rows // A_NUMBER)
    finally:
        await pool.close()
        await owner.close()


async def p99(one: Side, pages: int, dice: random.Random) -> float:
    """Ask for pages of numbers at random; return the 99th percentile in ms."""
    took = []
    async with one.pool.acquire() as read:
        for n in range(pages + pages // 10):
            actor = make.subscriber_actor(number(one, dice))
            begun = time.perf_counter()
            page = await bill.own_bill(
                read, f"{MONTH:%Y-%m}", BillFilter(), actor=actor, cursor=None, limit=LIMIT
            )
            if n >= pages // 10:
                took.append(time.perf_counter() - begun)
            assert page.totals.lines >= len(page.items)
    return statistics.quantiles(took, n=100)[98] * 1000


def number(one: Side, dice: random.Random) -> str:
    """Draw a number."""
    return f"86139{dice.randrange(one.numbers):08d}"


async def buffers(
    one: Side, statement: str, last: tuple[Any, ...], dice: random.Random, *, count: int
) -> float:
    """Return the shared buffers a statement touches, the median over numbers."""
    found = []
    for _ in range(count):
        arguments = (number(one, dice), START, END, None, None, None, False, *last)
        for _ in range(2):  # the first one after a vacuum also reads what the planner asks for
            plan = json.loads(
                await one.owner.fetchval(
                    f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {statement}", *arguments
                )
            )[0]["Plan"]
        found.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
    return float(statistics.median(found))


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Load both sizes, measure open, ingest into the large one, seal, measure sealed."""
    sizes = SIZES_SHORT if ground.short else SIZES
    if not wanted & BILLS:
        sizes = sizes[:1]
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(ground.database()) for _ in sizes]
        for url, rows in zip(urls, sizes, strict=True):
            begun = time.perf_counter()
            await load(url, rows)
            ground.say(f"      {rows:,} charges made in {time.perf_counter() - begun:.0f} s")
        large, *small = [
            await stack.enter_async_context(side(url, rows))
            for url, rows in zip(urls, sizes, strict=True)
        ]
        if wanted & {"C2", "C3o"}:
            await _both(ground, wanted, large, *small, ratio="C2", touched="C3o")
        if "B1m" in wanted:
            await _ingest(ground, urls[0], large)
        if wanted & {"C1", "C3"}:
            for one in (large, *small):
                await seal(ground, one)
            await _both(ground, wanted, large, *small, ratio="C1", touched="C3")


async def _ingest(ground: Ground, url: str, large: Side) -> None:
    """Give numbers from all over the month relations, and take B1m.

    What it brings stays: at most three charges in a hundred more than there were.
    """
    lines = LINES_SHORT if ground.short else LINES
    apart = max(1, large.numbers // (ground.pairs * lines))
    month = month_of(ground.pairs, lines, began=START, apart=apart)
    parted = tuple(table for table in city_ground.PARTED if table != "charge_record")
    city = ground.directory / "b1m"
    await large.owner.execute(NO_CAPS, START - timedelta(days=100))
    await city_ground.fill(url, month, city, say=ground.say, lean=True, parted=parted)
    ground.say(f"B1m: {await large.owner.fetchval(HELD, timeout=HOURS):,} charges before")
    await pairs(ground, "B1m", url, month, city)


async def seal(ground: Ground, one: Side) -> None:
    """Seal the month as the job does, and let vacuum see it as it does in the night after."""
    begun, slowest = time.perf_counter(), 0.0
    while True:
        part = time.perf_counter()
        async with one.owner.transaction():
            if await sealing.seal_next(one.owner, now=LATER) is None:
                break
        slowest = max(slowest, time.perf_counter() - part)
    took = time.perf_counter() - begun
    ground.say(f"      sealed in {took:.0f} s, the slowest step {slowest:.0f} s")
    await one.owner.execute("VACUUM ANALYZE charge_record", timeout=HOURS)


async def _both(
    ground: Ground, wanted: frozenset[str], large: Side, small: Side, *, ratio: str, touched: str
) -> None:
    dice = random.Random(4)  # noqa: S311 - whose bill is looked at
    pages, count = (PAGES_SHORT, COUNTED_SHORT) if ground.short else (PAGES, COUNTED)
    for _ in ground.turns(ratio, touched):
        if ratio in wanted:
            ground.note(ratio, await p99(large, pages, dice), await p99(small, pages, dice))
        if touched in wanted:
            last = (END, LAST_ID, LIMIT)
            ground.note(touched, await buffers(large, bill_queries.LINES, last, dice, count=count))
    if touched in wanted:
        totals = await buffers(large, bill_queries.TOTALS, (), dice, count=count)
        ground.say(f"      the totals of the same month touch {totals:.0f} more")


async def again(ground: Ground, large: str, small: str) -> None:
    """Measure two databases that were prepared, both open or both sealed."""
    async with AsyncExitStack() as stack:
        sides = []
        for url in (large, small):
            owner = await db.connect(url)
            numbers = await owner.fetchval("SELECT count(*) FROM number WHERE msisdn ~ '^86139'")
            sealed = await owner.fetchval("SELECT EXISTS (SELECT FROM charge_month)")
            await owner.close()
            sides.append(await stack.enter_async_context(side(url, numbers * A_NUMBER)))
        ratio, touched = ("C1", "C3") if sealed else ("C2", "C3o")
        await _both(ground, frozenset({ratio, touched}), *sides, ratio=ratio, touched=touched)


async def run(url: str, told: argparse.Namespace) -> None:
    """Do what was asked for."""
    ground = Ground(url, short=False, pairs=told.pairs, say=print, directory=Path(gettempdir()))
    if told.prepare:
        admin = await asyncpg.connect(url)
        await admin.execute(f"CREATE DATABASE {told.prepare}")
        await admin.close()
        await load(named(url, told.prepare), told.rows)
    if told.seal:
        async with side(named(url, told.seal), 0) as one:
            await seal(ground, one)
    if told.open:
        await opened(named(url, told.open))
    if told.on:
        await again(ground, *(named(url, name) for name in told.on))
    for result in ground.results(FIGURES):
        span = f"({result.ratio_least:.3f} to {result.ratio_most:.3f})"
        print(f"{result.id:4} {result.ratio:8.3f} {span}")  # noqa: T201 - what it is for


def main() -> None:
    """Prepare, seal, open or measure databases that are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepare", metavar="NAME")
    parser.add_argument("--rows", type=int, default=SIZES[0])
    parser.add_argument("--seal", metavar="NAME")
    parser.add_argument("--open", metavar="NAME")
    parser.add_argument("--on", nargs=2, metavar=("LARGE", "SMALL"))
    parser.add_argument("--pairs", type=int, default=5)
    told = parser.parse_args()
    asyncio.run(run(os.environ["SPMS_TEST_DATABASE_URL"], told))


if __name__ == "__main__":
    main()
