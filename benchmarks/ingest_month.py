"""B1 on a month that is kept: fifty million charges are there already (`benchmarks/bill.py`).

    python -m benchmarks.ingest_month --on NAME [--pairs 5] [--rows 100000]

The COPY goes into the very table that the ingest goes into, with the very rows that just landed,
under other ids, in the same order and the same portions, not held to what they cite. Each pair is
about numbers of its own, spread over all numbers; what a run brought is taken away at its end. The
rows that were there name no relation.
"""

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from benchmarks.bill_month import END, HOURS, MONTH, START
from benchmarks.decision_ground import CLONES
from benchmarks.ingest import ASKABLE, LANDED, chunked, cites_aside, csv_of, ingest
from benchmarks.settlement import named
from spms.charging.queries import _CHARGE_COLUMNS
from spms.core import db, roles
from spms.core.settings import Settings
from tests import make

NOW = END - timedelta(days=2)
OWN_SERVICES = 20
FRESH = """
    SELECT '86139' || lpad(i::text, 8, '0') AS msisdn, gen_random_uuid() AS id, i
          FROM generate_series(1, $2::int) i"""
HELD = """
    SELECT msisdn, gen_random_uuid() AS id, row_number() OVER ()::int AS i
          FROM (SELECT msisdn FROM number WHERE msisdn LIKE '86139%'
                 ORDER BY hashtext(msisdn), msisdn LIMIT $2::int) n"""
ADDED = """
    , numbers AS (
        INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
        SELECT f.msisdn, n.epoch, n.state, n.state_since, n.epoch_since
          FROM fresh f, number n WHERE n.msisdn = $1
    )"""
RELATIONS = (
    CLONES.replace(FRESH.strip(), HELD.strip())
    .replace(ADDED.strip().removeprefix(", "), "")
    .replace("), , ", "), ")
    .replace("v.at = 1 +", "v.at = 1 + $4::int +")
)
WITH_RELATIONS = "SELECT sp_id FROM subscription GROUP BY sp_id HAVING count(*) >= $1"
LAST_CODE = """
    SELECT max(code::int) FROM (SELECT code FROM service
                                UNION ALL SELECT substr(code, 2) FROM sp) used
"""
# What is in the month is not small money; here no cap is to be met.
NO_CAPS = """
    INSERT INTO rulebook (version, effective_from, rules, reason, created_at, created_by)
    SELECT version + 1, $1, rules || '{"cap": {"service_month_fen": 900000,
           "total_month_fen": 9000000}}', 'a month of any amount', $1, 'bench'
      FROM rulebook ORDER BY version DESC LIMIT 1
"""


async def arrange(owner: asyncpg.Connection, numbers: int) -> UUID:
    """Give some of the numbers relations with an SP of their own, once; return the SP."""
    sp_id: UUID | None = await owner.fetchval(WITH_RELATIONS, numbers)
    if sp_id:
        return sp_id
    for table in ("message_in", "message_out", "authorisation", "decision_pack"):
        await owner.execute("SELECT make_month_partition($1, $2)", table, MONTH)
    taken = await owner.fetchval(LAST_CODE)
    while next(make._serial) <= taken:  # noqa: SLF001 - the codes of those who are in the month
        pass
    services = await owner.fetchval("SELECT count(*) FROM service")
    sp_id = await make.sp(owner, START)
    for _ in range(OWN_SERVICES):
        await make.service(owner, START, sp_id)
    model = await make.number(owner, NOW)
    code = await owner.fetchval("SELECT id FROM service ORDER BY code DESC LIMIT 1")
    await make.subscription(owner, NOW - timedelta(days=2), model, code)
    # The checks of foreign keys are planned while these tables are empty. What decisions keep of a
    # number is not read here.
    await owner.execute("SET enable_seqscan = off")
    for verb in ("DISABLE", "ENABLE"):
        for table in ("number_event", "consent"):
            await owner.execute(f"ALTER TABLE {table} {verb} TRIGGER {table}_standing_added")
        if verb == "DISABLE":
            await owner.execute(RELATIONS, model, numbers, OWN_SERVICES, services, timeout=HOURS)
    await owner.execute("RESET enable_seqscan")
    await owner.execute(NO_CAPS, START - timedelta(days=100))
    await owner.execute(
        "VACUUM ANALYZE number, number_event, subscription, consent, message_in", timeout=HOURS
    )
    return sp_id


async def copied(owner: asyncpg.Connection, rows: list[tuple[object, ...]]) -> float:
    """COPY rows under other ids into the table itself."""
    at = _CHARGE_COLUMNS.index("id")
    again = chunked([(*row[:at], uuid4(), *row[at + 1 :]) for row in rows])
    begun = time.perf_counter()
    for chunk in again:
        await owner.copy_records_to_table("charge_record", records=chunk, columns=_CHARGE_COLUMNS)
    return time.perf_counter() - begun


async def take_away(owner: asyncpg.Connection, times: list[datetime]) -> None:
    """Take away what a run brought."""
    await owner.execute("TRUNCATE charge_key, charge_file, charge_quarantine")
    await owner.execute("DELETE FROM charge_finding WHERE found_at = ANY($1)", times)
    await owner.execute(
        "DELETE FROM charge_record WHERE received_at = ANY($1) AND file_id IS NOT NULL",
        times, timeout=HOURS,
    )  # fmt: skip
    await owner.execute("VACUUM charge_record, charge_finding", timeout=HOURS)


async def run(url: str, told: argparse.Namespace) -> None:
    """Measure pair by pair."""
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0; SET lock_timeout = 0; SET work_mem = '128MB'")
    sp_id = await arrange(owner, told.rows * told.pairs)
    relations = [(row["msisdn"], row["code"]) for row in await owner.fetch(ASKABLE, sp_id)]
    dice = random.Random(1)  # noqa: S311 - the order of a file
    dice.shuffle(relations)
    times: list[datetime] = []
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        pool = await db.open_pool(roles.app_url(url), Settings(data_dir=directory))
        try:
            for n in range(told.pairs):
                times.append(NOW + timedelta(seconds=n))
                content = csv_of(relations[n * told.rows : (n + 1) * told.rows], times[n], dice)
                seconds = await ingest(pool, sp_id, content, times[n], Path(directory))
                landed = [tuple(row) for row in await owner.fetch(LANDED)]
                async with cites_aside(owner):
                    beside = await copied(owner, landed)
                ratios.append(beside / seconds)
                print(  # noqa: T201 - what it is for
                    f"B1m  {ratios[n]:.3f} of {told.rows / seconds:,.0f} to {told.rows / beside:,.0f}"
                )
        finally:
            await pool.close()
            await take_away(owner, times)
            await owner.close()
    print(f"B1m  {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")  # noqa: T201


def main() -> None:
    """Measure on a database that was prepared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", metavar="NAME", required=True)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000)
    told = parser.parse_args()
    asyncio.run(run(named(os.environ["SPMS_TEST_DATABASE_URL"], told.on), told))


if __name__ == "__main__":
    main()
