"""Bringing a process up and taking it down: database, schema, roles, pool, clock."""

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from spms.core import database_clock, db, migrate, roles, sandbox_clock
from spms.core.clock import Clock, DatabaseClock, MovableClock
from spms.core.embedded import Embedded, EmbeddedError
from spms.core.partitions import make_partitions
from spms.core.settings import Settings, load, unknown_names

Say = Callable[[str], None]


class StartError(Exception):
    """The process cannot start; the message says why and what to do."""


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What every command that works on the database stands on."""

    settings: Settings
    pool: db.Pool
    clock: Clock
    embedded: Embedded | None
    migrated: list[str]


def settings_from_environment(**overrides: object) -> Settings:
    """Read the settings; keyword arguments win over file and environment.

    A name in the environment that means nothing is said on the error output.
    """
    for name, nearest in unknown_names(os.environ):
        meant = f"; did you mean {nearest}?" if nearest else ""
        print(f"spms: {name} is no setting and is ignored{meant}", file=sys.stderr)  # noqa: T201
    return msgspec.structs.replace(load(os.environ), **overrides)


async def prepare(owner_url: str, settings: Settings) -> tuple[str, list[str]]:
    """Bring roles and schema up to date; return the application's URL and what was migrated."""
    try:
        owner = await asyncpg.connect(owner_url, timeout=10)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise StartError(f"cannot reach the database: {type(error).__name__}: {error}") from error
    except ValueError as error:
        raise StartError("SPMS_DATABASE_URL is not a PostgreSQL URL") from error
    try:
        version = owner.get_server_version()
        if version.major < 15:  # noqa: PLR2004 - the oldest server the SQL is written for
            raise StartError(f"PostgreSQL {version.major} is too old: 15 or later is needed")
        if settings.app_database_url is None:
            await roles.ensure_group(owner)
        applied = await migrate.migrate(owner)
        if settings.app_database_url is not None:
            return settings.app_database_url, applied
        return await roles.ensure_login(owner, owner_url), applied
    except (migrate.MigrationError, roles.RoleError) as error:
        raise StartError(str(error)) from error
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise StartError(f"the database refuses: {type(error).__name__}: {error}") from error
    finally:
        await owner.close()


async def _open_pool(app_url: str, settings: Settings) -> db.Pool:
    """Open the application's pool, or say in words why not."""
    try:
        return await db.open_pool(app_url, settings)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        whose = "SPMS_APP_DATABASE_URL" if settings.app_database_url else "the application's role"
        raise StartError(f"{whose} is refused: {type(error).__name__}: {error}") from error


@asynccontextmanager
async def base(
    settings: Settings, say: Say = lambda _: None, *, found: bool = False
) -> AsyncIterator[Base]:
    """Bring up what a command stands on; take all of it down afterwards, in reverse order.

    Only a command that is meant to (`found`) makes an embedded database where there is none yet:
    a mistyped SPMS_DATA_DIR is refused with `StartError`.
    """
    embedded: Embedded | None = None
    owner_url = settings.database_url
    try:
        if owner_url is None:
            place = settings.data_path / "postgres"
            if not found and not place.is_dir():
                raise StartError(
                    f"there is no SPMS in {settings.data_path}: set SPMS_DATA_DIR or "
                    "SPMS_DATABASE_URL, or found one there with `spms up`"
                )
            say("starting PostgreSQL")
            embedded = Embedded(place)
            try:
                await embedded.start()
            except EmbeddedError as error:
                raise StartError(str(error)) from error
            owner_url = embedded.owner_url
        say("bringing the schema up to date")
        app_url, migrated = await prepare(owner_url, settings)
        pool = await _open_pool(app_url, settings)
        try:
            told = DatabaseClock()
            clock: Clock = told
            async with db.acquired(pool) as read:
                await database_clock.read(read, told, first=True)
                if settings.sandbox:
                    clock = MovableClock(await sandbox_clock.read_offset(read), under=told)
            async with db.transaction(pool) as tx:
                await make_partitions(tx, now=clock.now())
            yield Base(
                settings=settings, pool=pool, clock=clock, embedded=embedded, migrated=migrated
            )
        finally:
            await pool.close()
    finally:
        if embedded is not None:
            await embedded.stop()
