"""Two workers with findings about one SP: the ladder counts both."""

import asyncio
from uuid import UUID, uuid4

from spms.core import db, outbox
from spms.core.access import job_actor
from spms.inspections.model import TOPIC_JUDGED
from spms.partners import actions as partners
from spms.partners.model import Measure
from spms.penalties import actions
from tests import make

JOB = job_actor("follow_inspections")


async def _changed(pool, now, sp_id: UUID, hotline: str) -> None:
    payload = {
        "item_id": str(uuid4()), "sp_id": str(sp_id), "hotline": hotline,
        "verdict": "number_changed",
    }  # fmt: skip
    async with db.transaction(pool) as tx:
        await outbox.put(tx, TOPIC_JUDGED, payload, now=now)


async def _follow(pool, now) -> int:
    async with db.transaction(pool) as tx:
        return await actions.follow_inspections(tx, actor=JOB, now=now)


async def test_two_breaches_of_one_sp_at_once_are_both_on_the_ladder(pool, now):
    async with db.transaction(pool) as tx:
        sp_id = await make.sp(tx, now)
    await _changed(pool, now, sp_id, "4008000000")
    async with db.transaction(pool) as tx:
        assert await actions.follow_inspections(tx, actor=JOB, now=now) == 1
        await _changed(pool, now, sp_id, "4008000001")
        other = asyncio.create_task(_follow(pool, now))
        # It waits for our transaction; without the lock it would be done now, seeing one breach.
        await asyncio.wait({other}, timeout=0.5)
    assert await other == 1
    async with db.snapshot(pool) as read:
        assert (await actions.balance(read, sp_id, year=2026, at=now)).left == -20
        held = {r.measure for r in await partners.restrictions_at(read, sp_id, at=now)}
    assert Measure.OFFLINE in held
