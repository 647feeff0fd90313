"""The month audit finds what stands and cannot, whoever let it stand."""

from datetime import timedelta
from uuid import uuid4

import pytest

from spms.charging import month_audit
from spms.charging.model import Delivery
from spms.core.db import snapshot
from tests import make
from tests.charging.world import DAY

HOUR = timedelta(hours=1)


async def found(world):
    async with snapshot(world.pool) as read:
        rows = await month_audit.contradictions(read, world.now.date())
    return [(row.kind, row.charges) for row in rows]


async def related(tx, world, **values):
    return await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id, **values)


async def test_what_the_rules_let_stand_can_stand(tx, world):
    await related(tx, world)
    await world.land(
        world.record(), world.record(price_fen=900), world.record(delivery=Delivery.FAILED)
    )
    assert await found(world) == []


@pytest.mark.parametrize(
    ("values", "charge", "expected"),
    [
        ({}, {}, []),
        ({"charge_from": "now"}, {}, ["in_trial"]),
        ({"status": "ended", "ended_at": "before", "end_reason": "subscriber"}, {}, ["ended"]),
        ({"epoch": 2}, {}, ["after_transfer"]),
        ({}, {"price_fen": 801}, ["price_mismatch"]),
        ({}, {"price_fen": 801, "due_fen": 800}, []),
        ({}, {"price_fen": 3001}, ["price_mismatch", "over_service_cap"]),
    ],
)
async def test_each_kind_of_contradiction(tx, world, values, charge, expected):
    times = {"now": world.now, "before": world.now - 2 * HOUR}
    consent_id = await related(tx, world, **{k: times.get(v, v) for k, v in values.items()})
    await make.charge(
        tx, world.now - HOUR, world.msisdn, world.monthly_id, consent_id=consent_id, **charge
    )
    assert await found(world) == [(kind, 1) for kind in expected]


async def test_a_number_out_of_service_and_a_month_paid_twice(tx, world):
    consent_id = await related(tx, world)
    for hours in (3, 1):
        at = world.now - hours * HOUR
        await make.charge(tx, at, world.msisdn, world.monthly_id, consent_id=consent_id)
    await tx.execute(
        """INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                                     state_after, epoch_after)
           VALUES ($1, $2, 'suspended', 'operator', $3, $3, 'test', 'suspended', 1)""",
        world.msisdn, uuid4(), world.now - 2 * HOUR,
    )  # fmt: skip
    assert await found(world) == [("number_not_active", 1), ("duplicate", 1)]


async def test_an_order_that_is_charged_twice(tx, world):
    orders = [
        await make.subscription(tx, world.now - hours * HOUR, world.msisdn, world.game_id)
        for hours in (4, 3)
    ]
    for n, order in enumerate([*orders, orders[0]]):
        assert await found(world) == []
        at = world.now - HOUR + timedelta(minutes=n)
        await make.charge(tx, at, world.msisdn, world.game_id, consent_id=order)
    assert await found(world) == [("duplicate", 1)]
