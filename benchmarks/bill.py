"""C1, C2, C3: a page of an itemised bill from a large month beside one from a small month.

Each size has a database of its own: one business month of charges, 25 for each number, in the order
of arrival (time, numbers at random), two in a hundred wrong and given back. C2 and the open half of
C3 are measured on that. Then the product's own job seals the month (`sealing.seal_months`), which
writes it in the order of bills, and C1 and the sealed half of C3 are measured on the same rows.

What is timed is `bill.own_bill`, all that the room does for a page of twenty lines: cursor, lines,
findings, refunds, names, totals of the month. HTTP would add the same to both sides. Numbers are drawn
at random; a few pages of each side are asked for before one is counted. C3 counts the shared buffers
that the statement of the page touches (EXPLAIN ANALYZE, hit or read), everything in it included; the
totals are a statement of their own and are said beside it.

The rows are made with one INSERT … SELECT a million, before the indexes are there, and without the
foreign keys of charges and claims: no statement measured here writes.
"""

import json
import random
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from benchmarks.figures import Figure, Ground
from spms.charging import bill, bill_queries, sealing
from spms.charging.bill_model import BillFilter
from spms.core import db, migrate, roles
from spms.core.clock import month_range
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
    ),
    Figure(
        id="C2",
        title="p99 of a bill page of an open month, large month beside small",
        ours="ms, large",
        beside="ms, small",
        must=3,
        aim=1.5,
        at_most=True,
    ),
    Figure(
        id="C3s",
        title="buffers a page of 20 lines touches, sealed month, large",
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
)
SIZES, SIZES_SHORT = (50_000_000, 1_000_000), (200_000, 20_000)
"""Rows of the large and of the small month."""
PAGES, PAGES_SHORT = 2_000, 300
"""Pages of one sample: its p99 is the 20th or 3rd slowest."""
COUNTED, COUNTED_SHORT = 200, 100
"""Numbers whose page is counted: two in five have something wrong, and cost more."""
A_NUMBER = 25
"""Charges of a number in a month, on average."""
LIMIT = 20
SPS, SERVICES = 30, 10
MONTH = date(2026, 2, 1)
START, END = month_range(MONTH)
LATER = END + timedelta(days=5)
PIECE = 1_000_000
LAST_ID = UUID(int=2**128 - 1)

NUMBERS = """
    INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
    SELECT '86139' || lpad(n::text, 8, '0'), 1, 'active', $2, $2 FROM generate_series(0, $1 - 1) n
"""
# In the order of arrival: time goes on, the numbers are any. Ids rise with time, as ours do.
CHARGES = """
    INSERT INTO charge_record
        (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen, delivery,
         received_at, consent_id, authorisation_id, findings, due_fen, rulebook_version)
    SELECT '86139' || lpad(floor(random() * $1)::text, 8, '0'), g.at,
           (lpad(to_hex((extract(epoch FROM g.at) * 1000)::bigint), 12, '0')
            || substr(md5(g.i::text), 1, 20))::uuid,
           s.sp_id, s.id, 'r' || g.i, s.kind, 100 + g.i % 9 * 100, 'none',
           g.at + interval '2 hours', md5(g.i || 'c')::uuid, md5(g.i || 'a')::uuid,
           CASE WHEN g.i % 50 = 0 THEN '{over_cap}'::text[] ELSE '{}' END,
           CASE WHEN g.i % 50 = 0 THEN 0 ELSE 100 + g.i % 9 * 100 END, 1
      FROM (SELECT i, $2::timestamptz + i * ($3::interval / $4::float8) AS at,
                   1 + (hashint8(i) & 2147483647) % (SELECT count(*) FROM service) AS nth
              FROM generate_series($5::bigint, $6::bigint) i) g
      JOIN (SELECT id, sp_id, kind, row_number() OVER (ORDER BY id) AS nth FROM service) s
           USING (nth)
"""
FINDINGS = """
    INSERT INTO charge_finding (msisdn, charge_id, charged_at, kind, due_fen, found_at, found_by)
    SELECT msisdn, id, charged_at, 'over_cap', 0, received_at, 'audit' FROM charge_record
     WHERE findings <> '{}'
"""
CLAIMS = """
    INSERT INTO claim (msisdn, id, charge_id, charged_at, sp_id, source, reason, state, charged_fen,
                       due_fen, round, opened_at, opened_by)
    SELECT msisdn, id, id, charged_at, sp_id, 'audit', 'over_cap', 'refunded', price_fen, 0, 1,
           received_at + interval '1 day', 'job' FROM charge_record WHERE findings <> '{}'
"""
REFUNDS = """
    INSERT INTO refund (msisdn, charge_id, kind, round, claim_id, sp_id, amount_fen, at, bearer)
    SELECT msisdn, id, kind, 1, id, sp_id, price_fen, received_at + interval '1 day', 'sp'
      FROM (SELECT msisdn, id, sp_id, price_fen, received_at FROM charge_record
             WHERE findings <> '{}') c
     CROSS JOIN (VALUES ('principal'), ('compensation')) AS k (kind)
"""
# Where what a claim pays is kept in the claim itself, `refund` is a view of it.
PAYING_CLAIMS = """
    INSERT INTO claim (msisdn, id, charge_id, charged_at, sp_id, source, reason, state, charged_fen,
                       due_fen, round, opened_at, opened_by, bearer, principal_fen,
                       compensation_fen, principal_so_far_fen, compensation_so_far_fen,
                       honoured_due_fen)
    SELECT msisdn, id, id, charged_at, sp_id, 'audit', 'over_cap', 'refunded', price_fen, 0, 1,
           received_at + interval '1 day', 'job', 'sp', price_fen, price_fen, price_fen, price_fen, 0
      FROM charge_record WHERE findings <> '{}'
"""
IS_VIEW = "SELECT relkind = 'v' FROM pg_class WHERE oid = 'refund'::regclass"
KEYS = """
    SELECT conrelid::regclass::text AS of_table, conname AS name FROM pg_constraint
     WHERE contype = 'f' AND conparentid = 0
       AND ('charge_record'::regclass IN (conrelid, confrelid)
            OR conrelid IN ('refund'::regclass, 'claim'::regclass))
"""
INDEXES = """
    SELECT i.indexrelid::regclass::text AS name, k.conname AS of_constraint,
           pg_get_constraintdef(k.oid) AS key,
           replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') AS definition
      FROM pg_index i LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'p'
     WHERE i.indrelid = 'charge_record'::regclass
     ORDER BY k.conname NULLS LAST, 1
"""


