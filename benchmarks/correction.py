"""K: a mass correction, and what people who look at their bills notice of it.

Everything a correction does is measured: listing the charges, refunding and booking them. Bills are
read all the while (`benchmarks/bill_reader.py`), by the statement that the bill is made of.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg

from benchmarks.book import OFFICERS, START, opened
from benchmarks.figures import Figure, Ground
from jobs import correct_prices
from spms.compensation import mass_correction
from spms.compensation.accounts import Cause
from spms.compensation.mass_correction_model import CorrectionRequest, CorrectionState
from spms.core import db
from spms.core.clock import FixedClock
from tests import make

FIGURES = (
    Figure(
        id="K1", title="mass correction, five charges a number, bills being read",
        ours="charges/s", must=20_000, aim=30_000, seconds=3,
    ),
    Figure(
        id="K1one", title="the same, one charge a number", ours="charges/s", must=15_000,
        aim=25_000, seconds=8,
    ),
    Figure(
        id="K2", title="p99 of a bill's page while it runs beside idle", ours="ms", beside="ms idle",
        must=2, aim=1.2, at_most=True, seconds=2,
    ),
    Figure(
        id="K1all", title="as K1, with a worker for every core", ours="charges/s", must=20_000,
        aim=40_000, seconds=6,
    ),
    Figure(
        id="K2all", title="as K2, with a worker for every core", ours="ms", beside="ms idle",
        must=2, aim=1.2, at_most=True, seconds=3,
    ),
    Figure(
        id="K1m", title="as K1, 1,000,000 charges in one go (short: 20,000)", ours="charges/s",
        must=20_000, aim=30_000, once=True, seconds=3,
    ),
    Figure(
        id="K3", title="longest transaction of that run: how long anybody can wait for it", ours="s",
        must=5, aim=1, at_most=True, once=True,
    ),
)  # fmt: skip
CHARGES_AT_ONCE, CHARGES_AT_ONCE_SHORT = 1_000_000, 20_000
CHARGES, CHARGES_SHORT = 200_000, 5_000
"""In short mode as many as a worker takes at once, for each worker."""
IDLE_SECONDS, IDLE_SECONDS_SHORT = 8, 0.5
WRITTEN = "charge_record, charge_finding, number, claim, journal_entry, posting"
LOOK_EVERY = 0.05
# The worker's sessions are seen by another of the same role.
LONGEST = """
    SELECT COALESCE(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
      FROM pg_stat_activity
     WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
"""
PROGRESS = """
    SELECT COALESCE(sum(charges_done), 0)::bigint FROM mass_correction_lane
     WHERE correction_id = (SELECT max(id::text) FROM mass_correction)::uuid
"""
FILL = """
    WITH numbered AS (
        INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
        SELECT '86' || (13000000000 + n)::text, 1, 'active', $5, $5 FROM generate_series(1, $4) n
        ON CONFLICT DO NOTHING)
    INSERT INTO charge_record
        (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen, delivery,
         received_at, findings, due_fen, rulebook_version)
    SELECT '86' || (13000000000 + 1 + i % $4)::text, $1::timestamptz + i * interval '10 ms',
           gen_random_uuid(), $2, $3, i::text, 'monthly', 900, 'none', $1, '{over_cap}', 900, 1
      FROM generate_series(1, $6::int) i
"""


class Reader:
    """Another process that reads bills while told to (`benchmarks/bill_reader.py`)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take what `bill_reader` made."""
        self._process = process

    async def _ask(self, words: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{words}\n".encode())
        await self._process.stdin.drain()
        told = (await self._process.stdout.readline()).decode().strip()
        if not told:
            raise SystemExit("the bills were not read")
        return told

    @asynccontextmanager
    async def reading(self, numbers: int) -> AsyncIterator[list[float]]:
        """Let it read meanwhile; the list then holds the p99 in milliseconds."""
        await self._ask(f"read {numbers}")
        found: list[float] = []
        yield found
        found.append(float(await self._ask("stop")))


@asynccontextmanager
async def bill_reader(url: str) -> AsyncIterator[Reader]:
    """Start the reader, and end it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.bill_reader", url,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    try:
        yield Reader(process)
    finally:
        await process.communicate(b"")


async def prepare(
    pool: db.Pool, owner: asyncpg.Connection, charges: int, numbers: int
) -> CorrectionRequest:
    """Make an SP whose service was charged at a wrong price; return what is to be put right."""
    async with db.transaction(pool) as tx:
        sp_id = await make.sp(tx, START)
        service_id = await make.service(tx, START, sp_id)
    await owner.execute(
        FILL, START - timedelta(days=1), sp_id, service_id, numbers, START - timedelta(days=50),
        charges, timeout=600,
    )  # fmt: skip
    await owner.execute(f"VACUUM ANALYZE {WRITTEN}", timeout=600)
    return CorrectionRequest(
        service_id=service_id, wrong_fen=900, due_fen=800, from_at=START - timedelta(days=2),
        until_at=START, cause=Cause.NOT_AS_PUBLISHED, reason="benchmark", apology="抱歉。",
    )  # fmt: skip


async def correct(pool: db.Pool, wanted: CorrectionRequest, at_once: int) -> float:
    """Approve a correction and work it off as the job does, but for the messages; return seconds."""
    async with db.transaction(pool) as tx:
        row = await mass_correction.propose(tx, wanted, actor=OFFICERS[0], now=START)
        await mass_correction.decide(
            tx, row.id, accept=True, reason="benchmark", actor=OFFICERS[1], now=START
        )
    begun = time.perf_counter()
    while await correct_prices.refund_some(pool, FixedClock(START), at_once=at_once):
        pass
    seconds = time.perf_counter() - begun
    async with db.acquired(pool) as read:
        row = await mass_correction.get(read, row.id)
    if row.state is not CorrectionState.TELLING or row.refunded != row.charges:
        message = f"the correction is {row.state} with {row.refunded} of {row.charges} refunded"
        raise SystemExit(message)
    return seconds


async def sample(
    pool: db.Pool,
    owner: asyncpg.Connection,
    *,
    reader: Reader,
    charges: int,
    each: int,
    idle_seconds: float,
    at_once: int = correct_prices.AT_ONCE,
) -> tuple[float, float, float]:
    """Return charges a second, the p99 meanwhile, and the idle one before it (0: not asked for)."""
    numbers = charges // each
    wanted = await prepare(pool, owner, charges, numbers)
    idle = [0.0]
    if idle_seconds:
        async with reader.reading(numbers) as idle:
            await asyncio.sleep(idle_seconds)
    async with reader.reading(numbers) as busy:
        seconds = await correct(pool, wanted, at_once)
    return charges / seconds, busy[0], idle[0]


async def in_one_go(
    pool: db.Pool, owner: asyncpg.Connection, *, url: str, charges: int
) -> tuple[float, float, int]:
    """Correct many charges; return charges a second, the longest transaction, steps of progress."""
    wanted = await prepare(pool, owner, charges, charges // 5)
    longest, steps = 0.0, set[int]()
    working = asyncio.create_task(correct(pool, wanted, correct_prices.AT_ONCE))
    watching = await db.connect(url)
    try:
        while not working.done():
            longest = max(longest, await watching.fetchval(LONGEST))
            steps.add(await watching.fetchval(PROGRESS))
            await asyncio.sleep(LOOK_EVERY)
    finally:
        await watching.close()
    return charges / await working, longest, len(steps)


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Correct one service after another of one database."""
    if not wanted & {one.id for one in FIGURES}:
        return
    charges, idle_seconds = (
        (CHARGES_SHORT, IDLE_SECONDS_SHORT) if ground.short else (CHARGES, IDLE_SECONDS)
    )
    async with opened(ground) as (owner, pool, url), bill_reader(url) as reader:
        for rated, read, at_once in (
            ("K1", "K2", correct_prices.AT_ONCE),
            ("K1all", "K2all", os.cpu_count() or 2),
        ):
            for _ in ground.turns(rated, read) if wanted & {rated, read} else ():
                rate, busy, idle = await sample(
                    pool, owner, reader=reader, each=5,
                    charges=charges * min(at_once, 4) if ground.short else charges,
                    idle_seconds=idle_seconds if read in wanted else 0, at_once=at_once,
                )  # fmt: skip
                if rated in wanted:
                    ground.note(rated, rate)
                if read in wanted:
                    ground.note(read, busy, idle)
        for _ in ground.turns("K1one") if "K1one" in wanted else ():
            rate, _, _ = await sample(
                pool, owner, reader=reader, charges=charges, each=1,
                idle_seconds=0,
            )  # fmt: skip
            ground.note("K1one", rate)
        if wanted & {"K1m", "K3"}:
            rate, longest, steps = await in_one_go(
                pool,
                owner,
                url=url,
                charges=CHARGES_AT_ONCE_SHORT if ground.short else CHARGES_AT_ONCE,
            )
            ground.say(f"K1m: progress was seen at {steps} places")
            for one, found in (("K1m", rate), ("K3", longest)):
                if one in wanted:
                    ground.note(one, found)
