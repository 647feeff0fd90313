"""The migration runner: order, lock, checksums."""

from pathlib import Path

import asyncpg
import pytest

from spms.core import migrate


async def test_everything_is_applied_and_a_second_run_does_nothing(owner):
    assert await migrate.pending(owner) == []
    assert await migrate.migrate(owner) == []


async def test_an_edited_file_is_refused_by_name(owner, tmp_path: Path):
    for migration in migrate.read():
        (tmp_path / migration.name).write_text(migration.sql)
    (tmp_path / "0001_core.sql").write_text("-- other\n" + migrate.read()[0].sql)
    with pytest.raises(migrate.MigrationError, match=r"0001_core.sql was edited"):
        await migrate.migrate(owner, tmp_path)


async def test_a_failing_file_leaves_nothing_of_itself_behind(owner, tmp_path: Path):
    for migration in migrate.read():
        (tmp_path / migration.name).write_text(migration.sql)
    (tmp_path / "9999_bad.sql").write_text("CREATE TABLE half (id int); SELECT 1/0;")
    with pytest.raises(migrate.MigrationError, match=r"9999_bad.sql"):
        await migrate.migrate(owner, tmp_path)
    assert await owner.fetchval("SELECT to_regclass('half')") is None
    assert await migrate.pending(owner) == []


async def test_the_application_role_cannot_rewrite_history(tx):
    for statement in (
        "DELETE FROM audit_log",
        "UPDATE posting SET amount_fen = 1",
        "DELETE FROM consent",
        "UPDATE charge_record SET price_fen = 1",
        "TRUNCATE refund",
        "UPDATE subscription SET price_fen = 1",
        "DROP TABLE claim",
        "ALTER TABLE claim ADD COLUMN x int",
        "UPDATE message_in SET text = 'Y'",
        "DELETE FROM rulebook",
        "CREATE TABLE mine (id int)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.execute(statement)
