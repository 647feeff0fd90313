"""The embedded PostgreSQL: made once, warm at once, closed to others, discreet in its log."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from spms.core.embedded import Account, Embedded, EmbeddedError
from spms.core.embedded_binaries import LAUNCHER, memory_mb, shared_buffers_mb
from spms.core.embedded_cluster import LOG_BYTES_KEPT, LOG_BYTES_MAX, Cluster
from spms.core.embedded_launch import NOBODY
from spms.core.embedded_processes import is_free
from tests.core import embedded_home
from tests.core.embedded_home import (
    acknowledged,
    connected,
    enters,
    hand_over,
    owner_of,
    running,
    server_pid,
)

account = embedded_home.account
home = embedded_home.home
lives = embedded_home.lives
made = embedded_home.made


@pytest.mark.parametrize(
    ("memory", "buffers"), [(512, 256), (4096, 512), (16_384, 2048), (262_144, 2048)]
)
def test_buffers_follow_the_memory_within_bounds(memory: int, buffers: int) -> None:
    assert shared_buffers_mb(memory) == buffers


def test_a_container_has_the_memory_it_is_given(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    machine = memory_mb(limit)
    limit.write_text("max\n")
    assert memory_mb(limit) == machine
    limit.write_text(f"{64 * 2**20}\n")
    assert memory_mb(limit) == 64


async def test_a_first_start_makes_role_and_database_and_a_warm_start_keeps_them(
    tmp_path: Path, account: Account | None
) -> None:
    """Whatever account runs PostgreSQL, the directory serves again with its data and its port."""
    directory = tmp_path / "postgres"
    async with running(directory, account=account) as embedded:
        await embedded.start()  # a second call changes nothing
        first_url = embedded.owner_url
        async with connected(first_url) as connection:
            await connection.execute("CREATE TABLE kept AS SELECT 'Zhōngguó 中国' AS words")
    async with (
        running(directory, account=account) as embedded,
        connected(embedded.owner_url) as connection,
    ):
        assert embedded.owner_url == first_url
        assert await connection.fetchval("SELECT upper(words) FROM kept") == "ZHŌNGGUÓ 中国"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change between accounts")
async def test_a_directory_made_under_one_account_serves_under_the_other(home: Path) -> None:
    """The data directory is handed over when root finds the other way closed."""
    for wanted in (Account.NOBODY, Account.NAMESPACE, Account.NOBODY):
        if wanted is Account.NAMESPACE and not await asyncio.to_thread(enters, wanted):
            continue
        async with running(home, account=wanted) as embedded, connected(embedded.owner_url):
            assert owner_of(home / "data" / "PG_VERSION") == wanted.uid


async def test_an_ordinary_user_keeps_a_server(
    home: Path, lives: Callable[..., subprocess.Popen[str]]
) -> None:
    """Without root nothing is given away: the user's own directory and processes."""
    if os.geteuid() != 0:
        life = lives(home)
        assert (await acknowledged(life, 1))[1] == str(os.geteuid())
        return
    hand_over(home, NOBODY)
    leave_root = (sys.executable, "-I", "-S", str(LAUNCHER), "nobody", str(os.getpid()))
    life = lives(home, through=leave_root)

    assert (await acknowledged(life, 1))[1] == str(NOBODY)
    assert owner_of(Path(f"/proc/{server_pid(home)}")) == NOBODY


