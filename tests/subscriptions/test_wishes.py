"""A wish to leave that could not be read stops charging until an agent has settled it."""

from datetime import timedelta
from uuid import uuid4

import pytest

from jobs import handle_messages
from jobs.timetable import House
from spms.authorisation import actions as authorisation
from spms.authorisation.model import DecisionRequest, Purpose
from spms.core import db
from spms.core.errors import NotFound
from spms.subscriptions import actions, wishes
from tests import make
from tests.subscriptions.world import World


@pytest.fixture
def world(pool, clock):
    return World(pool, clock)


async def may_charge(world: World, msisdn: str, sold) -> tuple[str, ...]:
    asked = DecisionRequest(
        purpose=Purpose.CHARGE, msisdn=msisdn, service_code=sold.code, price_fen=800
    )
    async with db.transaction(world.pool) as tx:
        (decision,) = await authorisation.decide(
            tx, [asked], sp_id=sold.sp_id, actor=sold.sp, now=world.clock.now()
        )
    return tuple(decision.reasons)


async def put_aside(world, msisdn, text, settings, monkeypatch):
    """Let the job's handling of a message fail, as a bug would."""

    async def broken(*_: object, **__: object) -> str:
        raise RuntimeError("no such luck")

    await world.received(msisdn, text)
    house = House(pool=world.pool, clock=world.clock, settings=settings, link=None, prober=None)
    with monkeypatch.context() as patch:
        patch.setattr(actions, "handle_message", broken)
        assert await handle_messages.pump(house) == 1


async def listed(world: World):
    async with db.transaction(world.pool) as tx:
        return (await wishes.page(tx, cursor=None, limit=10, actor=make.AGENT)).items


async def settle(world: World, wish_id, ids):
    async with db.transaction(world.pool) as tx:
        return await wishes.settle(
            tx, wish_id, subscription_ids=ids, reason="called her", ticket="GD-1",
            actor=make.AGENT, now=world.clock.now(),
        )  # fmt: skip


async def test_charging_stays_stopped_until_somebody_settles_it(
    world, clock, settings, monkeypatch
):
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    running, kept = await world.running(msisdn, sold), await world.running(msisdn, other)
    clock.move(timedelta(hours=1))
    received_at = clock.now()
    await put_aside(world, msisdn, "TD", settings, monkeypatch)
    clock.move(timedelta(days=20))
    for service in (sold, other):
        assert await may_charge(world, msisdn, service) == ("leave_received",)
    (wish,) = await listed(world)
    assert wish.text == "TD"
    assert msisdn[2:] not in str(wish)
    with pytest.raises(NotFound):
        await settle(world, wish.id, [uuid4()])
    settled = await settle(world, wish.id, [running])
    assert [one.id for one in settled.left] == [running]
    row = await world.row(running)
    assert (row["status"], row["ended_at"]) == ("ended", received_at)
    assert await world.status(kept) == "active"
    assert await may_charge(world, msisdn, sold) == ("no_consent",)
    assert await may_charge(world, msisdn, other) == ()
    assert await listed(world) == []
    with pytest.raises(NotFound):
        await settle(world, wish.id, None)


async def test_what_was_no_wish_to_leave_ends_nothing(world, clock, settings, monkeypatch):
    sold, msisdn = await world.sold(), await world.number()
    running = await world.running(msisdn, sold)
    clock.move(timedelta(hours=1))
    await put_aside(world, msisdn, "1", settings, monkeypatch)
    assert await may_charge(world, msisdn, sold) == ("leave_received",)
    (wish,) = await listed(world)
    assert (await settle(world, wish.id, [])).left == []
    assert await world.status(running) == "active"
    assert await may_charge(world, msisdn, sold) == ()


async def test_what_was_put_aside_and_is_no_wish_stops_nothing(world, clock, settings, monkeypatch):
    sold, msisdn = await world.sold(), await world.number()
    await world.running(msisdn, sold)
    clock.move(timedelta(hours=1))
    await put_aside(world, msisdn, "hello there", settings, monkeypatch)
    assert await listed(world) == []
    assert await may_charge(world, msisdn, sold) == ()


async def test_everything_is_settled_as_of_its_receipt_a_later_yes_included(
    world, clock, settings, monkeypatch
):
    """Asked before, agreed to after the wish: it ends at the instant at which it began."""
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    clock.move(timedelta(minutes=1))
    await put_aside(world, msisdn, "00000", settings, monkeypatch)
    clock.move(timedelta(minutes=1))
    await world.say(msisdn, f"Y {asked.prompt_code}")
    (wish,) = await listed(world)
    await settle(world, wish.id, None)
    row = await world.row(asked.id)
    assert row["status"] == "ended"
    assert row["ended_at"] == row["active_from"]
