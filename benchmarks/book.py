"""What the money rooms are measured on: an empty database with the months of the charges."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

import asyncpg

from benchmarks.figures import Ground
from spms.core import db, migrate, roles
from spms.core.access import Actor, ActorKind, Role
from spms.core.settings import Settings

START = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
OFFICERS = [
    Actor(kind=ActorKind.STAFF, name=name, subject=name, roles=frozenset({Role.COMPLIANCE}))
    for name in ("officer", "officer-2")
]
MONTHS = (1, 2, 3)


async def arrange(url: str) -> asyncpg.Connection:
    """Migrate a database, make the application's login and the months; return its owner."""
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0")
    await roles.ensure_group(owner)
    await roles.make_login(owner, url)
    await migrate.migrate(owner)
    for month in MONTHS:
        for table in (
            "message_in",
            "message_out",
            "authorisation",
            "decision_pack",
            "charge_record",
        ):
            await owner.execute("SELECT make_month_partition($1, $2)", table, date(2026, month, 1))
    return owner


@asynccontextmanager
async def opened(ground: Ground) -> AsyncIterator[tuple[asyncpg.Connection, db.Pool, str]]:
    """Give the owner of a database made for this, a pool as the application, and its URL."""
    async with ground.database() as url:
        owner = await arrange(url)
        app_url = roles.app_url(url)
        pool = await db.open_pool(app_url, Settings(pool_size=5, command_timeout_seconds=600))
        try:
            yield owner, pool, app_url
        finally:
            await pool.close()
            await owner.close()
