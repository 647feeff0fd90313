"""Calls by a machine whose clock is wrong, and what a call that is over keeps from the next one."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from spms.core import clock as core_clock
from spms.core import database_clock, db
from spms.core.clock import SHANGHAI, DatabaseClock, MovableClock
from spms.inspections import actions
from spms.inspections.calling import pump_calls
from spms.inspections.model import Start
from spms.inspections.sip import CallResult
from tests import make


async def draw(pool, now):
    async with db.transaction(pool) as tx:
        return await actions.draw_plan(tx, seed=None, start=Start.NOW, actor=make.OFFICER, now=now)


def answered_at(at):
    return CallResult(
        outcome="answered", sip_code=200, q850_cause=None, redirected_to=None, started_at=at,
        answered_at=at, ended_at=at, ring_seconds=1.0, hung_up_by_line=False, audio_packets=0,
        trace=(),
    )  # fmt: skip


@pytest.mark.parametrize(("hours_off", "true_hour", "leaves"), [(8, 3, False), (-8, 12, True)])
async def test_a_machine_whose_clock_is_hours_off_calls_by_the_database_s(
    pool, tx, prober, invites, monkeypatch, hours_off, true_hour, leaves
):
    """A worker's clock as `spms worker` makes it, moved so that it is another time of day."""
    real = core_clock.machine_now()
    wanted = real.astimezone(SHANGHAI).replace(hour=true_hour, minute=0)
    off = timedelta(hours=hours_off)
    monkeypatch.setattr(core_clock, "machine_now", lambda: datetime.now(UTC) + off)
    told = DatabaseClock()
    await database_clock.read(tx, told, first=True)
    clock = MovableClock(wanted - real, told)
    await make.sp(tx, wanted, hotlines=("4008123456",))
    await draw(pool, wanted - timedelta(days=1))
    await pump_calls(pool, prober, clock)
    assert bool(invites) is leaves


async def test_writing_down_takes_no_place_on_the_trunk(pool, tx, clock):
    """Two places, six calls, and a database that takes nothing: four are placed before any is stored."""
    for _ in range(3):
        await make.sp(tx, clock.now())
    await draw(pool, clock.now())
    placed, most, here = 0, 0, 0
    door, four = asyncio.Event(), asyncio.Event()

    class Quick:
        callers: ClassVar = ["10010", "10011"]
        simultaneous = 2
        calls_per_second = 1000.0
        longest_seconds = 20.0

        async def place(self, _, *, clock):
            nonlocal placed, most, here
            here += 1
            most = max(most, here)
            await asyncio.sleep(0)
            here -= 1
            placed += 1
            if placed == 4:
                four.set()
            return answered_at(clock.now())

    async def record(tx, call, result, *, now):
        await door.wait()
        await real(tx, call, result, now=now)

    real = actions.record_call
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actions, "record_call", record)
        pump = asyncio.create_task(pump_calls(pool, Quick(), clock))
        await asyncio.wait_for(four.wait(), 60)
        await asyncio.sleep(0.2)
        assert (placed, most <= 2) == (4, True)
        door.set()
        await pump
    assert placed == 6
