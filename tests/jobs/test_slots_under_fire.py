"""Four workers as processes; killed, paused, with wrong clocks, the database going away."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from spms.core import migrate, roles
from spms.core.embedded import Embedded

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).parent / "slot_worker.py"
WRONG = (0.0, 7200.0, -1800.0, 0.0)
"""Seconds by which the workers' clocks are wrong: +2 h and −30 min among them."""


class Crew:
    """Four workers; one that is killed is replaced."""

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.workers: list[asyncio.subprocess.Process] = []

    async def start(self, place: int) -> None:
        url, *more = self.arguments
        worker = await asyncio.create_subprocess_exec(
            sys.executable, str(WORKER), url, str(WRONG[place]), *more, cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self.workers[place : place + 1] = [worker]

    async def signal(self, place: int, number: signal.Signals) -> None:
        """Signal a worker; one that ended by itself is a fault, and what it said says which."""
        worker = self.workers[place]
        try:
            worker.send_signal(number)
        except ProcessLookupError:
            _, said = await worker.communicate()
            pytest.fail(f"a worker ended by itself: {said.decode(errors='replace')[-3000:]}")

    async def kill(self, place: int) -> None:
        await self.signal(place, signal.SIGKILL)
        await self.workers[place].communicate()
        await self.start(place)

    async def pause(self, place: int, seconds: float) -> None:
        await self.signal(place, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        await self.signal(place, signal.SIGCONT)

    async def end(self) -> None:
        """Leave none behind, whatever became of the others."""
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.kill()
        for worker in self.workers:
            await worker.communicate()


async def _ask(owner_url: str, sql: str, *values: object) -> list[asyncpg.Record]:
    """Ask on a connection of its own, waiting while the database is away."""
    async with asyncio.timeout(60):
        while True:
            try:
                connection = await asyncpg.connect(owner_url)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.05)
                continue
            try:
                return list(await connection.fetch(sql, *values))
            finally:
                await connection.close()


async def _until(owner_url: str, done: int) -> None:
    async with asyncio.timeout(90):
        while True:
            (row,) = await _ask(
                owner_url, "SELECT count(*) AS n FROM job_slot WHERE state = 'done'"
            )
            if row["n"] >= done:
                return
            await asyncio.sleep(0.02)


async def _fire(
    owner_url: str,
    slots: int,
    *,
    every: float,
    lease: float,
    kills: int,
    pauses: int,
    away: Callable[[], Awaitable[None]],
    times_away: int,
) -> None:
    """Run so many slots under fire, and compare the effects with the slots."""
    await _ask(owner_url, "CREATE TABLE effect (slot timestamptz, by text)")
    await _ask(owner_url, "GRANT INSERT ON effect TO spms_app")
    step = timedelta(seconds=every)
    first = datetime(1970, 1, 1, tzinfo=UTC) + step * (
        (datetime.now(UTC) + timedelta(seconds=1) - datetime(1970, 1, 1, tzinfo=UTC)) // step
    )
    expected = [first + i * step for i in range(slots)]
    crew = Crew(
        roles.app_url(owner_url), str(every), str(lease),
        first.isoformat(), expected[-1].isoformat(),
    )  # fmt: skip
    dice = random.Random(5)
    events = [*("kill",) * kills, *("pause",) * pauses, *("away",) * times_away]
    dice.shuffle(events)
    try:
        for place in range(len(WRONG)):
            await crew.start(place)
        for number, event in enumerate(events, start=1):
            await _until(owner_url, (number * slots) // (len(events) + 2))
            place = dice.randrange(len(WRONG))
            if event == "kill":
                await crew.kill(place)
            elif event == "pause":
                await crew.pause(place, 3 * lease)
            else:
                await away()
        await _until(owner_url, slots)
    finally:
        await crew.end()
    effects = await _ask(owner_url, "SELECT slot FROM effect ORDER BY slot")
    assert [row["slot"] for row in effects] == expected, "each slot once, none missing"
    known = await _ask(owner_url, "SELECT slot_at FROM job_slot ORDER BY slot_at")
    assert [row["slot_at"] for row in known] == expected, "none from the future of a fast clock"


async def test_two_hundred_slots_under_kills_pauses_wrong_clocks_and_lost_connections(
    owner_url: str,
) -> None:
    async def away() -> None:
        await _ask(
            roles.app_url(owner_url),  # a role may end its own sessions
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()",
        )

    await _fire(owner_url, 200, every=0.02, lease=0.3, kills=3, pauses=2, away=away, times_away=2)


@asynccontextmanager
async def _own_server(directory: Path) -> AsyncIterator[Embedded]:
    server = Embedded(directory)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_two_hundred_slots_while_the_server_itself_is_restarted(tmp_path: Path) -> None:
    """Ten kills, five pauses of three leases, three restarts of PostgreSQL."""
    async with _own_server(tmp_path / "postgres") as server:
        owner = await asyncpg.connect(server.owner_url)
        await roles.ensure_group(owner)
        await migrate.migrate(owner)
        await roles.make_login(owner, server.owner_url)
        await owner.close()

        async def away() -> None:
            await server.stop()
            await server.start()

        await _fire(
            server.owner_url, 200, every=0.05, lease=1.0, kills=10, pauses=5, away=away,
            times_away=3,
        )  # fmt: skip