async def test_a_wrong_password_is_refused_from_everywhere(home: Path) -> None:
    """No line of the cluster trusts anybody."""
    rules = (home / "data" / "pg_hba.conf").read_text().splitlines()
    methods = {line.split()[-1] for line in rules if line and not line.startswith("#")}
    async with running(home) as embedded:
        for user in ("postgres", "spms_owner"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(embedded.owner_url, user=user, password="wrong", timeout=10)

    assert methods == {"scram-sha-256"}
    for secret in ("postgres.password", "spms_owner.password"):
        assert (home / secret).stat().st_mode & 0o777 == 0o600


async def test_the_owner_may_make_roles_and_databases_but_is_no_superuser(home: Path) -> None:
    """The application never holds more than it needs."""
    async with running(home) as embedded, connected(embedded.owner_url) as connection:
        rights = await connection.fetchrow(
            "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        place = await connection.fetchrow(
            "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding) FROM pg_database"
            " WHERE datname = current_database()"
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("COPY (SELECT 1) TO PROGRAM 'cat'")

    assert rights is not None
    assert tuple(rights) == (False, True, True)
    assert place is not None
    assert tuple(place) == ("spms_owner", "UTF8")


async def test_a_deep_directory_works(made: Path, tmp_path: Path) -> None:
    """A path longer than a socket's name may be is no obstacle, nor is a space in it."""
    directory = tmp_path / ("deep " * 12) / ("deeper" * 10) / "postgres"
    assert len(str(directory)) > 107
    shutil.copytree(made, directory)
    async with running(directory) as embedded, connected(embedded.owner_url) as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_the_log_holds_neither_statements_nor_values(home: Path) -> None:
    """Errors, failed checks and crashes leave no subscriber's number in the server's log."""
    number = "13800138000"
    async with running(home) as embedded:
        async with connected(embedded.owner_url) as connection:
            await connection.execute("CREATE TABLE line (msisdn text PRIMARY KEY)")
            await connection.execute("INSERT INTO line VALUES ($1)", number)
            with pytest.raises(asyncpg.UniqueViolationError):
                await connection.execute("INSERT INTO line VALUES ($1)", number)
            with pytest.raises(asyncpg.DataError):
                await connection.execute(f"SELECT '{number}'::int")
        doomed = await asyncpg.connect(embedded.owner_url)
        session = await doomed.fetchval("SELECT pg_backend_pid()")
        last = asyncio.create_task(doomed.execute(f"SELECT '{number}', pg_sleep(60)"))
        await asyncio.sleep(0.2)
        os.kill(session, signal.SIGKILL)
        with pytest.raises((OSError, asyncpg.PostgresError)):
            await last
    log = (home / "server.log").read_text()
    assert "terminated by signal 9" in log
    assert number not in log


async def test_the_log_stays_small_while_the_server_writes(home: Path) -> None:
    """Past its bound the log's last part moves aside and the server goes on writing."""
    async with running(home):
        with (home / "server.log").open("ab") as log:
            log.write(b"x" * (LOG_BYTES_MAX + 1))
        Cluster(home).bound_log()
        assert (home / "server.log").stat().st_size == 0
    assert (home / "server.log.1").stat().st_size <= LOG_BYTES_KEPT + 1
    assert "database system is shut down" in (home / "server.log").read_text()


async def test_a_taken_port_is_refused_when_wanted_and_left_when_remembered(home: Path) -> None:
    """A port the operator named is never swapped silently; one of our own choice is."""
    async with running(home) as embedded:
        url = embedded.owner_url
    port = int((home / "port").read_text())
    stranger = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", port)
    async with stranger:
        assert not is_free(port)
        with pytest.raises(EmbeddedError, match=f"port {port} .* choose another"):
            await Embedded(home, port=port).start()
        async with running(home) as embedded:
            assert embedded.owner_url != url


async def test_a_server_that_cannot_start_says_why_and_leaves_nothing_running(home: Path) -> None:
    """The error carries the server's own last words; the directory is free again."""
    config = home / "data" / "postgresql.conf"
    sound = config.read_text()
    config.write_text(f"{sound}\nshared_preload_libraries = 'nowhere'\n")
    embedded = Embedded(home)
    with pytest.raises(EmbeddedError, match=r"(?s)does not start.*FATAL.*nowhere"):
        await embedded.start()
    assert not embedded.running
    with pytest.raises(EmbeddedError, match="has not been started"):
        _ = embedded.owner_url

    config.write_text(sound)
    async with running(home) as healed:
        assert healed.running


async def test_another_version_or_a_lost_superuser_password_is_explained(home: Path) -> None:
    """What the supervisor cannot mend it names, with the way out."""
    secret = home / "postgres.password"
    secret.rename(home / "elsewhere")
    with pytest.raises(EmbeddedError, match="restore it from a backup"):
        await Embedded(home).start()
    secret.write_text("not this one")
    with pytest.raises(EmbeddedError, match="not this cluster's"):
        await Embedded(home).start()
    (home / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedError, match="was made by PostgreSQL 16"):
        await Embedded(home).start()


async def test_ctrl_c_at_the_terminal_is_not_for_the_server(home: Path) -> None:
    """The application finishes its own work before it stops the server: not one process group."""
    async with running(home):
        assert os.getpgid(server_pid(home)) != os.getpgrp()
