"""Whose yes a charge may rest on (鉴权): its own relation's, of its own month or order, and nobody else's."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from spms.charging import files
from spms.charging.file_model import FileFormat, Upload
from spms.charging.spooling import Manifest
from spms.core.clock import FixedClock, business_month, month_range
from tests import make
from tests.charging.world import DAY, csv_of, decided

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
CITED = "SELECT authorisation_id, consent_id FROM charge_record WHERE record_id = $1"
TRANSFERRED = """
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                              state_after, epoch_after)
    VALUES ($1, $2, 'transferred', 'owner_changed', $3, $3, 'test', 'active', 2)
"""
COUNTED = "SELECT COALESCE(sum(charges), 0)::int FROM charge_observation WHERE kind = 'no_decision'"


@pytest.fixture(params=["file", "batch"])
def deliver(request, world, pool, tx, tmp_path):
    """A function that delivers a record, and returns its decision and how many had none."""

    async def by_file(record):
        async def stream():
            yield csv_of(record)

        await files.receive(
            stream(), upload=Upload(form=FileFormat.CSV), manifest=Manifest(), pool=pool,
            clock=FixedClock(world.now), directory=tmp_path, limit_bytes=10**6,
            actor=make.sp_actor(world.sp_id),
        )  # fmt: skip

    async def told(record) -> tuple[UUID | None, UUID | None, int]:
        await (by_file(record) if request.param == "file" else world.land(record))
        row = await tx.fetchrow(CITED, record.record_id)
        return row["authorisation_id"], row["consent_id"], await tx.fetchval(COUNTED)

    return told


async def test_a_yes_of_last_month_is_none_to_this_months_charge(tx, world, deliver):
    """A month is asked about once, and the answer counts what the month has come to."""
    turn = month_range(business_month(world.now))[0]
    relation = await make.subscription(tx, turn - 3 * DAY, world.msisdn, world.monthly_id)
    await decided(tx, world, world.now - turn + MINUTE, relation)
    charge = world.record(charged_at=turn + MINUTE)
    assert await deliver(charge) == (None, relation, 1)


async def test_the_yes_of_the_month_holds_to_its_last_moment(tx, world, deliver):
    turn = month_range(business_month(world.now))[0]
    relation = await make.subscription(tx, turn - 20 * DAY, world.msisdn, world.monthly_id)
    yes = await decided(tx, world, world.now - turn + HOUR, relation)
    charge = world.record(charged_at=turn - MINUTE)
    assert await deliver(charge) == (yes, relation, 0)


async def test_a_yes_to_an_earlier_relation_is_none_to_the_next(tx, world, deliver):
    at = world.now - 5 * HOUR
    left = {"status": "ended", "ended_at": world.now - 3 * HOUR, "end_reason": "subscriber"}
    earlier = await make.subscription(tx, at, world.msisdn, world.monthly_id, **left)
    await decided(tx, world, 4 * HOUR, earlier)
    again = await make.subscription(tx, world.now - 2 * HOUR, world.msisdn, world.monthly_id)
    assert await deliver(world.record()) == (None, again, 1)


async def test_a_yes_about_the_former_holder_is_none_about_the_next(tx, world, deliver):
    over = {"status": "ended", "ended_at": world.now - 3 * HOUR, "end_reason": "number_transferred"}
    former = await make.subscription(
        tx, world.now - 5 * HOUR, world.msisdn, world.monthly_id, **over
    )
    await decided(tx, world, 4 * HOUR, former)
    await tx.execute(TRANSFERRED, world.msisdn, uuid4(), world.now - 3 * HOUR)
    hers = await make.subscription(
        tx, world.now - 2 * HOUR, world.msisdn, world.monthly_id, epoch=2
    )
    assert await deliver(world.record()) == (None, hers, 1)


async def test_a_record_that_tells_whole_seconds_rests_on_the_yes_of_that_second(
    tx, world, deliver
):
    relation = await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    yes = await decided(tx, world, HOUR - timedelta(milliseconds=300), relation)
    await decided(tx, world, HOUR - timedelta(seconds=1), relation)  # after it
    assert await deliver(world.record()) == (yes, relation, 0)


async def test_an_order_that_a_charge_of_the_next_month_stands_on_is_not_charged_again(
    tx, world, deliver
):
    """It landed first, though it was made later: just after the month's turn."""
    turn = month_range(business_month(world.now))[0]
    order = await make.subscription(tx, turn - HOUR, world.msisdn, world.game_id)
    uses = [
        world.record(service_code=world.game, price_fen=200, charged_at=turn + at)
        for at in (MINUTE, -MINUTE)
    ]
    await deliver(uses[0])
    await deliver(uses[1])
    rows = await tx.fetch("SELECT due_fen, consent_id FROM charge_record ORDER BY charged_at")
    assert [tuple(row) for row in rows] == [(0, order), (200, order)]


async def test_the_latest_yes_before_the_charge_is_cited(tx, world, deliver):
    relation = await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    await decided(tx, world, 4 * HOUR, relation)
    yes = await decided(tx, world, 3 * HOUR, relation)
    await decided(tx, world, 2 * HOUR, relation, allowed=False)
    await decided(tx, world, 1 * MINUTE, relation)
    assert await deliver(world.record()) == (yes, relation, 0)


async def test_a_yes_to_one_order_is_none_to_another(tx, world, deliver):
    """Nor is it lost on the order that was left unasked: each use is charged on what it rests on."""
    orders = [
        await make.subscription(tx, world.now - n * HOUR, world.msisdn, world.game_id)
        for n in (4, 3)
    ]
    yes = await decided(tx, world, 2 * HOUR, orders[1])
    uses = [
        world.record(service_code=world.game, price_fen=200, charged_at=world.now - n * MINUTE)
        for n in (20, 10)
    ]
    assert await deliver(uses[0]) == (yes, orders[1], 0)
    assert await deliver(uses[1]) == (None, orders[0], 1)
