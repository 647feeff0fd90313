"""Directories with an embedded PostgreSQL, and processes that live in them."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from spms.core.embedded import Account, Embedded
from spms.core.embedded_binaries import find_binaries
from spms.core.embedded_cluster import Cluster

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 120

LIFE = """
import asyncio, asyncpg, os, sys
from pathlib import Path
from spms.core.embedded import Account, Embedded

async def main():
    account = Account(sys.argv[2]) if len(sys.argv) > 2 else None
    embedded = Embedded(Path(sys.argv[1]), account=account)
    await embedded.start()
    connection = await asyncpg.connect(embedded.owner_url)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (id bigint PRIMARY KEY)")
    number = await connection.fetchval("SELECT coalesce(max(id), 0) FROM kept")
    while True:
        number += 1
        await connection.execute("INSERT INTO kept VALUES ($1)", number)
        print(number, os.geteuid(), flush=True)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory in which a server has once been started and stopped."""
    directory = tmp_path_factory.mktemp("made") / "postgres"

    async def first_start() -> None:
        async with running(directory):
            pass

    asyncio.run(first_start())
    return directory


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """Give a copy of that directory."""
    directory = tmp_path / "postgres"
    shutil.copytree(made, directory)
    (directory / "port").unlink()
    return directory


@asynccontextmanager
async def running(
    directory: Path, *, port: int = 0, account: Account | None = None
) -> AsyncIterator[Embedded]:
    embedded = Embedded(directory, port=port, account=account)
    try:
        await embedded.start()
        yield embedded
    finally:
        await embedded.stop()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, timeout=PATIENCE_SECONDS)
    try:
        yield connection
    finally:
        await connection.close(timeout=PATIENCE_SECONDS)


async def eventually(true: Callable[[], bool]) -> None:
    for _ in range(PATIENCE_SECONDS * 50):
        if true():
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"not within {PATIENCE_SECONDS} s")


def server_pid(directory: Path) -> int:
    found = Cluster(directory).running()
    assert found is not None
    return found.pid


def owner_of(path: Path) -> int:
    return path.stat().st_uid


def hand_over(directory: Path, uid: int) -> None:
    for entry in [directory, *directory.rglob("*")]:
        os.chown(entry, uid, -1)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """Give a living process that has nothing to do with PostgreSQL."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture(params=[None, Account.NAMESPACE, Account.NOBODY], ids=["chosen", "ns", "nobody"])
def account(request: pytest.FixtureRequest) -> Account | None:
    """Give each way to run PostgreSQL that this machine allows."""
    wanted: Account | None = request.param
    if wanted is not None and os.geteuid() != 0:
        pytest.skip("only root has to leave root")
    if wanted is Account.NAMESPACE and not enters(Account.NAMESPACE):
        pytest.skip("user namespaces are blocked on this machine")
    return wanted


def enters(wanted: Account) -> bool:
    binaries = asyncio.run(find_binaries(wanted))
    with Path(os.devnull).open("w") as silent:
        return binaries.launch("postgres", "-V", output=silent.fileno()).wait(PATIENCE_SECONDS) == 0


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes that keep a server and print the number of each committed row."""
    script = tmp_path / "life.py"
    script.write_text(LIFE)
    started: list[subprocess.Popen[str]] = []

    def start(
        directory: Path, *account: str, through: tuple[str, ...] = ()
    ) -> subprocess.Popen[str]:
        life = subprocess.Popen(
            [*through, sys.executable, str(script), str(directory), *account],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(life)
        return life

    yield start
    for life in started:
        life.kill()
        life.wait()
        if life.stdout is not None:
            life.stdout.close()


async def acknowledged(life: subprocess.Popen[str], rows: int) -> list[str]:
    """Wait until that many rows are committed; return the last printed line's words."""
    assert life.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(rows):
            line = await asyncio.to_thread(life.stdout.readline)
            assert line, "the process ended before it had written its rows"
    return line.split()
