"""A counted month is read again when something changed in it, and once a day: never for nothing."""

from datetime import timedelta

import msgspec
import pytest

from jobs import check_invariants
from spms.core import db, invariants
from spms.settlement import recount
from tests.settlement.conftest import DAY, JANUARY, JOB

HOUR = timedelta(hours=1)
HOLDS = f"{len(check_invariants.INVARIANTS)} hold"
LEFT_OUT = f"{len(check_invariants.INVARIANTS) - 1} hold"
BROKEN = "broken: charges_are_counted"
RAISE_PRICE = """
    UPDATE charge_record SET price_fen = price_fen + 1
     WHERE id = (SELECT id FROM charge_record WHERE charged_at >= $1 AND charged_at < $2 LIMIT 1)
"""
FEBRUARY = JANUARY + 31 * DAY


async def run(world, later=timedelta()):
    """Run the job once, so much later."""
    world.clock.at += later
    async with db.transaction(world.pool) as tx:
        return await check_invariants.work(tx, actor=JOB, now=world.clock.now())


async def counted(connection):
    """Let the rows a session changed be counted now, as it soon does by itself."""
    await connection.execute("SELECT pg_stat_force_next_flush()")


async def change(owner, statement, *arguments):
    """Change something by a stronger hand."""
    await owner.execute(statement, *arguments)
    await counted(owner)


@pytest.fixture
async def settled(world, owner):
    """A counted January with charges, and some of December and of March."""
    await owner.execute("SELECT make_month_partition('charge_record', '2025-12-01')")
    await world.charges(5)
    await world.charge(-10)
    await world.on(2, 10)
    await world.charge(60)
    await counted(world.tx)
    assert await run(world) == HOLDS
    return world


def reading_shows(monkeypatch):
    """Let the invariant that reads the month say so, whatever it reads."""
    told = [
        msgspec.structs.replace(one, statement="SELECT 'read' AS id")
        if one.name == recount.READS_A_MONTH else one
        for one in check_invariants.INVARIANTS
    ]  # fmt: skip
    monkeypatch.setattr(check_invariants, "INVARIANTS", told)


async def test_what_has_not_changed_is_read_once_a_day(settled, monkeypatch):
    reading_shows(monkeypatch)
    found = [await run(settled, HOUR) for _ in range(22)]
    assert found == [LEFT_OUT] * 22
    assert await run(settled, HOUR) == BROKEN
    assert await run(settled, -30 * HOUR) == BROKEN, "a clock that went back proves nothing"


async def test_the_running_month_may_grow(settled, owner, monkeypatch):
    reading_shows(monkeypatch)
    await settled.charge(61)
    await counted(settled.tx)
    await change(owner, RAISE_PRICE, FEBRUARY + 20 * DAY, FEBRUARY + 40 * DAY)
    assert await run(settled, HOUR) == LEFT_OUT


PLANTED = {
    "a price": RAISE_PRICE,
    "a charge gone": """
        WITH first AS (
            SELECT id FROM charge_record WHERE charged_at >= $1 AND charged_at < $2 LIMIT 1
        ), found AS (DELETE FROM charge_finding WHERE charge_id IN (SELECT id FROM first))
        DELETE FROM charge_record WHERE id IN (SELECT id FROM first)""",
    "a charge more": """
        INSERT INTO charge_record
        SELECT (c).* FROM (SELECT jsonb_populate_record(r, '{"id":
                   "00000000-0000-0000-0000-000000000001"}') AS c FROM charge_record r
                            WHERE charged_at >= $1 AND charged_at < $2 LIMIT 1) one""",
    "what was counted": """
        UPDATE settlement_figure SET amount_fen = amount_fen + 1
         WHERE kind = 'charged' AND $1::timestamptz < $2::timestamptz""",
    "a late charge": """
        UPDATE charge_record SET price_fen = price_fen + 1 WHERE charged_at < $1
           AND $1::timestamptz < $2::timestamptz""",
}


@pytest.mark.parametrize("planted", PLANTED)
async def test_a_difference_is_found_by_the_next_run_and_by_each_after_it(settled, owner, planted):
    assert await run(settled, HOUR) == LEFT_OUT
    await change(owner, PLANTED[planted], JANUARY - DAY, FEBRUARY - DAY)
    for _ in range(2):
        found = await run(settled, HOUR)
        assert found.startswith("broken: ")
        assert recount.READS_A_MONTH in found
    kind = "late" if planted == "a late charge" else "charged"
    assert await named(settled) == [f"{settled.sp_id} {kind}"]


async def named(world):
    """Return what the invariant names."""
    (one,) = (i for i in check_invariants.INVARIANTS if i.name == recount.READS_A_MONTH)
    return [row["id"] for row in await world.tx.fetch(one.statement)]


async def test_a_table_in_another_file_is_read(settled, owner):
    """However it came there: sealed a second time, restored, put in the place of another."""
    part = "charge_record_202601_0"
    await change(owner, f"CLUSTER {part} USING {part}_pkey")
    with pytest.MonkeyPatch.context() as patched:
        reading_shows(patched)
        assert await run(settled, HOUR) == BROKEN
    assert await run(settled, HOUR) == HOLDS
    assert await run(settled, HOUR) == LEFT_OUT


async def test_a_hand_that_is_not_counted_is_found_within_a_day(settled, owner):
    """Whoever can change a sealed month could also make it look as if nothing had."""
    await change(owner, RAISE_PRICE, JANUARY - DAY, FEBRUARY - DAY)
    now = await recount.seen(owner)
    assert now is not None
    await owner.execute("UPDATE settlement_recount SET seen = $1", now.seen)
    assert await run(settled, HOUR) == LEFT_OUT
    assert await run(settled, 22 * HOUR) == BROKEN


async def test_what_changes_while_the_month_is_read_is_read_the_next_time(
    settled, owner, monkeypatch
):
    check = invariants.check

    async def and_then_something_changes(read, asked):
        found = await check(read, asked)
        await change(owner, RAISE_PRICE, JANUARY - DAY, FEBRUARY - DAY)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(invariants, "check", and_then_something_changes)
        assert await run(settled, 24 * HOUR) == HOLDS
    assert await run(settled, HOUR) == BROKEN


async def test_a_further_month_is_read_when_it_is_counted(settled):
    await settled.charge(35)
    await settled.on(3, 10)
    await counted(settled.tx)
    assert await run(settled) == HOLDS
    assert await run(settled, HOUR) == LEFT_OUT
