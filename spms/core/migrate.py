"""Forward-only migrations: numbered plain SQL files, each applied once, in one transaction.

Safe when several processes start at once (an advisory lock orders them), and loud when a file
that was applied has been edited since (its checksum is kept).
"""

import hashlib
import re
from pathlib import Path

import asyncpg
import msgspec

from spms.core.db import Connection

LOCK = 0x53504D53  # "SPMS"
NAME = re.compile(r"[0-9]{4}_[a-z0-9_]+\.sql")
ENDS_TRANSACTION = re.compile(
    r"^\s*(COMMIT|ROLLBACK|END|ABORT)(\s+\w+)?\s*;", re.IGNORECASE | re.MULTILINE
)
"""A statement that would end the file's own transaction, so that half of it could stay.

Inside a function's body `END;` stands alone too, so bodies are cut out first.
"""
BODY = re.compile(r"\$(\w*)\$.*?\$\1\$|--[^\n]*", re.DOTALL)

LEDGER = """
    CREATE TABLE IF NOT EXISTS schema_migration (
        name text PRIMARY KEY,
        sha256 text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


class MigrationError(Exception):
    """The schema cannot be brought up to date; the message says which file and why."""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    name: str
    sha256: str
    sql: str


def folder() -> Path:
    """Return the migrations: beside the package in a checkout and in an installed wheel alike."""
    return Path(__file__).resolve().parents[2] / "migrations"


def read(directory: Path | None = None) -> list[Migration]:
    """Read the migrations in order.

    Raises `MigrationError` on a stray or doubled number and on a file that ends its transaction.
    """
    files = sorted((directory or folder()).glob("*.sql"))
    if not files:
        raise MigrationError(f"no migrations found in {directory or folder()}")
    numbers: set[str] = set()
    found = []
    for file in files:
        if not NAME.fullmatch(file.name):
            raise MigrationError(f"{file.name}: a migration is named NNNN_what_it_does.sql")
        if file.name[:4] in numbers:
            raise MigrationError(f"{file.name}: the number {file.name[:4]} is taken")
        numbers.add(file.name[:4])
        sql = file.read_text("utf-8")
        if ends := ENDS_TRANSACTION.search(BODY.sub("", sql)):
            raise MigrationError(
                f"{file.name}: {ends[0].strip()} would end the file's transaction; leave it out"
            )
        digest = hashlib.sha256(sql.encode()).hexdigest()
        found.append(Migration(name=file.name, sha256=digest, sql=sql))
    return found


async def migrate(owner: asyncpg.Connection, directory: Path | None = None) -> list[str]:
    """Apply what is missing and return the names applied, in order.

    Raises `MigrationError` when an applied file was edited or is gone, when a new file is numbered
    before an applied one (it was written against another schema), or when a file fails (that
    file's transaction is rolled back, the ones before it stay).
    """
    wanted = read(directory)
    await owner.execute("SELECT pg_advisory_lock($1)", LOCK)
    try:
        await owner.execute(LEDGER)
        rows = await owner.fetch("SELECT name, sha256 FROM schema_migration")
        return await _apply_missing(owner, wanted, {row["name"]: row["sha256"] for row in rows})
    finally:
        await owner.execute("SELECT pg_advisory_unlock($1)", LOCK)


async def _apply_missing(
    owner: asyncpg.Connection, wanted: list[Migration], applied: dict[str, str]
) -> list[str]:
    unknown = sorted(set(applied) - {migration.name for migration in wanted})
    if unknown:
        raise MigrationError(
            f"the database has {unknown[0]}, which this release does not know: it is newer"
        )
    late = [m.name for m in wanted if m.name not in applied and m.name < max(applied, default="")]
    if late:
        raise MigrationError(
            f"{late[0]} comes before {max(applied)}, which is applied already: number it after that"
        )
    done = []
    for migration in wanted:
        before = applied.get(migration.name)
        if before == migration.sha256:
            continue
        if before is not None:
            raise MigrationError(
                f"{migration.name} was edited after it was applied; write a new migration instead"
            )
        try:
            async with owner.transaction():
                await owner.execute("SET LOCAL lock_timeout = '10s'")
                await owner.execute(migration.sql)
                await owner.execute(
                    "INSERT INTO schema_migration (name, sha256) VALUES ($1, $2)",
                    migration.name,
                    migration.sha256,
                )
        except asyncpg.PostgresError as error:
            raise MigrationError(f"{migration.name}: {error}") from error
        done.append(migration.name)
    return done


async def pending(connection: Connection) -> list[str]:
    """Return the names of migrations that this database still lacks."""
    if not await connection.fetchval("SELECT to_regclass('schema_migration') IS NOT NULL"):
        return [migration.name for migration in read()]
    rows = await connection.fetch("SELECT name FROM schema_migration")
    return [m.name for m in read() if m.name not in {row["name"] for row in rows}]
