"""Pairs of B1 and B1m: a file of charges that `spms simulate --month` wrote, ingested; beside it a COPY.

The COPY takes the rows that just landed, under other ids and as other numbers of the same month, into the
same table, in the same order and the same portions, on one connection, held to nothing that they cite. As
the same numbers it would find the pages of every index read, and written whole to the log, by the ingest
just before it; in a month of fifty million that is most of what either has to do. The ingest is the whole
of it: to disk, looked over, audited, deduplicated, landed on as many connections as it takes.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from benchmarks.figures import Ground
from spms.charging import files
from spms.charging.file_model import FileFormat, Upload
from spms.charging.queries import _CHARGE_COLUMNS
from spms.charging.spooling import Manifest, chunk_lines
from spms.city.month import Month, company_code
from spms.core import db, roles
from spms.core.clock import FixedClock
from spms.core.settings import Settings
from tests import make

HOURS = 7200
PIECE_BYTES = 65_536
HEAD = "86139"
"""Of all numbers of a month."""
# Found by when they came: a file's time is its own.
LANDED = f"""
    SELECT {", ".join(_CHARGE_COLUMNS)} FROM charge_record,
           (SELECT id AS file, received_at AS at FROM charge_file ORDER BY id DESC LIMIT 1) f
     WHERE file_id = f.file AND received_at = f.at ORDER BY charge_record.id
"""  # noqa: S608
# What looks at a charge in place of foreign keys. Not only disabled: rows would be set aside for it.
CITES = """
    SELECT tgrelid::regclass::text AS of_table, tgname AS name,
           pg_get_triggerdef(oid) AS definition
      FROM pg_trigger
     WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('charge_record'))
       AND NOT tgisinternal AND tgparentid = 0
"""
SP = "SELECT id FROM sp WHERE code = $1"


def month_of(pairs: int, lines: int, **more: Any) -> Month:
    """Return a month with one SP, whose file of each day has so many lines, roughly.

    Each number is charged once: a pair is about numbers of its own.
    """
    return Month(numbers=pairs * lines, companies=1, charges=1, days=pairs, **more)


def delivered(city: Path, day: int) -> Path:
    """Return the file that the one SP delivers of a day."""
    return city / "charges" / f"{day:02}" / f"{company_code(0)}.csv"


@asynccontextmanager
async def cites_aside(owner: Any) -> AsyncIterator[None]:
    """Let charges be written that nobody holds to what they cite."""
    triggers = await owner.fetch(CITES)
    for trigger in triggers:
        await owner.execute(f"DROP TRIGGER {trigger['name']} ON {trigger['of_table']}")
    yield
    for trigger in triggers:
        await owner.execute(trigger["definition"])


async def ingest(
    pool: Any, sp_id: UUID, content: bytes, now: datetime, spool: Path
) -> tuple[float, int]:
    """Land a file; return the seconds, and how many charges it had."""

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(content), PIECE_BYTES):
            yield content[start : start + PIECE_BYTES]

    begun = time.perf_counter()
    receipt, _ = await files.receive(
        stream(), upload=Upload(form=FileFormat.CSV), manifest=Manifest(), pool=pool,
        clock=FixedClock(now), directory=spool, limit_bytes=10**9, actor=make.sp_actor(sp_id),
    )  # fmt: skip
    if receipt.landed != receipt.lines:
        raise SystemExit(f"not all landed: {receipt}")
    return time.perf_counter() - begun, receipt.landed


def elsewhere(month: Month, msisdn: str) -> str:
    """Return the number that lies half a month of numbers further on, or else that far back."""
    wide = month.numbers * month.apart
    place = (int(msisdn[len(HEAD) :]) + wide // 2) % wide
    return f"{HEAD}{place:08d}"


async def copied(owner: Any, month: Month, rows: list[Any]) -> float:
    """COPY rows as other charges in the order of the ingest, chunk by chunk; return the seconds."""
    at, of = _CHARGE_COLUMNS.index("id"), _CHARGE_COLUMNS.index("msisdn")
    others = []
    for row in rows:
        other = list(row)
        other[at], other[of] = uuid4(), elsewhere(month, row[of])
        others.append(tuple(other))
    chunks = chunked(others)
    begun = time.perf_counter()
    for chunk in chunks:
        await owner.copy_records_to_table("charge_record", records=chunk, columns=_CHARGE_COLUMNS)
    return time.perf_counter() - begun


def chunked(rows: list[Any]) -> list[list[Any]]:
    """Put rows into the order in which they landed: chunk by chunk, in each by number."""
    each = chunk_lines(len(rows))
    return [
        sorted(rows[start : start + each], key=lambda row: row[:3])
        for start in range(0, len(rows), each)
    ]


async def pairs(ground: Ground, figure_id: str, url: str, month: Month, city: Path) -> None:
    """Alternate both sides, a day's file for each pair; `city` is where the month was simulated."""
    pool = await db.open_pool(roles.app_url(url), Settings(data_dir=str(ground.directory)))
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0; SET lock_timeout = 0")
    sp_id = await owner.fetchval(SP, company_code(0))
    try:
        for day in ground.turns(figure_id):
            content = delivered(city, day).read_bytes()
            now = month.began + timedelta(days=day + 1, hours=1)
            seconds, charges = await ingest(pool, sp_id, content, now, ground.directory)
            rows = [tuple(row) for row in await owner.fetch(LANDED, timeout=HOURS)]
            async with cites_aside(owner):
                beside = await copied(owner, month, rows)
            ground.note(figure_id, charges / seconds, charges / beside)
    finally:
        await pool.close()
        await owner.close()
