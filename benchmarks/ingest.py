"""B1: a charge file taken, audited, deduplicated and landed, beside a raw COPY of its rows.

The COPY takes the very rows that landed, in the same order and the same portions, into a table of
the same form with the same indexes. One connection each.
"""

import random
import time
from collections.abc import AsyncIterator
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
from spms.charging.spooling import CHUNK_LINES, Manifest
from spms.core import db, migrate, roles
from spms.core.clock import FixedClock
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
)
ROWS, ROWS_SHORT = 100_000, 10_000
SERVICES = 20
WRONG_SHARE = 0.02
ASKABLE = """
    SELECT s.msisdn, v.code FROM subscription s JOIN service v ON v.id = s.service_id
     WHERE s.sp_id = $1
"""
LANDED = f"""
    SELECT {", ".join(_CHARGE_COLUMNS)} FROM charge_record
     WHERE file_id = (SELECT id FROM charge_file ORDER BY id DESC LIMIT 1) ORDER BY ctid
"""  # noqa: S608


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
    begun = time.perf_counter()
    for start in range(0, len(rows), CHUNK_LINES):
        await owner.copy_records_to_table(
            "raw_copy", records=rows[start : start + CHUNK_LINES], columns=_CHARGE_COLUMNS
        )
    return time.perf_counter() - begun


async def measure(ground: Ground, wanted: frozenset[str]) -> None:
    """Alternate both sides on one database; hand each pair to the frame."""
    if "B1" not in wanted:
        return
    rows = ROWS_SHORT if ground.short else ROWS
    async with ground.database() as url:
        await _measure(ground, url, rows)


async def _measure(ground: Ground, url: str, rows_each: int) -> None:
    now, dice = datetime.now(UTC).replace(microsecond=0), random.Random(1)  # noqa: S311
    sp_id, relations = await arrange(url, ground.pairs * rows_each, now)
    settings = Settings(data_dir=str(ground.directory))
    pool = await db.open_pool(roles.app_url(url), settings)
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0")
    dice.shuffle(relations)
    try:
        for n in range(ground.pairs):
            content = csv_of(relations[n * rows_each : (n + 1) * rows_each], now, dice)
            seconds = await ingest(pool, sp_id, content, now, ground.directory)
            rows = [tuple(row) for row in await owner.fetch(LANDED)]
            ground.note("B1", rows_each / seconds, rows_each / await copied(owner, rows))
    finally:
        await pool.close()
        await owner.close()
