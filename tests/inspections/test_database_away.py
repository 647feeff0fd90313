"""PostgreSQL is killed between a call's end and its record: the result waits, and is written."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import pytest

from spms.core import db, migrate, roles
from spms.core.clock import FixedClock
from spms.core.embedded import Embedded
from spms.core.settings import Settings
from spms.inspections import actions, calling
from spms.inspections.model import LineIn, Placing, Start
from spms.inspections.prober import SandboxProber, sandbox_prober
from spms.inspections.sandbox_call import LineKind
from spms.inspections.sip import CallResult
from tests import make


class Fatal:
    """A prober after whose calls something befalls the database."""

    callers: ClassVar = ["10010", "10011"]
    simultaneous = 5
    calls_per_second = 100.0

    def __init__(self, prober: SandboxProber, befalls: Any, longest: float = 60.0) -> None:
        self.prober, self.befalls = prober, befalls
        self.longest_seconds = longest
        self.placed = 0

    async def place(self, call: Placing, *, clock: Any) -> CallResult:
        result = await self.prober.place(call, clock=clock)
        self.placed += 1
        await self.befalls()
        return result


async def _draw(pool: db.Pool, clock: FixedClock) -> None:
    async with db.transaction(pool) as tx:
        await make.sp(tx, clock.now(), hotlines=("4008123456", "4008123457"))
        for number in ("4008123456", "4008123457"):
            line = LineIn(number=number, behaviour=LineKind.BUSY)
            await actions.put_line(tx, line, actor=make.ADMIN, now=clock.now())
        await actions.draw_plan(tx, seed=None, start=Start.NOW, actor=make.OFFICER, now=clock.now())


CALLS = "SELECT state, outcome, attempt_no FROM hotline_call WHERE attempt_no = 1"


async def test_a_result_outlives_the_kill_of_postgresql(
    tmp_path: Path, clock: FixedClock, settings: Settings
) -> None:
    server = Embedded(tmp_path / "postgres")
    await server.start()
    watch = asyncio.create_task(server.watch())
    try:
        owner = await asyncpg.connect(server.owner_url)
        await roles.ensure_group(owner)
        await migrate.migrate(owner)
        await roles.make_login(owner, server.owner_url)
        await owner.close()
        pool = await db.open_pool(roles.app_url(server.owner_url), settings)
        await _draw(pool, clock)
        pid = tmp_path / "postgres" / "data" / "postmaster.pid"

        async def befalls() -> None:
            if prober.placed == 1:
                os.kill(int(pid.read_text().split()[0]), signal.SIGKILL)

        async with sandbox_prober(pool) as lines:
            prober = Fatal(lines, befalls)
            # The pump itself may hear of it: it says so, after the results are down.
            await asyncio.gather(calling.pump_calls(pool, prober, clock), return_exceptions=True)
            assert prober.placed == 2
        async with db.acquired(pool) as read:
            calls = [tuple(row) for row in await read.fetch(CALLS)]
        assert calls == [("finished", "busy", 1)] * 2
        await pool.close()
    finally:
        watch.cancel()
        await server.stop()


class _Away:
    """A pool that is away for a while, and keeps count of who knocks."""

    def __init__(self, pool: db.Pool) -> None:
        self.pool, self.gone, self.knocks = pool, False, 0
        self.back_after = 1_000

    async def acquire(self, *, timeout: float | None = None) -> Any:
        if self.gone:
            self.knocks += 1
            self.gone = self.knocks < self.back_after
            raise ConnectionRefusedError
        return await self.pool.acquire(timeout=timeout)

    async def release(self, connection: Any) -> None:
        await self.pool.release(connection)


async def test_a_pump_that_cannot_take_more_hangs_up_no_call_under_way(
    pool: db.Pool, tx: db.Connection, clock: FixedClock, prober: SandboxProber
) -> None:
    """The database goes while a call rings: the call is ended properly and written down."""
    await _draw(pool, clock)
    away: Any = _Away(pool)
    prober.simultaneous = 2

    away.back_after = 3

    async def befalls() -> None:
        away.gone = fatal.placed == 1 or away.gone

    fatal = Fatal(prober, befalls)
    await asyncio.gather(calling.pump_calls(away, fatal, clock), return_exceptions=True)
    assert away.knocks == 3
    assert [tuple(row) for row in await tx.fetch(CALLS)] == [("finished", "busy", 1)] * 2


async def test_a_database_away_for_longer_than_the_lease_leaves_the_call_unknown(
    pool: db.Pool, tx: db.Connection, clock: FixedClock, prober: SandboxProber,
    owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(calling, "LEASE_MARGIN_SECONDS", -59.0)
    await _draw(pool, clock)
    away: Any = _Away(pool)

    async def befalls() -> None:
        away.gone = True

    with pytest.raises(ConnectionRefusedError):
        await calling.pump_calls(away, Fatal(prober, befalls), clock)
    assert away.knocks >= 2
    assert {row["state"] for row in await tx.fetch(CALLS)} == {"placing"}
    await owner.execute("UPDATE hotline_call SET lease_until = clock_timestamp() - interval '1 s'")
    away.gone = False
    async with db.transaction(pool) as own:
        assert await actions.give_up_lost(own, now=clock.now()) == 1
    assert "unknown" in {row["state"] for row in await tx.fetch(CALLS)}
