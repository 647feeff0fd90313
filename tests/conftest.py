"""What every test stands on: a real PostgreSQL, migrated once, cloned per test; a clock that moves.

`SPMS_TEST_DATABASE_URL` names a role with CREATEDB and CREATEROLE on a server to use; without it
the embedded PostgreSQL is started for the session.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import httpx
import hypothesis
import pytest
from litestar import Litestar

from spms.app import create_app, edge
from spms.core import access, db, migrate, roles, tokens
from spms.core.access import Actor
from spms.core.clock import FixedClock
from spms.core.edge import Edge
from spms.core.settings import Settings
from tests import make

START = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # Monday noon in Shanghai
TEMPLATE = f"spms_template_{os.getpid()}"

# Properties are held against the same examples every time, however long one takes, so that a red
# suite is red again; `pytest --hypothesis-profile explore` tries new ones.
PATIENT = hypothesis.settings(
    deadline=None, database=None, derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)  # fmt: skip
hypothesis.settings.register_profile("steady", PATIENT)
hypothesis.settings.register_profile(
    "explore", PATIENT, derandomize=False, max_examples=2_000, print_blob=True
)
hypothesis.settings.load_profile("steady")

# A slow machine may take its time: what is refused for want of it is the business of the tests that
# say so, and they set their own.
PATIENT_SECONDS = 120
db.SESSION |= {"lock_timeout": f"{PATIENT_SECONDS}s", "statement_timeout": f"{PATIENT_SECONDS}s"}
db.ACQUIRE_SECONDS = PATIENT_SECONDS

LONG = (
    "tests/city/test_play.py",
    "tests/subscriptions/test_life_machine.py",
    "tests/faults/",
    "tests/compensation/test_races.py",
    "tests/compensation/test_kills.py",
    "tests/messaging/test_smpp_link.py",
    "tests/stories/",
    "tests/subscriptions/test_many_confirmations.py",
)
"""Where single tests take many seconds, the longest first."""


@pytest.hookimpl(trylast=True)  # what is not selected is out of the list by then
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let each worker begin with its share of the long tests, so that none is left for the end.

    Work is dealt in as many runs of neighbours as there are workers, and a worker that is through
    takes over the end of another's: short tests, if the long ones stand at the head of each run.
    """
    dealt = getattr(config, "workerinput", {}).get("workercount", 1)
    if dealt == 1:
        return
    rank = {place: at for at, place in enumerate(LONG)}
    ranks = [next((rank[p] for p in LONG if item.nodeid.startswith(p)), None) for item in items]
    pairs = list(zip(ranks, items, strict=True))
    first = [
        item for _, item in sorted((p for p in pairs if p[0] is not None), key=lambda p: p[0] or 0)
    ]
    rest = iter([item for at, item in pairs if at is None])
    ordered: list[pytest.Item] = []
    for hand in range(dealt):
        size = (len(items) - len(ordered)) // (dealt - hand)
        mine = first[hand::dealt][:size]
        ordered += [*mine, *islice(rest, size - len(mine))]
    if len(ordered) == len(items):  # with fewer tests than that there is nothing to deal
        items[:] = ordered


def with_database(url: str, name: str) -> str:
    """Return the same URL for another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a server where this role may create databases and roles."""
    given = os.environ.get("SPMS_TEST_DATABASE_URL")
    if given:
        yield given
        return
    from spms.core.embedded import Embedded  # noqa: PLC0415 - only where it is needed

    # A throw-away server: what it loses in a crash nobody misses. Durability is tested elsewhere.
    # Nobody cleans up unasked: what a test analyses or vacuums itself is what its plans stand on.
    quick = {
        "fsync": "off", "full_page_writes": "off", "max_connections": "300", "autovacuum": "off",
    }  # fmt: skip
    # In memory where the system has it: a database is cloned per test, some 800 small files.
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a directory of its own there
    room = memory.is_dir() and shutil.disk_usage(memory).free > 2 << 30
    directory = Path(tempfile.mkdtemp(prefix="spms-", dir=memory if room else None))
    server = Embedded(directory, overrides=quick)
    runner = asyncio.Runner()
    runner.run(server.start())
    try:
        yield server.owner_url
    finally:
        runner.run(server.stop())
        runner.close()
        shutil.rmtree(directory, ignore_errors=True)


