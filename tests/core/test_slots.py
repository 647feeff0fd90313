"""Each slot of a job is done once, whatever the number of workers and their accidents."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from jobs.timetable import SlotJob
from spms.core import db, slots

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def _work(tx, *, actor, now):
    return "done"


def test_missed_slots_are_caught_up_to_a_limit():
    job = SlotJob(name="j", every=MINUTE, catch_up=3, work=_work)
    assert job.slots(None, NOON) == [NOON]
    assert job.slots(NOON, NOON + MINUTE / 2) == []
    assert job.slots(NOON, NOON + 2 * MINUTE) == [NOON + MINUTE, NOON + 2 * MINUTE]
    assert job.slots(NOON - timedelta(days=1), NOON) == [NOON - 2 * MINUTE, NOON - MINUTE, NOON]


async def test_many_workers_do_each_slot_once(pool, owner):
    await owner.execute("CREATE TABLE effect (slot timestamptz)")
    await owner.execute("GRANT INSERT ON effect TO spms_app")
    due = [NOON + i * MINUTE for i in range(20)]

    async def worker(name):
        async with db.transaction(pool) as tx:
            await slots.open_slots(tx, "job", due)
        while True:
            async with db.transaction(pool) as tx:
                slot = await slots.take(tx, "job", owner=name)
            if slot is None:
                return
            async with db.transaction(pool) as tx:
                await tx.execute("INSERT INTO effect VALUES ($1)", slot.slot_at)
                await slots.finish(tx, slot, "done")

    await asyncio.gather(*(worker(f"w{i}") for i in range(6)))
    rows = await owner.fetch("SELECT slot FROM effect ORDER BY slot")
    assert [row["slot"] for row in rows] == due


async def test_a_worker_that_lost_its_lease_leaves_no_effect(pool, owner):
    async with db.transaction(pool) as tx:
        await slots.open_slots(tx, "job", [NOON])
        first = await slots.take(tx, "job", owner="slow")
    await owner.execute("UPDATE job_slot SET lease_until = clock_timestamp() - interval '1 second'")
    async with db.transaction(pool) as tx:
        second = await slots.take(tx, "job", owner="quick")
        await slots.finish(tx, second, "done")
    with pytest.raises(slots.LeaseLost):
        async with db.transaction(pool) as tx:
            await slots.finish(tx, first, "done twice")
    assert await owner.fetchval("SELECT outcome FROM job_slot") == "done"


async def test_a_slot_that_keeps_failing_stays_failed_for_a_person_to_see(pool):
    async with db.transaction(pool) as tx:
        await slots.open_slots(tx, "job", [NOON])
    for _ in range(slots.ATTEMPTS_MAX):
        async with db.transaction(pool) as tx:
            slot = await slots.take(tx, "job", owner="w")
            await slots.fail(tx, slot, "ValueError")
    async with db.transaction(pool) as tx:
        assert await slots.take(tx, "job", owner="w") is None
        assert (await slots.recent(tx, ["job"]))[0].state == "failed"
