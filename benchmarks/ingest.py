"""B1: a charge file taken, audited, deduplicated and landed, beside a raw COPY of its rows.

The COPY takes the very rows that landed, in the same order and the same portions, into a table of
the same form with the same rows before and the same indexes, but without foreign keys and on one
connection. The ingest is the whole of it: to disk, looked over, landed on as many connections as it
takes. `B1m` is the same with a month that is full already: rows that every look at a number meets.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from benchmarks.decision import CLONES
from benchmarks.figures import Figure, Ground
from spms.charging import files
from spms.charging.file_model import FileFormat, Upload
from spms.charging.model import COLUMNS
from spms.charging.queries import _CHARGE_COLUMNS
from spms.charging.spooling import Manifest, chunk_lines
from spms.core import db, migrate, roles
from spms.core.clock import FixedClock, business_month, month_range
from spms.core.settings import Settings
from tests import make

FIGURES = (
    Figure(
        id="B1",
        title="ingest, full audit and dedupe beside raw COPY, into an empty month",
        ours="charges/s",
        beside="rows/s by COPY",
        must=0.25,
        aim=0.40,
    ),
    Figure(
        id="B1m",
        title="the same, into a month that is full already",
        ours="charges/s",
        beside="rows/s by COPY",
        must=0.25,
        aim=0.40,
    ),
    Figure(
        id="B1r",
        title="peak memory of the process while a file of a million lines lands",
        ours="MB",
        must=300,
        aim=200,
        at_most=True,
    ),
)
MILLION, MILLION_SHORT = 1_000_000, 50_000
STORED_EACH, STORED_EACH_SHORT = 25, 4
"""Charges that each number already has in the full month."""
ROWS, ROWS_SHORT = 100_000, 7_000
"""Of a file: more than one portion (`chunk_lines`) in any case, for two are on their way at once."""
NUMBERS_SHORT = 35_000
"""One ground for all figures of the short mode: so many relations, five pairs of files."""
SERVICES = 20
WRONG_SHARE = 0.02
ASKABLE = """
    SELECT s.msisdn, v.code FROM subscription s JOIN service v ON v.id = s.service_id
     WHERE s.sp_id = $1
"""
HELD = "SELECT count(*) FROM raw_copy"
# Found by when they came: a file's time is its own.
LANDED = f"""
    SELECT {", ".join(_CHARGE_COLUMNS)} FROM charge_record,
           (SELECT id AS file, received_at AS at FROM charge_file ORDER BY id DESC LIMIT 1) f
     WHERE file_id = f.file AND received_at = f.at ORDER BY charge_record.id
"""  # noqa: S608


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
KEYS = """
    SELECT conrelid::regclass::text AS of_table, conname AS name,
           pg_get_constraintdef(oid) AS definition
      FROM pg_constraint
     WHERE conrelid::regclass::text = ANY($1::text[]) AND contype = 'f' AND conparentid = 0
"""
# What looks at a charge in place of foreign keys. Not only disabled: rows would be set aside for it.
CITES = """
    SELECT tgrelid::regclass::text AS of_table, tgname AS name,
           pg_get_triggerdef(oid) AS definition
      FROM pg_trigger
     WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('charge_record'))
       AND NOT tgisinternal AND tgparentid = 0
