"""B1: ingest with full audit and dedupe, beside a raw COPY of the same rows in the same order.

    SPMS_TEST_DATABASE_URL=postgresql://owner:secret@127.0.0.1/postgres python -m benchmarks.ingest

Both sides alternate in one run, on the same server, into tables of the same form with the same
indexes. One connection each. The ingest side is `files.receive`: spool, parse, audit, dedupe, land.
Works on a database of its own, which it drops. JSON with `--json`.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from benchmarks.decision import CLONES, at
from spms.charging import files
from spms.charging.file_model import FileFormat, Upload
from spms.charging.model import COLUMNS
from spms.charging.queries import _CHARGE_COLUMNS
from spms.charging.spooling import Manifest
from spms.core import db, migrate, roles
from spms.core.clock import FixedClock
from spms.core.settings import Settings
from tests import make

MUST, AIM = 0.25, 0.40
SERVICES = 20
WRONG_SHARE = 0.02
ASKABLE = """
    SELECT s.msisdn, v.code FROM subscription s JOIN service v ON v.id = s.service_id
     WHERE s.sp_id = $1
"""


async def arrange(url: str, numbers: int, now: datetime) -> tuple[Any, list[tuple[str, str]]]:
    """Fill a database; return the SP and (number, service code) of live relations."""
    owner = await db.connect(url)
    await migrate.migrate(owner)
    await owner.execute("SET statement_timeout = 0")
    for month in {(now - timedelta(days=3)).date().replace(day=1), now.date().replace(day=1)}:
        for table in ("message_in", "message_out", "authorisation", "charge_record"):
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
    """COPY the very rows that landed, in the order of the ingest, 5,000 to a transaction."""
    begun = time.perf_counter()
    for start in range(0, len(rows), 5_000):
        await owner.copy_records_to_table(
            "raw_copy", records=rows[start : start + 5_000], columns=_CHARGE_COLUMNS
        )
    return time.perf_counter() - begun


async def run(url: str, pairs_of: int, rows_each: int) -> dict[str, Any]:
    """Alternate both sides; return the figure."""
    now, dice = datetime.now(UTC).replace(microsecond=0), random.Random(1)  # noqa: S311
    sp_id, relations = await arrange(url, pairs_of * rows_each, now)
    pool = await db.open_pool(roles.app_url(url), Settings(data_dir=tempfile.mkdtemp()))
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0")
    ours, raw = [], []
    dice.shuffle(relations)
    with tempfile.TemporaryDirectory() as directory:
        for n in range(pairs_of):
            some = relations[n * rows_each : (n + 1) * rows_each]
            content = csv_of(some, now, dice)
            ours.append(rows_each / await ingest(pool, sp_id, content, now, Path(directory)))
            names = ", ".join(_CHARGE_COLUMNS)
            rows = [
                tuple(row)
                for row in await owner.fetch(
                    f"SELECT {names} FROM charge_record WHERE file_id = (SELECT id"  # noqa: S608
                    " FROM charge_file ORDER BY id DESC LIMIT 1) ORDER BY ctid"
                )
            ]
            raw.append(rows_each / await copied(owner, rows))
            sys.stderr.write(f"{n + 1}: {ours[-1]:,.0f} beside {raw[-1]:,.0f} rows/s\n")
    await pool.close()
    await owner.close()
    ratios = [a / b for a, b in zip(ours, raw, strict=True)]
    return {
        "id": "B1", "what": "ingest + full audit + dedupe ÷ raw COPY, rows/s, empty month",
        "ratio": statistics.median(ratios), "min": min(ratios), "max": max(ratios),
        "must": MUST, "aim": AIM, "ours": statistics.median(ours), "theirs": statistics.median(raw),
        "pairs": pairs_of, "rows": rows_each,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


async def main() -> None:
    """Make a database, measure, drop it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--json", type=Path)
    parser.add_argument("--short", action="store_true", help="smaller, says so")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    rows, pairs = (20_000, 5) if options.short else (options.rows, options.pairs)
    url, name = os.environ["SPMS_TEST_DATABASE_URL"], f"bench_{uuid4().hex[:12]}"
    server = await asyncpg.connect(url)
    await roles.ensure_group(server)
    await server.execute(f"CREATE DATABASE {name}")
    try:
        await roles.make_login(server, at(url, name))
        figure = await run(at(url, name), pairs, rows)
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.execute(f"DROP ROLE IF EXISTS {roles.login_role(name)}")
        await server.close()
    figure["short"] = options.short
    sys.stdout.write(
        f"{figure['id']} {figure['ratio']:.3f} ({figure['min']:.3f}–{figure['max']:.3f}; must "
        f"{MUST}, aim {AIM}): {figure['ours']:,.0f} beside {figure['theirs']:,.0f} rows/s, "
        f"{rows:,} rows × {pairs} pairs, peak {figure['peak_rss_mib']:.0f} MiB"
        + (" (short)\n" if options.short else "\n")
    )
    if options.json:
        options.json.write_text(json.dumps([figure], indent=2))


if __name__ == "__main__":
    asyncio.run(main())
