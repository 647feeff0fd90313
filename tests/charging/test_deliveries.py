"""Reserved and never delivered, delivered and never charged: reservations beside charges."""

from datetime import timedelta

import pytest

from spms.charging import deliveries
from spms.charging.model import Delivery
from spms.core.access import job_actor
from spms.core.db import transaction
from spms.core.ids import new_id
from tests import make
from tests.charging.world import DAY

HOUR = timedelta(hours=1)
JOB = job_actor("audit_deliveries")


@pytest.fixture
async def order(tx, world):
    return await make.subscription(
        tx, world.now - 3 * HOUR, world.msisdn, world.game_id, active_from=world.now - 3 * HOUR
    )


async def reserved(tx, world, at, order_id, state="reserved"):
    """Write an allowed decision with its reservation, as the room below does."""
    decision_id = new_id()
    await tx.execute(
        """INSERT INTO authorisation (msisdn, decided_at, id, purpose, sp_id, service_id,
               service_code, price_fen, allowed, reasons, subscription_id, rulebook_version, facts,
               requested_by)
           VALUES ($1, $2, $3, 'charge', $4, $5, $6, 200, true, '{}', $7, 1, '{}', 'test')""",
        world.msisdn, at, decision_id, world.sp_id, world.game_id, world.game, order_id,
    )  # fmt: skip
    await tx.execute(
        """INSERT INTO reservation (msisdn, id, reserved_at, sp_id, service_id, reference, price_fen,
                                    expires_at, state, closed_at, closed_by)
           VALUES ($1, $2, $3, $4, $5, $2::uuid::text, 200, $3::timestamptz + interval '10 min', $6, $7,
                   $8)""",
        world.msisdn, decision_id, at, world.sp_id, world.game_id, state,
        None if state == "reserved" else at + timedelta(minutes=5),
        None if state == "reserved" else "test",
    )  # fmt: skip
    return decision_id


async def use(world, at, **values):
    fields = {"service_code": world.game, "price_fen": 200, "charged_at": at}
    landing = await world.land(world.record(**(fields | values)))
    (outcome,) = landing.outcomes
    assert outcome.findings == ()
    return outcome.charge_id


async def doubted(tx):
    return [row[0] for row in await tx.fetch("SELECT kind FROM charge_suspicion")]


async def later(world, what, **values):
    async with transaction(world.pool) as work:
        return await what(work, now=world.now, **values)


@pytest.mark.parametrize(
    ("state", "delivery", "expected"),
    [
        ("released", Delivery.NONE, ["reserved_not_delivered"]),
        ("expired", Delivery.NONE, ["reserved_not_delivered"]),
        ("released", Delivery.DELIVERED, []),
        ("captured", Delivery.NONE, []),
        ("reserved", Delivery.NONE, []),
    ],
)
async def test_a_charge_on_what_was_let_go_waits_for_a_person(
    tx, world, order, state, delivery, expected
):
    await reserved(tx, world, world.now - 2 * HOUR, order, state)
    await use(world, world.now - HOUR, delivery=delivery)
    assert await doubted(tx) == expected


async def test_what_runs_out_after_its_charge_has_landed_is_doubted_once(tx, world, order):
    decision_id = await reserved(tx, world, world.now - 2 * HOUR, order)
    await use(world, world.now - HOUR)
    assert await later(world, deliveries.reaudit_reserved, actor=JOB) == 0
    await tx.execute(
        "UPDATE reservation SET state = 'expired', closed_at = $2, closed_by = 'job' WHERE id = $1",
        decision_id, world.now,
    )  # fmt: skip
    assert await later(world, deliveries.reaudit_reserved, actor=JOB) == 1
    assert await later(world, deliveries.reaudit_reserved, actor=JOB) == 0
    assert await doubted(tx) == ["reserved_not_delivered"]


async def test_a_rulebook_may_refund_it_at_once(tx, owner, world, order):
    await owner.execute(
        """INSERT INTO rulebook VALUES
           (2, $1, '{"audit": {"reserved_mode": "refund"}}', 'strict', $1, 'test')""",
        world.now - DAY,
    )
    await reserved(tx, world, world.now - 2 * HOUR, order, "expired")
    landing = await world.land(
        world.record(service_code=world.game, price_fen=200, charged_at=world.now - HOUR)
    )
    assert landing.outcomes[0].findings == ("reserved_not_delivered",)
    assert landing.outcomes[0].due_fen == 0


async def test_a_delivery_without_a_charge_is_counted_once_and_only_after_its_time(
    tx, world, order
):
    await reserved(tx, world, world.now - HOUR, order, "captured")
    assert await later(world, deliveries.count_uncharged) == 0
    world.now += 5 * DAY
    assert await later(world, deliveries.count_uncharged) == 1
    assert await later(world, deliveries.count_uncharged) == 0
    (seen,) = await tx.fetch("SELECT kind, charges, fen FROM charge_observation")
    assert tuple(seen) == ("delivered_not_charged", 1, 200)


async def test_two_uses_charged_after_both_are_both_charged(tx, world, order):
    another = await make.subscription(tx, world.now - 2 * HOUR, world.msisdn, world.game_id)
    for hours, of in ((2, order), (1, another)):
        await reserved(tx, world, world.now - hours * HOUR, of, "captured")
    for minutes in (10, 5):
        await use_of(world, minutes)
    world.now += 5 * DAY
    assert await later(world, deliveries.count_uncharged) == 0


async def test_of_two_uses_and_one_charge_one_is_missing(tx, world, order):
    another = await make.subscription(tx, world.now - 2 * HOUR, world.msisdn, world.game_id)
    for hours, of in ((2, order), (1, another)):
        await reserved(tx, world, world.now - hours * HOUR, of, "captured")
    await use_of(world, 5)
    world.now += 5 * DAY
    assert await later(world, deliveries.count_uncharged) == 1


async def test_a_use_that_is_charged_twice_is_not_the_charge_of_the_next(tx, world, order):
    another = await make.subscription(tx, world.now - HOUR, world.msisdn, world.game_id)
    await reserved(tx, world, world.now - 2 * HOUR, order, "captured")
    for minutes in (90, 80):
        await use_of(world, minutes)
    await reserved(tx, world, world.now - HOUR, another, "captured")
    assert await tx.fetchval("SELECT count(*) FROM charge_record WHERE due_fen = 0") == 1
    world.now += 5 * DAY
    assert await later(world, deliveries.count_uncharged) == 1


async def test_a_charge_too_late_for_the_delivery_it_cites_is_the_next_ones(tx, world):
    orders = [
        await make.subscription(tx, world.now - days * DAY, world.msisdn, world.game_id)
        for days in (5, 1)
    ]
    cited, _ = [
        await reserved(tx, world, world.now - at, order, "captured")
        for order, at in zip(orders, (5 * DAY - HOUR, HOUR), strict=True)
    ]
    await make.charge(
        tx, world.now, world.msisdn, world.game_id, consent_id=orders[1], authorisation_id=cited
    )
    world.now += 5 * DAY
    assert await later(world, deliveries.count_uncharged) == 1, "of the first, not of both"


async def use_of(world, minutes):
    at = world.now - timedelta(minutes=minutes)
    await world.land(world.record(service_code=world.game, price_fen=200, charged_at=at))
