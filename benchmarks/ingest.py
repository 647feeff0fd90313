"""B1: a charge file taken, audited, deduplicated and landed, beside a raw COPY of its rows.

The pair is that of `benchmarks/charge_pair.py`, into a month without a charge; `benchmarks/bill.py` has
it into a full one (B1m). `B1r` lands one large file, a tenth of it spoiled, on copies of one relation.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks import city_ground
from benchmarks.charge_pair import cites_aside, month_of, pairs
from benchmarks.decision import CLONES
from benchmarks.figures import Figure, Ground
from spms.charging.model import COLUMNS
from spms.core import db, migrate, roles
from spms.core.clock import business_month, month_range
from tests import make

FIGURES = (
    Figure(
        id="B1",
        title="ingest, full audit and dedupe beside raw COPY, into an empty month",
        ours="charges/s",
        beside="rows/s by COPY",
        must=0.25,
        aim=0.40,
        seconds=8,
    ),
    Figure(
        id="B1r",
        title="peak memory of the process while a file of a million lines lands",
        ours="MB",
        must=300,
        aim=200,
        at_most=True,
        once=True,
        seconds=3,
    ),
)
MILLION, MILLION_SHORT = 1_000_000, 50_000
ROWS, ROWS_SHORT = 100_000, 7_000
"""Of a file: more than one portion (`chunk_lines`) in any case, for two are on their way at once."""
NUMBERS_SHORT = 35_000
"""Relations of one ground for B1r and D1 in short mode."""
SERVICES = 20
ASKABLE = """
    SELECT s.msisdn, v.code FROM subscription s JOIN service v ON v.id = s.service_id
     WHERE s.sp_id = $1
"""

# In the order in which they came: by time, not by number.
FILL = """
    INSERT INTO charge_record
        (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen, delivery,
         received_at, consent_id, tariff_id, findings, due_fen, rulebook_version)
    SELECT s.msisdn, $1::timestamptz + interval '1 minute' * (n - 1)
                     + interval '1 millisecond' * (abs(hashtext(s.msisdn)) % 30000),
           gen_random_uuid(), s.sp_id, s.service_id, 'old-' || n || '-' || s.msisdn, 'on_demand', 1,
           'none', $1, s.id, s.tariff_id, '{}', 1, 1
      FROM generate_series(1, $2::int) n, subscription s
     ORDER BY n, hashtext(s.msisdn)
"""


async def fill(owner: Any, now: datetime, each: int) -> None:
    """Give every number charges in the month, of its relations."""
    month = business_month(now - timedelta(hours=40))
    async with cites_aside(owner):
        await owner.execute(FILL, month_range(month)[0], each, timeout=7200)
    await owner.execute("VACUUM ANALYZE", timeout=7200)


async def arrange(url: str, numbers: int, now: datetime) -> tuple[UUID, list[tuple[str, str]]]:
    """Fill a database; return the SP and (number, service code) of live relations."""
    owner = await db.connect(url)
    await roles.ensure_group(owner)
    await roles.make_login(owner, url)
    await migrate.migrate(owner)
    await owner.execute("SET statement_timeout = 0")
    for month in {(now - timedelta(days=3)).date().replace(day=1), now.date().replace(day=1)}:
        for table in (
            "message_in",
            "message_out",
            "authorisation",
            "decision_pack",
            "charge_record",
        ):
            await owner.execute("SELECT make_month_partition($1, $2)", table, month)
    sp_id = await make.sp(owner, now)
    service_ids = [await make.service(owner, now, sp_id) for _ in range(SERVICES)]
    model = await make.number(owner, now)
    await make.subscription(owner, now - timedelta(days=2), model, service_ids[0])
    await owner.execute(CLONES, model, numbers, SERVICES, timeout=600)
    await owner.execute("VACUUM ANALYZE", timeout=600)
    rows = await owner.fetch(ASKABLE, sp_id)
    await owner.close()
    return sp_id, [(row["msisdn"], row["code"]) for row in rows]


@asynccontextmanager
async def arranged(
    ground: Ground, numbers: int, now: datetime
) -> AsyncIterator[tuple[str, UUID, list[tuple[str, str]]]]:
    """Give a database as `arrange` fills it, copied from one that is filled once; as it returns."""

    async def fill_once(url: str) -> None:
        await arrange(url, numbers, now)

    template = await ground.prepared(f"{numbers} relations", fill_once)
    async with ground.database(template) as url:
        owner = await db.connect(url)
        await roles.make_login(owner, url)
        sp_id = await owner.fetchval("SELECT id FROM sp")
        rows = await owner.fetch(ASKABLE, sp_id)
        await owner.close()
        yield url, sp_id, [(row["msisdn"], row["code"]) for row in rows]


def mixed_csv(
    path: Path, pairs: list[tuple[str, str]], lines: int, now: datetime
) -> dict[str, int]:
    """Write a file: a tenth is spoiled, one charge for each pair, the rest is the first again.

    Return what is to become of its lines.
    """
    expected = {"lines": lines, "landed": 0, "quarantined": 0, "duplicates": 0}
    at = f"{now - timedelta(hours=1):%FT%TZ}"
    with path.open("w") as file:
        file.write(",".join(COLUMNS) + "\n")
        for n in range(lines):
            msisdn, code = pairs[n // 2 % len(pairs)]
            if n % 10 == 4:  # noqa: PLR2004 -- every tenth
                file.write(f"bad-{n},{code},{msisdn},{at},8.00,none\n")
                expected["quarantined"] += 1
            elif n % 2 or n // 2 >= len(pairs):
                file.write(f"r-0,{pairs[0][1]},{pairs[0][0]},{at},800,none\n")
                expected["duplicates"] += 1
            else:
                file.write(f"r-{n},{code},{msisdn},{at},800,none\n")
                expected["landed"] += 1
    return expected


async def received(
    url: str, path: Path, directory: Path, sp_id: UUID, now: datetime
) -> dict[str, Any]:
    """Land a file in a process of its own; return what it says of itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.receive", roles.app_url(url), str(path), "csv",
        str(directory), str(sp_id), now.isoformat(), stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    out, _ = await process.communicate()
    if process.returncode:
        raise SystemExit("the file did not land")
    told: dict[str, Any] = json.loads(out)
    return told


async def _memory(ground: Ground, lines: int) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    async with arranged(ground, NUMBERS_SHORT if ground.short else lines // 5, now) as found:
        url, sp_id, pairs = found
        pairs = pairs[: lines // 5]
        path = ground.directory / "million.csv"
        expected = mixed_csv(path, pairs, lines, now)
        told = await received(url, path, ground.directory, sp_id, now)
    if any(told[name] != count for name, count in expected.items()):
        raise SystemExit(f"{told} is not {expected}")
    ground.say(
        f"B1r: {lines:,} lines in {told['seconds']:.1f} s; {told['before_mb']:.0f} MB before"
    )
    ground.note("B1r", told["peak_mb"])


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Alternate both sides of B1 on one database; land the large file on another."""
    if "B1" in wanted:
        month = month_of(ground.pairs, ROWS_SHORT if ground.short else ROWS)
        city = ground.directory / "b1"
        async with ground.database() as url:
            await city_ground.arrange(url, month, city, say=ground.say, lean=True)
            await pairs(ground, "B1", url, month, city)
    if "B1r" in wanted:
        await _memory(ground, MILLION_SHORT if ground.short else MILLION)
