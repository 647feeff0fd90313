"""Each slot of a job is done once, whatever the number of workers and their accidents."""

import asyncio
import io
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from rich.console import Console

import jobs
from jobs import runner
from jobs.timetable import Chunk, ChunkJob, SlotJob
from spms.cli.jobs import table_of
from spms.core import clock as clocks
from spms.core import db, slots
from spms.core.clock import FixedClock

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


async def _taken(pool, name="w"):
    async with db.transaction(pool) as tx:
        return await slots.take(tx, "job", owner=name)


async def _opened(pool):
    async with db.transaction(pool) as tx:
        await slots.open_slots(tx, "job", [NOON])


async def _now_a_lease_later(owner):
    await owner.execute("UPDATE job_slot SET lease_until = clock_timestamp() - interval '1 second'")


async def test_a_worker_that_lost_its_lease_leaves_no_effect(pool, owner):
    await _opened(pool)
    first = await _taken(pool, "slow")
    await _now_a_lease_later(owner)
    second = await _taken(pool, "quick")
    async with db.transaction(pool) as tx:
        await slots.finish(tx, second, "done")
        assert not await slots.renew(tx, first)
    with pytest.raises(slots.LeaseLost):
        async with db.transaction(pool) as tx:
            await slots.finish(tx, first, "done twice")
    with pytest.raises(slots.LeaseLost):
        async with db.transaction(pool) as tx:
            await slots.advance(tx, first, "2")
    assert await owner.fetchval("SELECT outcome FROM job_slot") == "done"


async def test_a_failing_slot_is_tried_again_after_growing_pauses_and_then_left_to_a_person(
    pool, owner
):
    await _opened(pool)
    pauses = []
    for _ in range(1 + len(slots.BACK_OFF)):
        slot = await _taken(pool)
        async with db.transaction(pool) as tx:
            await slots.fail(tx, slot, "ValueError")
        assert await _taken(pool) is None, "not at once"
        pause = await owner.fetchval("SELECT try_at - finished_at FROM job_slot")
        pauses.append(pause)
        await owner.execute("UPDATE job_slot SET try_at = clock_timestamp()")
    assert [round(p.total_seconds()) for p in pauses[:-1]] == [
        p.total_seconds() for p in slots.BACK_OFF
    ]
    assert pauses[-1] is None
    async with db.transaction(pool) as tx:
        (last,) = await slots.recent(tx, ["job"])
        assert (last.state, last.failures, last.last_error) == ("failed", 8, "ValueError")
        slot = await slots.take_by_hand(tx, "job", NOON, who="command:li")
        await slots.finish(tx, slot, "done")
        assert await slots.take_by_hand(tx, "job", NOON, who="command:li") is None, "it is done"
        (last,) = await slots.recent(tx, ["job"])
    assert (last.state, last.by_hand) == ("done", "command:li")


async def test_a_slot_that_kills_its_workers_ends_too(pool, owner):
    await _opened(pool)
    for _ in range(1 + len(slots.BACK_OFF)):
        assert await _taken(pool) is not None
        await _now_a_lease_later(owner)
    assert await _taken(pool) is None
    assert await owner.fetchval("SELECT state FROM job_slot") == "failed"


class _House:
    def __init__(self, pool, clock):
        self.pool, self.clock = pool, clock


async def test_the_daily_draw_survives_a_short_disturbance(pool, owner, clock):
    """It fails while something is broken, and is done when that is mended; nobody does anything."""
    tries = []

    async def work(tx, *, actor, now):
        tries.append(now)
        if len(tries) < 3:
            raise OSError("the disk is full")
        return "drawn"

    job = SlotJob(name="job", every=timedelta(days=1), work=work)
    house = _House(pool, clock)
    for tried in (1, 2, 3):
        await runner.run_due_slots(house, job, "w")
        await runner.run_due_slots(house, job, "w")
        assert len(tries) == tried, "not again before its pause is over"
        await owner.execute("UPDATE job_slot SET try_at = clock_timestamp()")
    assert await owner.fetchval("SELECT outcome FROM job_slot WHERE state = 'done'") == "drawn"


