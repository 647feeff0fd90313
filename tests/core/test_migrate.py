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


async def test_a_file_numbered_before_an_applied_one_is_refused_by_name(owner, tmp_path: Path):
    for migration in migrate.read():
        (tmp_path / migration.name).write_text(migration.sql)
    (tmp_path / "0014_late.sql").write_text("CREATE TABLE late (id int)")
    with pytest.raises(migrate.MigrationError, match=r"0014_late.sql comes before"):
        await migrate.migrate(owner, tmp_path)
    assert await owner.fetchval("SELECT to_regclass('late')") is None


@pytest.mark.parametrize("end", ["COMMIT;", "commit work ;", "  ROLLBACK;", "END;"])
def test_a_file_that_ends_its_own_transaction_is_refused(end: str, tmp_path: Path):
    (tmp_path / "0001_half.sql").write_text(f"CREATE TABLE half (id int);\n{end}\nSELECT 1;\n")
    with pytest.raises(migrate.MigrationError, match=r"0001_half.sql: .* would end"):
        migrate.read(tmp_path)


def test_the_end_of_a_function_is_not_the_end_of_a_transaction(tmp_path: Path):
    body = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n RETURN 1;\nEND;\n$$;"
    (tmp_path / "0001_body.sql").write_text(f"-- COMMIT;\n{body}\n")
    assert [one.name for one in migrate.read(tmp_path)] == ["0001_body.sql"]


async def test_the_application_role_cannot_rewrite_history(tx):
    for statement in (
        "DELETE FROM audit_log",
        "UPDATE posting SET amount_fen = 1",
        "DELETE FROM consent",
        "UPDATE charge_record SET price_fen = 1",
        "TRUNCATE claim",
        "UPDATE subscription SET price_fen = 1",
        "DROP TABLE claim",
        "ALTER TABLE claim ADD COLUMN x int",
        "UPDATE message_in SET text = 'Y'",
        "DELETE FROM rulebook",
        "CREATE TABLE mine (id int)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.execute(statement)
