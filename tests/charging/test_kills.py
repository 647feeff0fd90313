"""The application is killed (SIGKILL) while files and batches land: nothing acknowledged is lost."""

import asyncio
import random
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from spms.core import roles
from tests import make
from tests.charging.world import csv_of
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
APP = Path(__file__).parent / "doomed_app.py"
HELD = """
    SELECT f.state, f.received, f.lines, f.landed, f.quarantined, f.duplicates,
           (SELECT count(*) FROM charge_record WHERE file_id = f.id) AS records,
           (SELECT count(*) FROM charge_quarantine WHERE file_id = f.id) AS bad
      FROM charge_file f
"""


@asynccontextmanager
async def serving(url, port, now, directory):
    """Run the application until the block ends; then it is killed, whatever it is doing."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(APP), url, str(port), now.isoformat(), str(directory),
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def until_taken(http, path, **sent):
    """Send until there is an answer; return how often the connection broke."""
    lost = 0
    while True:
        try:
            answer = await http.post(path, **sent)
        except httpx.TransportError:
            lost += 1
            await asyncio.sleep(0.05)
            continue
        if answer.status_code in {200, 201}:
            return lost
        assert answer.status_code == 503, answer.text


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kills", [1, pytest.param(30, marks=pytest.mark.soak)])
async def test_what_was_acknowledged_is_stored_once_whatever_is_killed(
    owner_url, pool, now, world, sign_in, tmp_path, kills
):
    sp = await sign_in(make.sp_actor(world.sp_id))
    records = [
        world.record(msisdn=f"86137{n % 50:08d}", price_fen=1 + n) for n in range(240 * (kills + 1))
    ]
    share = len(records) // 4
    contents = [
        csv_of(*records[start * share : (start + 2) * share]) + b"bad\n" for start in range(3)
    ]
    port, dice = free_port(), random.Random(kills)
    acknowledged = {}
    lost = 0

    async def file(content, http):
        nonlocal lost
        lost += await until_taken(
            http, "/charge-files", content=content, headers=sp | {"Content-Type": "text/csv"}
        )

    async def batches(http):
        nonlocal lost
        for some in (records[n : n + 140 : 7] for n in range(0, len(records), 140)):
            body = {
                "records": [
                    {
                        "record_id": r.record_id, "service_code": r.service_code,
                        "msisdn": r.msisdn, "charged_at": r.charged_at.isoformat(),
                        "price_fen": r.price_fen, "delivery": r.delivery.value,
                    }
                    for r in some
                ]
            }  # fmt: skip
            lost += await until_taken(http, "/charge-records", json=body, headers=sp)
            acknowledged.update((r.record_id, r.price_fen) for r in some)
            stored = await pool.fetchval(
                "SELECT count(*) FROM charge_record WHERE record_id = ANY($1::text[])",
                list(acknowledged),
            )
            assert stored == len(acknowledged)

    async def killer(work):
        while True:
            async with serving(roles.app_url(owner_url), port, now, tmp_path) as process:
                doomed = counted["kills"] < kills
                through = await pool.fetchval("SELECT COALESCE(sum(lines), 0) FROM charge_file")
                while not work.done():
                    assert process.returncode is None, "it died by itself"
                    moved = await pool.fetchval("SELECT COALESCE(sum(lines), 0) FROM charge_file")
                    if doomed and moved > through:
                        await asyncio.sleep(dice.uniform(0, 0.05))
                        break
                    await asyncio.sleep(0.01)
            if work.done():
                return
            counted["kills"] += 1

    counted = {"kills": 0}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        work = asyncio.gather(batches(http), *[file(content, http) for content in contents])
        await asyncio.gather(killer(work), work)
    assert counted["kills"] == kills
    assert lost >= kills, "somebody was cut off each time"
    oracle = {r.record_id: r.price_fen for r in records}
    rows = await pool.fetch("SELECT record_id, price_fen FROM charge_record")
    assert len(rows) == len(oracle)
    assert {row["record_id"]: row["price_fen"] for row in rows} == oracle
    held = await pool.fetch(HELD)
    assert len(held) == len(contents)
    for one in held:
        assert one["state"] == "done"
        assert one["received"] == one["lines"] == 2 * share + 1
        assert one["landed"] + one["quarantined"] + one["duplicates"] == one["lines"]
        assert (one["landed"], one["quarantined"]) == (one["records"], one["bad"])
        assert one["bad"] == 1