class Side(msgspec.Struct, kw_only=True):
    """One size: its database, and who may be asked for."""

    owner: asyncpg.Connection
    pool: db.Pool
    numbers: int


async def load(url: str, rows: int) -> None:
    """Make one month of charges in an empty database."""
    owner = await db.connect(url)
    try:
        await roles.ensure_group(owner)
        await roles.make_login(owner, url)
        await migrate.migrate(owner)
        await owner.execute("SET statement_timeout = 0; SET synchronous_commit = off")
        await owner.execute("SET maintenance_work_mem = '512MB'")
        await owner.execute("SELECT make_month_partition('charge_record', $1)", MONTH)
        for _ in range(SPS):
            sp_id = await make.sp(owner, START)
            for _ in range(SERVICES):
                await make.service(owner, START, sp_id)
        await _fill(owner, rows)
    finally:
        await owner.close()


async def _fill(owner: asyncpg.Connection, rows: int) -> None:
    hours = 3600 * 6
    for key in await owner.fetch(KEYS):
        await owner.execute(f"ALTER TABLE {key['of_table']} DROP CONSTRAINT {key['name']}")
    indexes = await owner.fetch(INDEXES)
    for index in indexes:
        await owner.execute(
            f"ALTER TABLE charge_record DROP CONSTRAINT {index['of_constraint']}"
            if index["of_constraint"]
            else f"DROP INDEX {index['name']}"
        )
    numbers = rows // A_NUMBER
    await owner.execute(NUMBERS, numbers, START - timedelta(days=400), timeout=hours)
    await owner.execute("SELECT setseed(0.5)")
    for first in range(0, rows, PIECE):
        last = min(first + PIECE, rows) - 1
        await owner.execute(
            CHARGES, numbers, START, END - START, float(rows), first, last, timeout=hours
        )
    for index in indexes:
        await owner.execute(
            f"ALTER TABLE charge_record ADD CONSTRAINT {index['of_constraint']} {index['key']}"
            if index["of_constraint"]
            else index["definition"],
            timeout=hours,
        )
    await owner.execute(FINDINGS, timeout=hours)
    if await owner.fetchval(IS_VIEW):
        await owner.execute(PAYING_CLAIMS, timeout=hours)
    else:
        await owner.execute(CLAIMS, timeout=hours)
        await owner.execute(REFUNDS, timeout=hours)
    await owner.execute("VACUUM ANALYZE", timeout=hours)


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
    return statistics.median(found)


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Load both sizes, measure open, seal, measure sealed."""
    sizes = SIZES_SHORT if ground.short else SIZES
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(ground.database()) for _ in sizes]
        for url, rows in zip(urls, sizes, strict=True):
            begun = time.perf_counter()
            await load(url, rows)
            ground.say(f"      {rows:,} charges made in {time.perf_counter() - begun:.0f} s")
        large, small = [
            await stack.enter_async_context(side(url, rows))
            for url, rows in zip(urls, sizes, strict=True)
        ]
        await _both(ground, wanted, large, small, ratio="C2", touched="C3o")
        if wanted & {"C1", "C3s"}:
            for one in (large, small):
                await seal(ground, one)
            await _both(ground, wanted, large, small, ratio="C1", touched="C3s")


async def seal(ground: Ground, one: Side) -> None:
    """Seal the month as the job does, and let vacuum see it as it does in the night after."""
    begun = time.perf_counter()
    async with one.owner.transaction():
        sealed = await sealing.seal_months(one.owner, now=LATER)
    assert sealed == [MONTH]
    ground.say(f"      sealed in {time.perf_counter() - begun:.0f} s")
    await one.owner.execute("VACUUM ANALYZE charge_record", timeout=3600)


async def _both(
    ground: Ground, wanted: frozenset[str], large: Side, small: Side, *, ratio: str, touched: str
) -> None:
    dice = random.Random(4)  # noqa: S311 - whose bill is looked at
    pages, count = (PAGES_SHORT, COUNTED_SHORT) if ground.short else (PAGES, COUNTED)
    for _ in range(ground.pairs):
        if ratio in wanted:
            ground.note(ratio, await p99(large, pages, dice), await p99(small, pages, dice))
        if touched in wanted:
            last = (END, LAST_ID, LIMIT)
            ground.note(touched, await buffers(large, bill_queries.LINES, last, dice, count=count))
    if touched in wanted:
        totals = await buffers(large, bill_queries.TOTALS, (), dice, count=count)
        ground.say(f"      the totals of the same month touch {totals:.0f} more")