async def test_a_job_in_chunks_goes_on_where_it_died(pool, owner, clock):
    done, dies = [], [True]

    async def work(tx, *, position, actor, now):
        n = int(position or 0)
        if n == 2 and dies.pop(0):
            dies.append(False)
            raise RuntimeError("killed")
        done.append(n)
        return Chunk(words=f"{n + 1} chunks", position=str(n + 1) if n < 3 else None)

    job = ChunkJob(name="job", every=timedelta(days=1), work=work)
    await runner.run_due_slots(_House(pool, clock), job, "w")
    assert done == [0, 1]
    await owner.execute("UPDATE job_slot SET try_at = clock_timestamp()")
    await runner.run_due_slots(_House(pool, clock), job, "w")
    assert done == [0, 1, 2, 3], "no chunk twice, none left out"
    assert await owner.fetchval("SELECT outcome FROM job_slot") == "4 chunks"


async def test_a_long_slot_keeps_its_lease_and_one_that_never_ends_is_broken_off(pool, clock):
    begun = asyncio.Event()

    async def work(tx, *, actor, now):
        begun.set()
        await asyncio.sleep(6.5)
        return "slow"

    house = _House(pool, clock)
    job = SlotJob(name="job", every=timedelta(days=1), work=work, lease=timedelta(seconds=6))
    first = asyncio.create_task(runner.run_due_slots(house, job, "w"))
    await begun.wait()
    while not first.done():
        assert await runner.run_due_slots(house, job, "other") == 0
        await asyncio.sleep(0.1)
    assert await first == 1
    clock.move(timedelta(days=1))
    endless = SlotJob(
        name="job", every=timedelta(days=1), work=work, longest=timedelta(seconds=0.05)
    )
    await runner.run_due_slots(house, endless, "w")
    async with db.acquired(pool) as read:
        (last,) = await slots.recent(read, ["job"])
    assert (last.state, last.last_error) == ("due", "TimeoutError")


@pytest.mark.parametrize("wrong", [timedelta(hours=2), timedelta(minutes=-30)])
async def test_a_machine_with_a_wrong_clock_opens_the_slots_that_are_due_and_no_others(pool, wrong):
    job = SlotJob(name="job", every=MINUTE, work=_work)
    right = clocks.machine_now()
    with (
        mock.patch.object(runner, "machine_now", return_value=right + wrong),
        mock.patch.object(clocks, "machine_now", return_value=right + wrong),
    ):
        await runner.run_due_slots(_House(pool, clocks.SystemClock()), job, "w")
    async with db.acquired(pool) as read:
        latest, at = await slots.latest(read, "job")
    assert latest in {job.newest(right), job.newest(at)}


async def test_a_slot_is_run_by_hand_and_the_list_says_so(pool, clock):
    job = next(job for job in jobs.TIMETABLE if job.name == "expire_prompts")
    at = FixedClock(clock.now())
    await runner.run_due_slots(_House(pool, at), job, "w")
    extra = clock.now() + timedelta(seconds=7)
    done = await runner.run_by_hand(pool, at, job, extra, who="command:li")
    assert (done.state, done.by_hand) == ("done", "command:li")
    assert await runner.run_by_hand(pool, at, job, extra, who="command:li") is None
    async with db.acquired(pool) as read:
        assert (await slots.latest(read, job.name))[0] == job.newest(clock.now())
        known = await slots.history(read, [each.name for each in jobs.TIMETABLE])
    narrow, wide = (printed(table_of(jobs.TIMETABLE, known, clock.now()), n) for n in (80, 240))
    assert all(each.name in narrow for each in jobs.TIMETABLE), "no name is cut"
    assert "done by command:li" in wide


def printed(table, width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()
