"""Killed at each recovery point, and worked on by several at once: the same months to the byte."""

import asyncio
import hashlib

import asyncpg
import pytest

from spms.core import db
from spms.settlement import calendar, locking, months
from tests import make
from tests.settlement.conftest import JANUARY, JOB

KEPT = {
    "settlement_month": "month", "settlement_figure": "month, sp_id, kind",
    "settlement_report": "month, sp_id, kind", "settlement": "id",
    "settlement_statement": "settlement_id, revision",
    "settlement_step": "settlement_id, revision, step_no", "settlement_lock": "settlement_id",
    "settlement_use": "kind, source_id", "settlement_payout": "month",
    "journal_entry": "msisdn, seq", "posting": "msisdn, entry_id, line_no",
}  # fmt: skip
DAYS = (10, 15, 22, 24)


async def dumped(tx) -> dict[str, str]:
    """Hash each table's rows in the order of their keys."""
    found = {}
    for table, key in KEPT.items():
        rows = await tx.fetch(f"SELECT t::text FROM {table} t ORDER BY {key}")
        text = "\n".join(row["t"] for row in rows)
        found[table] = f"{len(rows)} {hashlib.sha256(text.encode()).hexdigest()}"
    return found


@pytest.fixture
async def busy(world, tx, clock, monkeypatch):
    """Six SPs with charges, refunds, a fine and a breach; three of them at once."""
    monkeypatch.setattr(months, "SPS_AT_ONCE", 3)
    monkeypatch.setattr(locking, "LOCKS_AT_ONCE", 3)
    for _ in range(5):
        sp_id, service_id = await world.another_sp()
        for n in range(4):
            await world.charge(n, service_id=service_id)
        await world.charge(7, service_id=service_id, findings=["no_consent"], due_fen=0)
        await make._insert(
            tx, "settlement_adjustment",
            {"id": sp_id, "sp_id": sp_id, "kind": "fine", "amount_fen": 100, "about": "x",
             "state": "approved", "proposed_at": JANUARY, "proposed_by": "a",
             "decided_at": JANUARY, "decided_by": "b"},
        )  # fmt: skip
    await world.charges(5)
    await world.breach("general", "effective", JANUARY)
    await world.audit()
    return world


async def lived(world, work) -> None:
    """Live through the days of settlement with this way to work."""
    for day in DAYS:
        world.clock.at = JANUARY.replace(month=2, day=day)
        await work(calendar.keep)
        while await work(calendar.work):
            pass


async def undisturbed(world) -> dict[str, str]:
    """Do all of it in one transaction that is taken back, and return what came of it."""
    async with world.pool.acquire() as connection:
        whole = connection.transaction()
        await whole.start()

        async def work(what):
            return await what(connection, actor=JOB, now=world.clock.now())

        async def quiet(what):
            done = await work(what)
            return 0 if isinstance(done, str) else done

        await lived(world, quiet)
        # What is checked at COMMIT is checked here, or it would never be.
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        found = await dumped(connection)
        await whole.rollback()
    return found


async def test_killed_at_every_recovery_point_a_month_comes_out_the_same(busy, tx):
    expected = await undisturbed(busy)
    assert expected["settlement_lock"].startswith("6 ")
    kills = 0

    async def work(what):
        nonlocal kills
        connection = await busy.pool.acquire()
        doomed = connection.transaction()
        await doomed.start()
        done = await what(connection, actor=JOB, now=busy.clock.now())
        # All is done but the COMMIT: the moment at which most can be lost or come twice.
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        await busy.pool.release(connection)
        kills += 1
        async with db.transaction(busy.pool) as own:
            again = await what(own, actor=JOB, now=busy.clock.now())
        assert again == done, "all of it was still to do"
        return 0 if isinstance(again, str) else again

    await lived(busy, work)
    assert kills > 20
    assert await dumped(tx) == expected


async def test_several_at_once_do_a_month_once(busy, tx):
    expected = await undisturbed(busy)

    async def work(what):
        async def one() -> int:
            async with db.transaction(busy.pool) as own:
                done = await what(own, actor=JOB, now=busy.clock.now())
                return 0 if isinstance(done, str) else done

        return sum(await asyncio.gather(*(one() for _ in range(4))))

    await lived(busy, work)
    assert await dumped(tx) == expected
