"""The embedded PostgreSQL after a kill -9, with two owners, after half a start: nothing is lost."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from spms.core.embedded import DATABASE, Account, Embedded
from spms.core.embedded_binaries import find_binaries
from spms.core.embedded_cluster import Cluster
from spms.core.embedded_processes import command_line
from tests.core import embedded_home
from tests.core.embedded_home import (
    PATIENCE_SECONDS,
    acknowledged,
    connected,
    eventually,
    running,
    server_pid,
)

account = embedded_home.account
bystander = embedded_home.bystander
home = embedded_home.home
lives = embedded_home.lives
made = embedded_home.made

IS_COMPUTING = """
SELECT state = 'active' AND query LIKE '%generate_series%' FROM pg_stat_activity WHERE pid = $1
"""


async def test_a_killed_server_comes_back_with_every_acknowledged_row(home: Path) -> None:
    """`watch` starts it again on the same address, though a session still computes."""
    told: list[str] = []
    async with running(home) as embedded:
        watch = asyncio.create_task(embedded.watch(told.append))
        url = embedded.owner_url
        busy = await asyncpg.connect(url)
        session = await busy.fetchval("SELECT pg_backend_pid()")
        async with connected(url) as connection:
            await connection.execute("CREATE TABLE kept (id int)")
            await connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
            long = asyncio.create_task(
                busy.execute("SELECT count(*) FROM generate_series(1, 1e11)")
            )
            for _ in range(1000):
                if await connection.fetchval(IS_COMPUTING, session):
                    break
                await asyncio.sleep(0.01)

        os.kill(server_pid(home), signal.SIGKILL)
        await eventually(lambda: len(told) == 2)

        with pytest.raises((OSError, asyncpg.PostgresError)):
            await long
        assert told[1] == "PostgreSQL accepts connections again"
        assert "postgres" not in command_line(session)
        assert embedded.owner_url == url
        async with connected(url) as connection:
            assert await connection.fetchval("SELECT count(*) FROM kept") == 1000
    await asyncio.wait_for(watch, PATIENCE_SECONDS)
    assert not watch.cancelled()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
async def test_a_killed_owner_takes_its_server_along_and_the_data_stays(
    tmp_path: Path, account: Account | None, lives: Callable[..., subprocess.Popen[str]]
) -> None:
    """kill -9 of the application leaves no server behind and loses no committed row."""
    directory = tmp_path / "postgres"
    arguments = () if account is None else (account.value,)
    life = lives(directory, *arguments)
    last = int((await acknowledged(life, 50))[0])
    server = server_pid(directory)

    life.kill()
    life.wait()
    await eventually(lambda: not command_line(server))

    async with (
        running(directory, account=account) as embedded,
        connected(embedded.owner_url) as connection,
    ):
        found = await connection.fetchval("SELECT count(*) FROM kept WHERE id <= $1", last)
        assert found == last


async def test_an_owner_killed_and_started_at_once_finds_everything(
    home: Path, lives: Callable[..., subprocess.Popen[str]]
) -> None:
    """The next start waits for, or ends, what the killed one left."""
    last = 0
    for _ in range(5):
        life = lives(home)
        last = int((await acknowledged(life, 20))[0])
        life.kill()
    async with running(home) as embedded, connected(embedded.owner_url) as connection:
        found = await connection.fetchval("SELECT count(*) FROM kept WHERE id <= $1", last)
        assert found == last


async def test_a_server_that_lost_its_owner_is_ended_before_the_next_start(home: Path) -> None:
    """Where no death signal exists the old server lives on: it is stopped, not fought."""
    forgetful = Embedded(home)
    await forgetful.start()
    orphan = server_pid(home)
    forgetful._cluster.release_lock()

    async with running(home) as embedded:
        assert not embedded.adopted
        assert server_pid(home) != orphan
        await eventually(lambda: not command_line(orphan))
    await forgetful.stop()


async def test_a_second_supervisor_adopts_the_server_and_later_takes_over(home: Path) -> None:
    """Two processes with one directory share one server; the last one keeps it alive."""
    first = Embedded(home)
    second = Embedded(home)
    await asyncio.gather(first.start(), second.start())
    owner, guest = (second, first) if first.adopted else (first, second)
    assert guest.adopted
    assert not owner.adopted
    assert owner.owner_url == guest.owner_url

    await guest.stop()
    async with connected(owner.owner_url) as connection:
        assert await connection.fetchval("SELECT 1") == 1

    await guest.start()
    told: list[str] = []
    watch = asyncio.create_task(guest.watch(told.append))
    await owner.stop()
    await eventually(lambda: len(told) == 2)
    assert not guest.adopted
    async with connected(guest.owner_url) as connection:
        assert await connection.fetchval("SELECT current_database()") == DATABASE
    await guest.stop()
    await asyncio.wait_for(watch, PATIENCE_SECONDS)


async def test_a_start_that_broke_off_heals_with_the_next(tmp_path: Path) -> None:
    """Neither half an initdb nor a cluster without role and database is taken for a whole one."""
    directory = tmp_path / "postgres"
    half = directory / "data.new-half" / "data"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    cluster = Cluster(directory)
    await cluster.initialise(await find_binaries())
    assert cluster.password("spms_owner") is None

    async with running(directory) as embedded, connected(embedded.owner_url) as connection:
        assert await connection.fetchval("SELECT current_user") == "spms_owner"
    assert not list(directory.glob("data.new-*"))


async def test_a_lost_owner_password_is_made_anew(home: Path) -> None:
    """Only the superuser's password cannot be replaced."""
    (home / "spms_owner.password").unlink()
    async with running(home) as embedded, connected(embedded.owner_url) as connection:
        assert await connection.fetchval("SELECT current_user") == "spms_owner"


async def test_a_stale_process_file_with_a_foreign_number_does_not_stop_the_start(
    home: Path, bystander: subprocess.Popen[bytes]
) -> None:
    """After a reboot the number in postmaster.pid may be anybody's; that process is left alone."""
    old = f"{bystander.pid}\n{home}/data\n1\n20001\n\n127.0.0.1\n   1  2\nready   \n"
    (home / "data" / "postmaster.pid").write_text(old)
    async with running(home):
        assert server_pid(home) != bystander.pid
    assert bystander.poll() is None
