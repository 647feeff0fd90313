"""T1 and T2: what settling a month costs, beside one sequential scan of the same charges.

In the registry (`spms bench --only T1,T2`), and by itself for ten million charges:

    SPMS_TEST_DATABASE_URL=postgresql://owner:secret@127.0.0.1/postgres \
        python -m benchmarks.settlement --charges 10000000 --sps 300

Works on a database of its own, which it drops; `--prepare NAME` makes one and keeps it, `--on NAME`
measures on it. Prints one line a figure, and JSON with `--json`. `killed_equal` is 1 when a second
run, whose connection is killed before the COMMIT of every piece of work, ends byte for byte alike.
`month_to_scan` is the whole month (every count, the three reports, all statements) over one
sequential scan that sums the charges by SP and number, as the reports do; `counts_to_scan` leaves
the reports out and compares with a scan that sums by SP alone.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import resource
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg

from benchmarks.charge_pair import cites_aside
from benchmarks.figures import Figure, Ground
from spms.core import db, migrate, roles
from spms.core.access import job_actor
from spms.core.settings import Settings
from spms.settlement import calendar
from tests import make

FIGURES = (
    Figure(
        id="T1", title="settling a month of 300 SPs beside one scan that sums by SP and number",
        ours="s", beside="s of the scan", must=3, aim=2, at_most=True, seconds=3,
    ),
    Figure(
        id="T2", title="the month again, its connection killed before each COMMIT: byte-equal",
        ours="1 is equal", must=1, aim=1, seconds=3,
    ),
)  # fmt: skip
SPS, SPS_SHORT = 300, 60
CHARGES, CHARGES_SHORT = 10_000_000, 90_000
"""Drawing 300 statements costs the same for any number of charges: in short mode T1 is far from its
full value, and shows only whether it changes."""
START = datetime(2026, 1, 1, 4, tzinfo=UTC)
JOB = job_actor("benchmark")
NUMBERS = """
    INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
    SELECT '86139' || lpad(n::text, 8, '0'), 1, 'active', $2, $2 FROM generate_series(0, $1 - 1) n
"""
BARRED = """
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                              state_after, epoch_after)
    SELECT msisdn, gen_random_uuid(), k.kind, k.reason, $1, $1, 'benchmark', k.state, 1
      FROM number
      CROSS JOIN LATERAL (VALUES
           (CASE WHEN hashtext(msisdn) % 50 = 0 THEN 'suspended' ELSE 'activated' END,
            CASE WHEN hashtext(msisdn) % 50 = 0 THEN 'arrears' ELSE 'opened' END,
            CASE WHEN hashtext(msisdn) % 50 = 0 THEN 'suspended' ELSE 'active' END)
      ) AS k (kind, reason, state)
"""
# As files land: in the order of time, many SPs side by side.
CHARGES = """
    INSERT INTO charge_record
        (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen, delivery,
         received_at, findings, due_fen, rulebook_version)
    SELECT '86139' || lpad((i * 7919 % $4::bigint)::text, 8, '0'), $3::timestamptz + i * $6::interval,
           gen_random_uuid(), s.sp_id, s.service_id, i::text,
           CASE WHEN i % 5 = 0 THEN 'on_demand' ELSE 'monthly' END, 100 + i % 9 * 100, 'none',
           $3::timestamptz + i * $6::interval, '{over_cap}', 100, 1
      FROM generate_series($5::bigint, $7::bigint) i
      JOIN unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS s (sp_id, service_id, n)
        ON s.n = 1 + i % cardinality($1::uuid[])
"""
SCAN = """
    SELECT count(*), sum(fen) FROM (
        SELECT sp_id, msisdn, count(*) AS charges, sum(price_fen) AS fen
          FROM charge_record WHERE charged_at >= $1 AND charged_at < $2 AND received_at < $3
         GROUP BY sp_id, msisdn) by_number
"""
SCAN_BY_SP = """
    SELECT sp_id, count(*), sum(price_fen) FROM charge_record
     WHERE charged_at >= $1 AND charged_at < $2 AND received_at < $3 GROUP BY sp_id
