"""Months that are over: written in the order of bills, and closed to whatever comes late."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import asyncpg
import pytest

from spms.charging import sealing
from spms.charging.model import LineResult, Reason
from spms.core.db import transaction
from tests import make

FEBRUARY = date(2026, 2, 1)


@pytest.fixture
async def february(tx, world):
    """Charges of some numbers on the last days of February, in no order; return records."""
    world.now = datetime(2026, 2, 28, 15, 0, tzinfo=UTC)
    dice = Random(4)
    numbers = [await make.number(tx, world.now) for _ in range(20)]
    records = [
        world.record(
            msisdn=dice.choice(numbers),
            charged_at=world.now - timedelta(minutes=dice.randrange(1, 3000)),
        )
        for _ in range(200)
    ]
    for start in range(0, 200, 20):
        await world.land(*records[start : start + 20])
    return records


async def in_place(tx):
    rows = await tx.fetch("SELECT msisdn, charged_at, id FROM charge_record_202602 ORDER BY ctid")
    return [tuple(row) for row in rows]


async def sealed(pool, now):
    async with transaction(pool) as work:
        return await sealing.seal_months(work, now=now)


async def test_a_month_is_sealed_from_the_fourth_day_and_once(owner, pool, world, february):
    before = await in_place(owner)
    assert before != sorted(before)
    assert FEBRUARY not in await sealed(pool, datetime(2026, 3, 4, 20, tzinfo=UTC))
    assert FEBRUARY in await sealed(pool, datetime(2026, 3, 5, 21, tzinfo=UTC))
    assert await in_place(owner) == sorted(before)
    assert await sealed(pool, datetime(2026, 3, 6, 21, tzinfo=UTC)) == []


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
        await tx.fetchval("SELECT seal_charge_month($1, $2)", date(2026, 3, 1), world.now)
