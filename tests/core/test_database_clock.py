"""Every process tells the database's time, whatever its own machine takes for the time."""

import dataclasses
import itertools
from datetime import timedelta
from typing import Any, cast

import pytest

from jobs import runner
from jobs.timetable import SlotJob
from spms.cli.process import base
from spms.core import clock as clocks
from spms.core import database_clock, db
from spms.core.clock import DatabaseClock, MovableClock, machine_now
from spms.core.settings import Settings

HOUR = timedelta(hours=1)
READ = "SELECT clock_timestamp()"


@dataclasses.dataclass
class _House:
    pool: db.Pool
    clock: clocks.Clock


def machine_wrong_by(monkeypatch: pytest.MonkeyPatch, wrong: timedelta) -> None:
    monkeypatch.setattr(clocks, "machine_now", lambda: machine_now() + wrong)


async def tells_the_databases(
    pool: db.Pool, clock: clocks.Clock, *, off: timedelta = timedelta(), error: float
) -> bool:
    """Whether a clock's time lies between two readings of the database's, within its error."""
    before = await pool.fetchval(READ)
    now = clock.now() - off
    after = await pool.fetchval(READ)
    within = timedelta(seconds=error)
    return bool(before - within <= now <= after + within)


@pytest.mark.parametrize("wrong", [HOUR, -HOUR])
@pytest.mark.parametrize("sandbox", [False, True])
async def test_a_process_on_a_machine_with_a_wrong_clock_tells_the_databases_time(
    owner_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, wrong: timedelta,
    sandbox: bool,
) -> None:  # fmt: skip
    machine_wrong_by(monkeypatch, wrong)
    ours = Settings(
        data_dir=settings.data_dir, database_url=owner_url, sandbox=sandbox, pool_size=4
    )
    async with base(ours) as ground:
        assert isinstance(ground.clock, MovableClock) is sandbox
        assert clocks.follows_database(ground.clock)
        assert await tells_the_databases(ground.pool, ground.clock, error=60)


async def test_readings_keep_it_right_and_slow_ones_are_left_alone(
    pool: db.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_wrong_by(monkeypatch, HOUR)
    clock = DatabaseClock()
    assert not await tells_the_databases(pool, clock, error=60)
    async with db.acquired(pool) as read:
        error = await database_clock.read(read, clock, first=True)
        assert await tells_the_databases(pool, clock, error=error)
        clock.set(clock.now() - HOUR, clocks.steady_seconds())  # as if the machine had slept
        assert not await tells_the_databases(pool, clock, error=60)
        late = itertools.cycle((0, 2))  # two seconds there and back
        with monkeypatch.context() as slow:
            slow.setattr(
                database_clock, "steady_seconds", lambda: clocks.steady_seconds() + next(late)
            )
            assert await database_clock.read(read, clock) > 1
        assert not await tells_the_databases(pool, clock, error=60)
        await database_clock.read(read, clock)
    assert await tells_the_databases(pool, clock, error=60)


def test_it_does_not_go_back_unless_it_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    at = 1000.0
    monkeypatch.setattr(clocks, "steady_seconds", lambda: at)
    clock = DatabaseClock()
    began = clock.now()
    clock.set(began - timedelta(milliseconds=30), at)
    assert clock.now() == began, "two readings differed: it stands"
    at += 0.05
    assert clock.now() == began + timedelta(milliseconds=20)
    clock.set(began - HOUR, at)
    assert clock.now() == began - HOUR, "the database's own clock was set back"


async def test_a_worker_that_tells_the_databases_time_is_not_corrected_twice(
    pool: db.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_wrong_by(monkeypatch, 2 * HOUR)
    monkeypatch.setattr(runner, "machine_now", clocks.machine_now)
    clock, told = DatabaseClock(), []

    async def work(tx: db.Connection, *, actor: object, now: object) -> str:
        told.append(now)
        return "done"

    async with db.acquired(pool) as read:
        await database_clock.read(read, clock, first=True)
        before = await read.fetchval(READ)
    job = SlotJob(name="job", every=timedelta(days=1), work=work)
    await runner.run_due_slots(cast("Any", _House(pool, clock)), job, "w")
    after = await pool.fetchval(READ)
    assert len(told) == 1
    assert before - timedelta(seconds=60) <= told[0] <= after + timedelta(seconds=60)
