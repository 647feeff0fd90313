"""D1: the month audit in PostgreSQL beside DuckDB, the same statements over the same rows in Parquet.

DuckDB is no part of SPMS: `pip install duckdb` into the environment that measures. It reads Parquet
files written from the tables, with as many threads as there are cores; PostgreSQL may use as many.
"""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Ground
from benchmarks.ingest import NUMBERS_SHORT, arranged, fill
from spms.authorisation.model import CapRules
from spms.charging import month_audit_queries
from spms.core import db
from spms.core.clock import business_month, month_range

FIGURES = (
    Figure(
        id="D1", title="month audit", ours="charges/s", beside="charges/s by DuckDB over Parquet",
        must=0.10, aim=0.25, seconds=6,
    ),
)  # fmt: skip
NUMBERS, EACH, EACH_SHORT = 400_000, 25, 6
CAPS = CapRules(category_month_fen={"information": 9_000})
NEEDS = (
    "it needs DuckDB, which is no part of SPMS: .venv/bin/python -m pip install duckdb, then "
    "spms bench --only D1"
)
COLUMNS = {
    "charge_record": "msisdn, charged_at, id, service_id, kind, consent_id, due_fen",
    "charge_finding": "msisdn, charge_id, due_fen",
    "subscription": "msisdn, id, service_id, epoch, active_from, ended_at, end_reason, charge_from,"
    " price_fen",
    "number_event": "msisdn, effective_at, state_after, epoch_after",
    "service": "id, category",
}
TYPES = {
    "msisdn": "VARCHAR", "charged_at": "TIMESTAMPTZ", "id": "UUID", "service_id": "UUID",
    "kind": "VARCHAR", "consent_id": "UUID", "due_fen": "BIGINT", "charge_id": "UUID",
    "epoch": "INTEGER", "active_from": "TIMESTAMPTZ", "ended_at": "TIMESTAMPTZ",
    "end_reason": "VARCHAR", "charge_from": "TIMESTAMPTZ", "price_fen": "BIGINT",
    "effective_at": "TIMESTAMPTZ", "state_after": "VARCHAR", "epoch_after": "INTEGER",
    "category": "VARCHAR",
}  # fmt: skip
# Something to find, so that both sides can be seen to find the same.
SPOIL = """
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                              state_after, epoch_after)
    SELECT msisdn, gen_random_uuid(), 'suspended', 'operator', $1, $1, 'bench', 'suspended', 1
      FROM number WHERE abs(hashtext(msisdn)) % 100 = 0
"""


async def to_parquet(owner: Any, lake: Any, directory: Path) -> None:
    """Write the tables as Parquet, and let DuckDB see them under their names."""
    for table, columns in COLUMNS.items():
        rows, file = directory / f"{table}.csv", directory / f"{table}.parquet"
        query = f"SELECT {columns} FROM {table}"  # noqa: S608
        await owner.copy_from_query(query, output=rows, format="csv")
        types = ", ".join(f"'{name}': '{TYPES[name]}'" for name in columns.split(", "))
        source = (
            f"read_csv('{rows}', header=false, auto_detect=false, delim=',', columns={{{types}}})"
        )
        lake.execute(f"COPY (SELECT * FROM {source}) TO '{file}' (FORMAT parquet)")  # noqa: S608
        lake.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{file}')")  # noqa: S608
        rows.unlink()


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Alternate both engines over one month."""
    if "D1" not in wanted:
        return
    try:
        import duckdb  # noqa: PLC0415 -- only who measures this needs it
    except ImportError:
        ground.leave_out("D1", NEEDS)
        return
    now = datetime.now(UTC).replace(microsecond=0)
    month = month_range(business_month(now - timedelta(hours=40)))
    numbers = NUMBERS_SHORT if ground.short else NUMBERS
    async with arranged(ground, numbers, now) as (url, _, _):
        owner = await db.connect(url)
        await owner.execute("SET statement_timeout = 0")
        await fill(owner, now, EACH_SHORT if ground.short else EACH)
        await owner.execute(SPOIL, month[0] + timedelta(minutes=10))
        await owner.execute("ANALYZE")
        lake = duckdb.connect()
        lake.execute(f"SET threads = {len(os.sched_getaffinity(0))}")
        await to_parquet(owner, lake, ground.directory)
        count = await owner.fetchval("SELECT count(*) FROM charge_record")
        ground.say(f"D1: {count:,} charges")
        for _ in ground.turns("D1"):
            ours, found = await _ours(owner, month)
            beside, also = await asyncio.to_thread(_beside, lake, month)
            if [one[:2] for one in found] != [one[:2] for one in also]:
                raise SystemExit(f"{found} is not {also}")
            ground.note("D1", count / ours, count / beside)
        await owner.close()


async def _ours(owner: Any, month: tuple[datetime, datetime]) -> tuple[float, list[Any]]:
    begun = time.perf_counter()
    async with owner.transaction(readonly=True):
        found = await month_audit_queries.contradictions(owner, month, CAPS)
    return time.perf_counter() - begun, list(found)


def _beside(lake: Any, month: tuple[datetime, datetime]) -> tuple[float, list[Any]]:
    begun = time.perf_counter()
    rows = lake.execute(month_audit_queries.POINT, list(month)).fetchall()
    of_caps = month_audit_queries.limits(CAPS)
    rows += lake.execute(month_audit_queries.TOTALS, [*month, *of_caps]).fetchall()
    return time.perf_counter() - begun, rows