async def _build_template(url: str) -> None:
    admin = await asyncpg.connect(url)
    await roles.ensure_group(admin)
    await admin.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
    await admin.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
    await admin.close()
    template_url = with_database(url, TEMPLATE)
    owner = await asyncpg.connect(template_url)
    await migrate.migrate(owner)
    for month in range(1, 9):
        for table in (
            "message_in",
            "message_out",
            "authorisation",
            "decision_pack",
            "charge_record",
        ):
            await owner.execute(
                "SELECT make_month_partition($1, $2)", table, datetime(2026, month, 1).date()
            )
    await owner.close()


async def clone(server_url: str, template: str) -> str:
    """Clone the template, and let the application sign in there; return the owner's URL."""
    name = f"spms_test_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(server_url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    url = with_database(server_url, name)
    await roles.make_login(admin, url)
    await admin.close()
    return url


async def drop(url: str, name: str) -> None:
    """Drop a database; who is still on it, a killed process's last sessions for one, is cut off."""
    admin = await asyncpg.connect(url)
    try:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    except asyncpg.InsufficientPrivilegeError:
        # The server's own vacuum is at work there, which only the server may end: without FORCE it does.
        await admin.execute(f"DROP DATABASE IF EXISTS {name}")
    await admin.execute(f"DROP ROLE IF EXISTS {roles.login_role(name)}")
    await admin.close()


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """Migrate a template database once."""
    asyncio.run(_build_template(server_url))
    yield TEMPLATE
    asyncio.run(drop(server_url, TEMPLATE))


@pytest.fixture
async def owner_url(server_url: str, template: str) -> AsyncIterator[str]:
    """Clone the template for one test; the URL is the owner's."""
    url = await clone(server_url, template)
    with make.counting_anew():
        yield url
    await drop(server_url, urlsplit(url).path[1:])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings fit for a test."""
    return Settings(
        data_dir=str(tmp_path), pool_size=20, sandbox=True, command_timeout_seconds=PATIENT_SECONDS
    )


@pytest.fixture
async def pool(owner_url: str, settings: Settings) -> AsyncIterator[db.Pool]:
    """Open a pool as the application role."""
    pool = await db.open_pool(roles.app_url(owner_url), settings)
    yield pool
    await pool.close()


@pytest.fixture
async def tx(pool: db.Pool) -> AsyncIterator[db.Connection]:
    """Return an application-role connection outside any transaction: each statement commits."""
    async with pool.acquire() as connection:
        yield connection


@pytest.fixture
async def owner(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Return an owner connection: for arranging what the application may not do."""
    connection = await db.connect(owner_url)
    yield connection
    await connection.close()


@pytest.fixture
def clock() -> FixedClock:
    """Return a clock that stands on a Monday noon (Shanghai) in March 2026."""
    return FixedClock(START)


@pytest.fixture
def now(clock: FixedClock) -> datetime:
    """Return the instant at which the clock stands when the test starts."""
    return clock.now()


@pytest.fixture(scope="session")
def sandbox_app() -> Edge:
    """Build the application once: to put its hundred routes together costs more than most tests."""
    unset = cast("Any", None)
    return create_app(unset, unset, Settings(sandbox=True))


@pytest.fixture
async def http(
    sandbox_app: Edge, pool: db.Pool, clock: FixedClock, settings: Settings
) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the whole application, on the test's own pool and clock."""
    litestar = cast("Litestar", sandbox_app.app)
    litestar.state.update({"pool": pool, "clock": clock, "settings": settings})
    app = edge(litestar, settings)
    transport = httpx.ASGITransport(app=cast("Any", app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://spms.test") as client:
        yield client


@pytest.fixture
def sign_in(pool: db.Pool, clock: FixedClock) -> Callable[[Actor], Awaitable[dict[str, str]]]:
    """Return a function that stores a credential for an actor and returns its headers."""

    async def signed_in(actor: Actor) -> dict[str, str]:
        async with db.transaction(pool) as tx:
            credential_id = await access.add_credential(
                tx, kind=actor.kind, subject=actor.subject, name=actor.name,
                roles=tuple(actor.roles), secret_hash="", epoch=actor.epoch, actor=actor,
                now=clock.now(),
            )  # fmt: skip
            token = await tokens.issue_token(
                tx, credential_id, lifetime=timedelta(days=365), now=clock.now()
            )
        return {"Authorization": f"Bearer {token.access_token}"}

    return signed_in
