"""The pool, the edge of a transaction, and rows that become structs."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from spms.core.errors import Unavailable
from spms.core.settings import Settings

if TYPE_CHECKING:
    Connection = asyncpg.Connection | PoolConnectionProxy
else:
    # Litestar checks a handler's arguments by class, and takes one class only. Handlers are
    # always given a pooled connection; jobs and tests may hand an action a plain one.
    Connection = PoolConnectionProxy
"""What an action or a query is given; it never opens, commits or closes it."""

Pool = asyncpg.Pool
T = TypeVar("T")

NOT_NOW: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
    TimeoutError,
    OSError,
)
"""What a database raises that cannot answer now: the same request may succeed a moment later."""

ANY_TROUBLE: tuple[type[Exception], ...] = (asyncpg.PostgresError, *NOT_NOW, Unavailable)
"""Whatever the database may raise: for loops that go on when it is over."""

SESSION = {
    "application_name": "spms",
    "timezone": "UTC",
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
}


ACQUIRE_SECONDS = 5.0
"""How long whoever says nothing else waits for a connection of the pool; then it is busy."""


def _encode_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def _prepare(connection: asyncpg.Connection) -> None:
    """Let jsonb columns be Python values on both sides."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_json, decoder=msgspec.json.decode
    )


async def open_pool(url: str, settings: Settings) -> Pool:
    """Open the process's pool as the application role."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=settings.pool_size,
        init=_prepare,
        timeout=10,
        command_timeout=settings.command_timeout_seconds,
        server_settings=SESSION,
    )


async def connect(url: str) -> asyncpg.Connection:
    """Open one connection outside the pool, set up like those in it."""
    connection = await asyncpg.connect(url, timeout=10, server_settings=SESSION)
    await _prepare(connection)
    return connection


@asynccontextmanager
async def acquired(pool: Pool, timeout_seconds: float | None = None) -> AsyncIterator[Connection]:
    """Borrow a connection without a transaction: for one single statement."""
    patience = ACQUIRE_SECONDS if timeout_seconds is None else timeout_seconds
    try:
        connection = await pool.acquire(timeout=patience)
    except TimeoutError as error:
        raise Unavailable("the database is busy", headers={"Retry-After": "1"}) from error
    try:
        yield connection
    finally:
        await pool.release(connection)


def lost(connection: Connection) -> bool:
    """Whether a borrowed connection is of no more use to anybody."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True  # the pool has noticed, and taken it back


@asynccontextmanager
async def transaction(
    pool: Pool, *, timeout_seconds: float | None = None
) -> AsyncIterator[Connection]:
    """Open a transaction at the edge: commit when the block ends, roll back when it raises."""
    async with acquired(pool, timeout_seconds) as connection, connection.transaction():
        yield connection


@asynccontextmanager
async def snapshot(
    pool: Pool, *, timeout_seconds: float | None = None
) -> AsyncIterator[Connection]:
    """Open a read-only transaction that sees one moment throughout."""
    async with (
        acquired(pool, timeout_seconds) as connection,
        connection.transaction(readonly=True, isolation="repeatable_read"),
    ):
        yield connection


def one(kind: type[T], row: asyncpg.Record | None) -> T | None:
    """Turn a row into a struct by column name; None stays None."""
    return None if row is None else msgspec.convert(dict(row), kind)


def many(kind: type[T], rows: Iterable[asyncpg.Record]) -> list[T]:
    """Turn rows into structs by column name."""
    return msgspec.convert([dict(row) for row in rows], list[kind])  # type: ignore[valid-type]


def changed(status: str) -> int:
    """Read the number of rows from a command tag such as `UPDATE 1`."""
    return int(status.rsplit(" ", 1)[-1])
