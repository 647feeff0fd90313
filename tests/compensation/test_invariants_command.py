"""`spms invariants`: says what holds, and fails with ids when something does not."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, STDOUT

import pytest

from spms.core import roles
from tests.compensation.conftest import PRICE


@pytest.mark.parametrize("broken", [False, True])
async def test_the_command_says_what_holds_and_fails_with_ids(
    owner, owner_url, world, audit, tmp_path, monkeypatch, broken
):
    charge_id = await world.wrong()
    assert await audit() == 1
    if broken:
        await owner.execute("ALTER TABLE claim DROP CONSTRAINT claim_first_round")
        await owner.execute("UPDATE claim SET principal_fen = $1, compensation_fen = $1", PRICE - 1)
        await owner.execute("UPDATE posting SET actor = 'x'")
    monkeypatch.setenv("SPMS_DATABASE_URL", owner_url)
    monkeypatch.setenv("SPMS_APP_DATABASE_URL", roles.app_url(owner_url))
    monkeypatch.setenv("SPMS_DATA_DIR", str(tmp_path))
    report = tmp_path / "report.json"
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "spms", "invariants", "--chain", "--json", str(report),
        stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    said, _ = await done.communicate()
    assert done.returncode == int(broken), said.decode()
    told = json.loads(report.read_text())
    offending = {one["name"]: one["offending"] for one in told["invariants"] if not one["holds"]}
    assert bool(told["damaged"]) == broken
    assert offending == ({
        "refunds_add_up": [str(charge_id)], "refunds_are_booked": [str(charge_id)],
        "receivable_is_advances_less_recoveries": [str(world.sp_id)],
    } if broken else {})  # fmt: skip
