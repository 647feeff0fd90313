"""Workers are killed in the middle of calls (SIGKILL): no attempt is ever placed twice."""

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spms.core import db, roles
from spms.inspections import actions, evidence, queries
from spms.inspections.model import Start
from spms.inspections.policy import InspectionRules
from spms.inspections.rules import may_call
from spms.inspections.sandbox_call import Behaviour, LineKind
from spms.inspections.sandbox_lines import SandboxLines
from tests import make

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).parent / "doomed_worker.py"
KINDS = [kind for kind in LineKind if kind is not LineKind.FLAKY]
RULES = InspectionRules()


async def _until_under_way(worker: Process, invites: list[Any], enough: int) -> None:
    """Wait until a worker has placed enough calls, or all that were due; however slow its start."""
    assert worker.stdout is not None
    through = asyncio.create_task(worker.stdout.readline())
    async with asyncio.timeout(120):
        while len(invites) < enough and not through.done():  # noqa: ASYNC110 - datagrams
            await asyncio.sleep(0.01)
    if through.done():
        assert await through, "it ended by itself"
    through.cancel()
    await asyncio.gather(through, return_exceptions=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("items", "kills"), [(40, 4), pytest.param(500, 20, marks=pytest.mark.soak)]
)
async def test_at_most_one_invite_per_attempt_whatever_is_killed(
    pool, tx, clock, owner, owner_url, invites, items, kills
):
    for n in range(items // 2):
        await make.sp(tx, clock.now(), hotlines=(f"4007{2 * n:06d}", f"4007{2 * n + 1:06d}"))
    async with db.transaction(pool) as own:
        await actions.draw_plan(
            own, seed=None, start=Start.NOW, actor=make.OFFICER, now=clock.now()
        )
    dice = random.Random(11)
    async with SandboxLines(t1_seconds=0.05) as lines:
        for n in range(items):
            kind = KINDS[n % len(KINDS)]
            lines.set(f"4007{n:06d}", Behaviour(kind=kind, ring_seconds=0.1))
        for _ in range(kills):
            before = len(invites)
            worker = await asyncio.create_subprocess_exec(
                sys.executable, str(WORKER), roles.app_url(owner_url), str(lines.port),
                clock.now().isoformat(), cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=PIPE,
            )  # fmt: skip
            allowed = may_call(clock.now(), RULES)
            try:
                await _until_under_way(worker, invites, before + 5)
                await asyncio.sleep(dice.uniform(0.0, 0.3))
            finally:
                worker.kill()
                await worker.communicate()
            assert allowed or len(invites) == before, "a call outside the permitted hours"
            await owner.execute(
                "UPDATE hotline_call SET lease_until = clock_timestamp() - interval '1 s' "
                "WHERE state = 'placing'"
            )
            clock.move(timedelta(minutes=dice.choice((31, 31, 45, 300, -10))))
        async with db.transaction(pool) as own:
            await actions.give_up_lost(own, now=clock.now())
    calls = await tx.fetch("SELECT call_id, number, state FROM hotline_call WHERE call_id <> ''")
    told = Counter(call_id for call_id, _ in invites)
    assert set(told.values()) == {1}
    assert told.keys() <= {call["call_id"] for call in calls}
    assert {call["call_id"] for call in calls if call["state"] == "finished"} <= told.keys()
    assert sum(call["state"] == "unknown" for call in calls) >= kills // 2
    async with db.snapshot(pool) as read:
        for number in {call["number"] for call in calls}:
            assert evidence.first_break(await queries.evidence(read, number)) is None