"""
BATCH = 500_000


async def fill(owner: asyncpg.Connection, sps: int, charges: int, numbers: int) -> None:
    """Make SPs that sell, numbers, one in fifty of them barred, and a month of charges."""
    ids: list[tuple[UUID, UUID]] = []
    for _ in range(sps):
        sp_id = await make.sp(owner, START, activated_at=START - timedelta(days=400))
        ids.append((sp_id, await make.service(owner, START, sp_id)))
    # Nobody asks whether these numbers may be charged; settling reads the events themselves.
    await owner.execute("ALTER TABLE number_event DISABLE TRIGGER USER")
    await owner.execute(NUMBERS, numbers, START)
    await owner.execute(BARRED, START + timedelta(days=20))
    await owner.execute("ALTER TABLE number_event ENABLE TRIGGER USER")
    step = timedelta(days=30) / charges
    # What they cite is known to be right; seeing it ten million times takes longer than all else.
    async with cites_aside(owner):
        for first in range(0, charges, BATCH):
            await owner.execute(
                CHARGES, [each[0] for each in ids], [each[1] for each in ids], START, numbers, first,
                step, min(first + BATCH, charges) - 1, timeout=3600,
            )  # fmt: skip
    await owner.execute("VACUUM ANALYZE", timeout=3600)


async def scan(pool: db.Pool, statement: str) -> float:
    """Scan the month once, the better of two times; return seconds."""
    best = float("inf")
    for _ in range(2):
        async with pool.acquire() as read, read.transaction():
            await read.execute("SET LOCAL statement_timeout = 0; SET LOCAL enable_indexscan = off")
            begun = time.perf_counter()
            await read.fetch(
                statement, START - timedelta(hours=12), START + timedelta(days=30, hours=12),
                START + timedelta(days=39), timeout=3600,
            )  # fmt: skip
            best = min(best, time.perf_counter() - begun)
    return best


KEPT = {
    "settlement_month": "month", "settlement_figure": "month, sp_id, kind",
    "settlement_report": "month, sp_id, kind", "settlement": "id",
    "settlement_statement": "settlement_id, revision",
    "settlement_step": "settlement_id, revision, step_no",
}  # fmt: skip


async def dumped(owner: asyncpg.Connection) -> str:
    """Hash what the month left, row by row in the order of its keys."""
    whole = hashlib.sha256()
    for table, key in KEPT.items():
        rows = await owner.fetch(f"SELECT t::text FROM {table} t ORDER BY {key}")  # noqa: S608
        for row in rows:
            whole.update(row["t"].encode())
    return whole.hexdigest()


async def doom(pool: db.Pool, now: datetime) -> None:
    """Do one piece of work and kill the connection before its COMMIT."""
    connection = await pool.acquire()
    await connection.transaction().start()
    await calendar.work(connection, actor=JOB, now=now)
    with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    await pool.release(connection)


async def settle(pool: db.Pool, *, killed: bool = False) -> dict[str, float]:
    """Settle the month up to its drafts; return the seconds of each stage.

    `killed`: each piece of work is first done by a connection that is killed before its COMMIT.
    """
    now = datetime(2026, 2, 10, 4, tzinfo=UTC)
    async with db.transaction(pool) as tx:
        await calendar.keep(tx, actor=JOB, now=now)
    took: dict[str, float] = {}
    while True:
        if killed:
            await doom(pool, now)
        async with db.transaction(pool) as tx:
            stage = await tx.fetchval("SELECT stage FROM settlement_month")
            begun = time.perf_counter()
            if not await calendar.work(tx, actor=JOB, now=now):
                return took
        took[stage] = took.get(stage, 0) + time.perf_counter() - begun


async def prepare(url: str, name: str, sps: int, charges: int) -> None:
    """Make a database with a month of charges."""
    admin = await asyncpg.connect(url)
    await roles.ensure_group(admin)
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    await arrange(named(url, name), sps, charges)


async def arrange(url: str, sps: int, charges: int) -> None:
    """Fill a database with a month of charges."""
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0")
    await migrate.migrate(owner)
    await roles.ensure_login(owner, url)
    for month in (1, 2):
        for table in (
            "message_in",
            "message_out",
            "authorisation",
            "decision_pack",
            "charge_record",
        ):
            await owner.execute("SELECT make_month_partition($1, $2)", table, date(2026, month, 1))
    await fill(owner, sps, charges, max(1000, charges // 5))
    await owner.close()


def named(url: str, name: str) -> str:
    """Return the URL of another database of the server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def measured(url: str) -> dict[str, float]:
    """Measure on a prepared database."""
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0")
    pool = await db.open_pool(
        roles.app_url(url), Settings(pool_size=3, command_timeout_seconds=600)
    )
    try:
        await owner.execute(f"TRUNCATE {', '.join(KEPT)} CASCADE")
        once, by_sp = await scan(pool, SCAN), await scan(pool, SCAN_BY_SP)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        took = await settle(pool)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        whole = sum(took.values())
        reports = sum(seconds for stage, seconds in took.items() if stage.startswith("look"))
        drawn = await owner.fetchval("SELECT count(*) FROM settlement_statement")
        expected = await dumped(owner)
        await owner.execute(f"TRUNCATE {', '.join(KEPT)} CASCADE")
        await settle(pool, killed=True)
        return {
            **{f"{stage}_s": seconds for stage, seconds in took.items()},
            "scan_s": once, "scan_by_sp_s": by_sp, "month_s": whole, "month_to_scan": whole / once,
            "counts_to_scan": (whole - reports) / by_sp, "statements": drawn,
            "memory_grown_mb": grown, "killed_equal": float(await dumped(owner) == expected),
        }  # fmt: skip
    finally:
        await pool.close()
        await owner.close()


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Make one month of charges and settle it once for each pair."""
    if not wanted & {one.id for one in FIGURES}:
        return
    async with ground.database() as url:
        await arrange(
            url,
            SPS_SHORT if ground.short else SPS,
            CHARGES_SHORT if ground.short else CHARGES,
        )
        for _ in ground.turns("T1", "T2"):
            found = await measured(url)
            if "T1" in wanted:
                ground.note("T1", found["month_s"], found["scan_s"])
            if "T2" in wanted:
                ground.note("T2", found["killed_equal"])


async def drop(url: str, name: str) -> None:
    """Drop a prepared database and its role."""
    admin = await asyncpg.connect(url)
    await admin.execute(f"DROP DATABASE {name}")
    await admin.execute(f"DROP ROLE {roles.login_role(name)}")
    await admin.close()


async def run(url: str, told: argparse.Namespace) -> dict[str, float]:
    """Prepare, measure, drop; or only what was asked for."""
    if told.on:
        return await measured(named(url, told.on))
    name = told.prepare or f"spms_bench_{uuid4().hex[:8]}"
    try:
        await prepare(url, name, told.sps, told.charges)
        return {} if told.prepare else await measured(named(url, name))
    finally:
        if not told.prepare:
            await drop(url, name)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--charges", type=int, default=200_000)
    parser.add_argument("--sps", type=int, default=300)
    parser.add_argument("--prepare", metavar="NAME")
    parser.add_argument("--on", metavar="NAME")
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    url = os.environ["SPMS_TEST_DATABASE_URL"]
    found = asyncio.run(run(url, told))
    for name, value in found.items():
        print(f"{name:24} {value:12,.3f}")  # noqa: T201 - what it is for
    if told.json:
        told.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
