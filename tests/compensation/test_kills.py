"""The application is killed (SIGKILL) in the middle of claims: each charge is refunded once."""

import asyncio
import random
import sys
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from spms.compensation import journal
from spms.compensation.invariant_queries import INVARIANTS
from spms.core import invariants, roles
from tests import make
from tests.compensation.conftest import MANY_LOOKS, PRICE
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
APP = Path(__file__).parent / "doomed_app.py"
CLIENTS = 8
REFUNDS = """
    SELECT charge_id, array_agg(kind ORDER BY kind) AS kinds, sum(amount_fen)::bigint AS fen
      FROM refund GROUP BY charge_id
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


async def ask(http, body, headers):
    """Claim until there is an answer; return how often the connection broke."""
    lost = 0
    while True:
        # A key of its own for every try: the promise must not rest on it.
        key = {"Idempotency-Key": uuid4().hex}
        try:
            answer = await http.post("/claims", json=body, headers=headers | key)
        except httpx.TransportError:
            lost += 1
            await asyncio.sleep(0.05)
            continue
        if answer.status_code == 200:
            return lost
        assert answer.status_code == 503, answer.text


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.soak)])
async def test_each_charge_is_refunded_once_whatever_is_killed(
    owner_url, pool, now, world, sign_in, audit, tmp_path, kills
):
    charges = [await world.wrong() for _ in range(8 * (kills + 1))]
    subscriber = await sign_in(make.subscriber_actor(world.msisdn))
    agent = await sign_in(make.AGENT)
    await world.tx.execute(MANY_LOOKS, now)
    port, dice = free_port(), random.Random(kills)
    answered, lost = 0, 0

    async def client(number, http):
        nonlocal answered, lost
        for charge_id in charges:
            body = {"charge_id": str(charge_id), "reason": "not mine"}
            as_agent = number % 2
            if as_agent:
                body["msisdn"] = world.msisdn
            lost += await ask(http, body, agent if as_agent else subscriber)
            answered += 1

    async def killer():
        total = CLIENTS * len(charges)
        marks = [total * n // (kills + 1) for n in range(kills + 1)]
        for _, until in pairwise([*marks, total]):
            async with serving(roles.app_url(owner_url), port, now, tmp_path) as process:
                while answered < until:
                    assert process.returncode is None, "it died by itself"
                    await asyncio.sleep(0.01)
                await asyncio.sleep(dice.uniform(0, 0.02))
            if until < total:
                await audit(limit=3)

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
        await asyncio.gather(killer(), *[client(number, http) for number in range(CLIENTS)])
    assert lost >= kills, "somebody was cut off each time"
    found = {row["charge_id"]: row for row in await world.tx.fetch(REFUNDS)}
    assert found.keys() == set(charges)
    assert {tuple(row["kinds"]) for row in found.values()} == {("compensation", "principal")}
    assert {row["fen"] for row in found.values()} == {2 * PRICE}
    assert (await journal.verify(pool))[1] == []
    assert [one for one in await invariants.check(world.tx, INVARIANTS) if not one.holds] == []