"""


@asynccontextmanager
async def cites_aside(owner: Any) -> AsyncIterator[None]:
    """Let charges be written that nobody holds to what they cite."""
    triggers = await owner.fetch(CITES)
    for trigger in triggers:
        await owner.execute(f"DROP TRIGGER {trigger['name']} ON {trigger['of_table']}")
    yield
    for trigger in triggers:
        await owner.execute(trigger["definition"])


@asynccontextmanager
async def keys_aside(owner: Any, *tables: str) -> AsyncIterator[None]:
    """Take the foreign keys of tables away while much is written, and check them once, after it."""
    keys = await owner.fetch(KEYS, list(tables))
    for key in keys:
        await owner.execute(f"ALTER TABLE {key['of_table']} DROP CONSTRAINT {key['name']}")
    yield
    for key in keys:
        await owner.execute(
            f"ALTER TABLE {key['of_table']} ADD CONSTRAINT {key['name']} {key['definition']}",
            timeout=7200,
        )


async def fill(owner: Any, now: datetime, each: int) -> None:
    """Give every number charges in the month, of its relations."""
    month = business_month(now - timedelta(hours=40))
    async with cites_aside(owner):
        await owner.execute(FILL, month_range(month)[0], each, timeout=7200)
    await owner.execute("INSERT INTO raw_copy SELECT * FROM charge_record", timeout=7200)
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
    await owner.execute("CREATE TABLE raw_copy (LIKE charge_record INCLUDING ALL)")
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


def csv_of(pairs: list[tuple[str, str]], now: datetime, dice: random.Random) -> bytes:
    """Write a file: one charge for each pair, two in a hundred at a wrong price."""
    lines = [",".join(COLUMNS)]
    for msisdn, code in pairs:
        charged_at = now - timedelta(seconds=dice.randrange(60, 36 * 3600))
        price = 900 if dice.random() < WRONG_SHARE else 800
        lines.append(f"{uuid4().hex},{code},{msisdn},{charged_at:%FT%TZ},{price},none")
    return "\n".join([*lines, ""]).encode()


async def ingest(pool: Any, sp_id: Any, content: bytes, now: datetime, directory: Path) -> float:
    """Land a file; return the seconds."""

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]

    begun = time.perf_counter()
    receipt, _ = await files.receive(
        stream(), upload=Upload(form=FileFormat.CSV), manifest=Manifest(), pool=pool,
        clock=FixedClock(now), directory=directory, limit_bytes=10**9, actor=make.sp_actor(sp_id),
    )  # fmt: skip
    if receipt.landed != receipt.lines:
        raise SystemExit(f"not all landed: {receipt}")
    return time.perf_counter() - begun


async def copied(owner: Any, rows: list[Any]) -> float:
    """COPY the very rows that landed, in the order of the ingest, chunk by chunk."""
    chunks = chunked(rows)
    begun = time.perf_counter()
    for chunk in chunks:
        await owner.copy_records_to_table("raw_copy", records=chunk, columns=_CHARGE_COLUMNS)
    return time.perf_counter() - begun


def chunked(rows: list[Any]) -> list[list[Any]]:
    """Put rows into the order in which they landed: chunk by chunk, in each by number."""
    each = chunk_lines(len(rows))
    return [
        sorted(rows[start : start + each], key=lambda row: row[:3])
        for start in range(0, len(rows), each)
    ]


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
    """Alternate both sides on one database; hand each pair to the frame."""
    rows = ROWS_SHORT if ground.short else ROWS
    for figure_id, each in (("B1", 0), ("B1m", STORED_EACH_SHORT if ground.short else STORED_EACH)):
        if figure_id in wanted:
            await _measure(ground, figure_id, rows, each)
    if "B1r" in wanted:
        await _memory(ground, MILLION_SHORT if ground.short else MILLION)


async def _measure(ground: Ground, figure_id: str, rows_each: int, stored_each: int) -> None:
    now, dice = datetime.now(UTC).replace(microsecond=0), random.Random(1)  # noqa: S311
    async with arranged(ground, ground.pairs * rows_each, now) as (url, sp_id, relations):
        settings = Settings(data_dir=str(ground.directory))
        pool = await db.open_pool(roles.app_url(url), settings)
        owner = await db.connect(url)
        await owner.execute("SET statement_timeout = 0")
        dice.shuffle(relations)
        if stored_each:
            await fill(owner, now, stored_each)
            ground.say(f"{figure_id}: {await owner.fetchval(HELD):,} rows before")
        try:
            for n in range(ground.pairs):
                content = csv_of(relations[n * rows_each : (n + 1) * rows_each], now, dice)
                seconds = await ingest(pool, sp_id, content, now, ground.directory)
                rows = [tuple(row) for row in await owner.fetch(LANDED)]
                ground.note(figure_id, rows_each / seconds, rows_each / await copied(owner, rows))
        finally:
            await pool.close()
            await owner.close()
