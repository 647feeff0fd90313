"""PostgreSQL is killed (SIGKILL) while files land: what was acknowledged is stored, all of it once."""

import asyncio
import os
import random
import signal
from contextlib import suppress
from datetime import timedelta

import asyncpg
import pytest

from spms.charging import files, spooling
from spms.charging.file_model import FileFormat, Upload
from spms.charging.spooling import Manifest
from spms.core import db, migrate, roles
from spms.core.embedded import Embedded
from tests import make
from tests.charging.test_kills import HELD
from tests.charging.world import World, code_of, csv_of

CHUNK = 40
THROUGH = "SELECT COALESCE(sum(lines), 0) FROM charge_file"


async def arrange(server, now):
    """Migrate the server's database; return what charges are about, some of them rightly."""
    owner = await db.connect(server.owner_url)
    await roles.ensure_group(owner)
    await migrate.migrate(owner)
    await roles.make_login(owner, server.owner_url)
    for table in ("message_in", "charge_record", "authorisation"):
        for month in (now.date().replace(day=1), (now - timedelta(days=3)).date().replace(day=1)):
            await owner.execute("SELECT make_month_partition($1, $2)", table, month)
    sp_id = await make.sp(owner, now)
    monthly_id = await make.service(owner, now, sp_id)
    numbers = [await make.number(owner, now) for _ in range(60)]
    for msisdn in numbers:
        await make.subscription(owner, now - timedelta(days=2), msisdn, monthly_id)
    world = World(
        pool=None, now=now, sp_id=sp_id, monthly_id=monthly_id,
        monthly=await code_of(owner, monthly_id), game_id=monthly_id, game="", msisdn=numbers[0],
    )  # fmt: skip
    await owner.close()
    return world, numbers


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kills", [1, pytest.param(30, marks=pytest.mark.soak)])
async def test_files_land_whole_though_the_database_is_killed(
    tmp_path, clock, settings, monkeypatch, kills
):
    monkeypatch.setattr(spooling, "CHUNK_LINES", CHUNK)
    server = Embedded(tmp_path / "postgres")
    await server.start()
    watch = asyncio.create_task(server.watch())
    try:
        world, numbers = await arrange(server, clock.now())
        pool = await db.open_pool(roles.app_url(server.owner_url), settings)
        dice = random.Random(kills)
        records = [
            world.record(msisdn=dice.choice(numbers), price_fen=dice.choice([800, 800, 801]))
            for _ in range(6 * CHUNK * (kills + 1))
        ]
        share = len(records) // 3
        contents = [csv_of(*records[n * share : (n + 2) * share]) + b"bad\n" for n in range(2)]
        acknowledged = set()

        async def send(content):
            async def stream():
                yield content

            while True:
                with suppress(*db.ANY_TROUBLE):
                    receipt, _ = await files.receive(
                        stream(), upload=Upload(form=FileFormat.CSV), manifest=Manifest(),
                        pool=pool, clock=clock, directory=tmp_path / "spool", limit_bytes=10**8,
                        actor=make.sp_actor(world.sp_id),
                    )  # fmt: skip
                    acknowledged.add(receipt.id)
                    return
                await asyncio.sleep(0.1)

        async def through():
            while True:
                with suppress(*db.ANY_TROUBLE, asyncpg.PostgresError):
                    return await pool.fetchval(THROUGH)
                await asyncio.sleep(0.1)

        pid = tmp_path / "postgres" / "data" / "postmaster.pid"
        work = asyncio.gather(*[send(content) for content in contents])
        done = 0
        while not work.done() and done < kills:
            before = await through()
            while not work.done() and await through() == before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await asyncio.sleep(dice.uniform(0, 0.05))
            if not work.done():
                os.kill(int(pid.read_text().split()[0]), signal.SIGKILL)
                done += 1
        await work
        assert done == kills, "the work outlived all of them"
        await hold(pool, records, acknowledged, share)
        await pool.close()
    finally:
        await server.stop()
        watch.cancel()


async def hold(pool, records, acknowledged, share):
    """Compare what is stored with what was sent."""
    oracle = {record.record_id: record.price_fen for record in records}
    rows = await pool.fetch("SELECT record_id, price_fen FROM charge_record")
    assert len(rows) == len(oracle)
    assert {row["record_id"]: row["price_fen"] for row in rows} == oracle
    held = await pool.fetch(HELD)
    assert len(held) == len(acknowledged) == 2
    for one in held:
        assert one["state"] == "done"
        assert one["received"] == one["lines"] == 2 * share + 1
        assert one["landed"] + one["quarantined"] + one["duplicates"] == one["lines"]
        assert (one["landed"], one["quarantined"], one["bad"]) == (one["records"], 1, 1)
    due = await pool.fetch(
        """SELECT msisdn, sum(due_fen) AS fen FROM charge_record GROUP BY msisdn"""
    )
    assert {row["fen"] for row in due} <= {800}, "a month is due once, whatever was killed"
