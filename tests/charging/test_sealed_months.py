"""Months that are over: written in the order of bills, and closed to whatever comes late."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import asyncpg
import pytest

from spms.charging import sealing
from spms.charging.model import LineResult, Reason
from spms.core.db import transaction
from tests import make
from tests.charging.world import seal_step, sealed

FEBRUARY = date(2026, 2, 1)


@pytest.fixture
async def february(tx, owner, world):
    """Charges of some numbers on the last days of February, in no order; return records."""
    world.now = datetime(2026, 2, 28, 15, 0, tzinfo=UTC)
    dice = Random(4)
    numbers = [
        await make.number(tx, world.now, msisdn=f"86139{serial:08d}") for serial in range(40)
    ]  # the same ones each time: in each of the eight parts are some
    records = [
        world.record(
            msisdn=dice.choice(numbers),
            charged_at=world.now - timedelta(minutes=dice.randrange(1, 3000)),
        )
        for _ in range(200)
    ]
    for start in range(0, 200, 20):
        await world.land(*records[start : start + 20])
    assert all(await in_place(owner))
    return records


PARTS = """
    SELECT relid::regclass::text AS name FROM pg_partition_tree('charge_record_202602')
     WHERE isleaf ORDER BY relid
"""


async def in_place(tx):
    """Return the rows of each part as they lie."""
    found = []
    for part in await tx.fetch(PARTS):
        rows = await tx.fetch(f"SELECT msisdn, charged_at, id FROM {part['name']} ORDER BY ctid")
        found.append([tuple(row) for row in rows])
    return found


def in_order(parts):
    return [sorted(rows) for rows in parts]


async def test_a_month_is_sealed_from_the_fourth_day_and_once(owner, pool, world, february):
    before = await in_place(owner)
    assert len(before) == 8
    assert before != in_order(before)
    assert FEBRUARY not in await sealed(pool, datetime(2026, 3, 4, 20, tzinfo=UTC))
    assert FEBRUARY in await sealed(pool, datetime(2026, 3, 5, 21, tzinfo=UTC))
    assert await in_place(owner) == in_order(before)
    assert await sealed(pool, datetime(2026, 3, 6, 21, tzinfo=UTC)) == []


async def test_a_month_is_sealed_part_by_part_and_goes_on_where_it_was_cut_off(
    owner, pool, world, february
):
    now = datetime(2026, 3, 5, 21, tzinfo=UTC)
    before = await in_place(owner)
    while await seal_step(pool, now) != FEBRUARY:  # January is closed first
        pass
    assert await in_place(owner) == before  # closed, and nothing written yet
    for done in (1, 2):
        assert await seal_step(pool, now) == FEBRUARY
        assert await in_place(owner) == in_order(before[:done]) + before[done:]
    async with pool.acquire() as dying:
        step_3 = dying.transaction()
        await step_3.start()
        assert await sealing.seal_next(dying, now=now) == FEBRUARY
        await step_3.rollback()
    assert await in_place(owner) == in_order(before[:2]) + before[2:]
    assert await sealed(pool, now) == [FEBRUARY] * 6
    assert await in_place(owner) == in_order(before)


async def test_while_a_part_is_written_the_numbers_of_the_others_are_read(
    owner, pool, world, february
):
    now = datetime(2026, 3, 5, 21, tzinfo=UTC)
    while await seal_step(pool, now) != FEBRUARY:
        pass
    parts = await in_place(owner)
    async with transaction(pool) as work, pool.acquire() as read:
        assert await sealing.seal_next(work, now=now) == FEBRUARY  # and holds it
        # Planned for its number each time, as any month of some size is: few rows invite one plan for all.
        await read.execute("SET lock_timeout = '100ms'; SET plan_cache_mode = force_custom_plan")
        ask = "SELECT count(*) FROM charge_record WHERE msisdn = $1 AND charged_at >= $2"
        for rows in parts[1:]:
            if rows:
                assert await read.fetchval(ask, *rows[0][:2])
        with pytest.raises(asyncpg.LockNotAvailableError):
            await read.fetchval(ask, *parts[0][0][:2])


async def test_what_comes_late_is_quarantined_and_what_came_before_is_known(pool, world, february):
    await sealed(pool, datetime(2026, 3, 5, 21, tzinfo=UTC))
    landing = await world.land(world.record(), february[0])
    late, known = landing.outcomes
    assert (late.result, late.reason) == (LineResult.QUARANTINED, Reason.PERIOD_CLOSED)
    assert known.result is LineResult.SEEN


async def test_nothing_is_added_to_a_sealed_month_however_it_was_begun(
    tx, owner, pool, world, february
):
    await sealed(pool, datetime(2026, 3, 5, 21, tzinfo=UTC))
    for connection in (tx, owner):
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                """INSERT INTO charge_record
                   SELECT (c).* FROM (SELECT jsonb_populate_record(r, jsonb_build_object(
                              'id', gen_random_uuid())) AS c
                            FROM charge_record r LIMIT 1) one"""
            )


async def test_a_month_that_runs_cannot_be_sealed(tx, world):
    with pytest.raises(asyncpg.RaiseError):
        await tx.fetchval("SELECT seal_charge_part($1, $2)", date(2026, 3, 1), world.now)
