"""A wish to leave that could not be read stops charging until an agent has settled it."""

from datetime import timedelta
from uuid import uuid4

import pytest

from jobs import handle_messages
from jobs.timetable import House
from spms.authorisation import actions as authorisation
from spms.authorisation.model import DecisionRequest, Purpose
from spms.charging import actions as charging
from spms.charging.model import ChargeRecordIn, Delivery
from spms.core import db
from spms.core.access import job_actor
from spms.core.errors import NotFound
from spms.subscriptions import actions, wishes
from tests import make
from tests.charging.world import lines_of
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


async def landed(world, msisdn, sold, at):
    """Let the SP report a charge made at an instant; return its id."""
    record = ChargeRecordIn(
        record_id=str(uuid4()), service_code=sold.code, msisdn=msisdn, charged_at=at,
        price_fen=800, delivery=Delivery.NONE,
    )  # fmt: skip
    async with db.transaction(world.pool) as tx:
        landing = await charging.land(
            tx, lines_of(record), sp_id=sold.sp_id, file_id=None, actor=sold.sp,
            now=world.clock.now(),
        )  # fmt: skip
    return landing.outcomes[0].charge_id


async def found(world, charge_id):
    """Let the job judge again what a late fact makes wrong; return what is wrong with a charge."""
    async with db.transaction(world.pool) as tx:
        await charging.reaudit_recent(tx, now=world.clock.now(), actor=job_actor("reaudit"))
    rows = await world.pool.fetch(
        "SELECT kind, due_fen FROM charge_finding WHERE charge_id = $1", charge_id
    )
    return [tuple(row) for row in rows]


async def ended_by(how, world, msisdn, sold, running):
    """Let a relation end by another cause than the wish that waits."""
    if how == "TD":
        assert await world.say(msisdn, f"TD {sold.code}") == "left"
    elif how == "agent":
        async with db.transaction(world.pool) as tx:
            await actions.leave(tx, msisdn=msisdn, subscription_id=running, reason="GD-0: called",
                                actor=make.AGENT, now=world.clock.now())  # fmt: skip
    elif how == "new terms":
        async with db.transaction(world.pool) as tx:
            await tx.execute("INSERT INTO tariff SELECT gen_random_uuid(), service_id, 2, 900, $2,"
                             " $2, 'test' FROM tariff WHERE service_id = $1",
                             sold.id, world.clock.now())  # fmt: skip
            await tx.execute(
                """INSERT INTO notice (id, service_id, tariff_id, version, sp_name, service_name,
                       price_fen, period, hotline, leave_command, state, drafted_at, drafted_by,
                       decided_at, decided_by)
                   SELECT gen_random_uuid(), n.service_id, t.id, 2, n.sp_name, n.service_name, 900,
                          n.period, n.hotline, n.leave_command, 'approved', n.drafted_at,
                          n.drafted_by, $2, n.decided_by
                     FROM notice n JOIN tariff t ON t.service_id = n.service_id AND t.version = 2
                    WHERE n.service_id = $1""",
                sold.id, world.clock.now(),
            )  # fmt: skip
        asked = await world.asked(msisdn, sold)
        assert await world.say(msisdn, f"Y {asked.prompt_code}") == "confirmed"
    else:
        await world.happened(msisdn, "transferred", "owner_changed", world.clock.now())
        await world.followed()
    assert await world.status(running) == "ended"


@pytest.mark.parametrize("how", ["TD", "agent", "new terms", "transfer"])
async def test_a_wish_settled_late_reaches_over_what_ended_meanwhile(
    world, clock, settings, monkeypatch, how
):
    sold, msisdn = await world.sold(), await world.number()
    running = await world.running(msisdn, sold)
    clock.move(timedelta(days=1))
    before = await landed(world, msisdn, sold, clock.now())
    wished_at = clock.now() + timedelta(days=30)
    clock.move(timedelta(days=30))
    await put_aside(world, msisdn, "TD", settings, monkeypatch)
    clock.move(timedelta(hours=1))
    between = await landed(world, msisdn, sold, clock.now())
    clock.move(timedelta(hours=1))
    await ended_by(how, world, msisdn, sold, running)
    clock.move(timedelta(days=9))
    assert await found(world, between) == [], "until it is settled nobody knows what it meant"
    (wish,) = await listed(world)
    settled = await settle(world, wish.id, None)
    assert running in {one.id for one in settled.left}
    row = await world.row(running)
    assert (row["status"], row["ended_at"], row["end_reason"]) == ("ended", wished_at, "agent")
    assert (await world.history(running))[:1] == ["leave_earlier"]
    assert await found(world, between) == [("after_unsubscribe", 0)]
    assert await found(world, before) == []
    if how == "new terms":
        new = await world.pool.fetchval(
            "SELECT id FROM subscription WHERE follows_id = $1", running
        )
        assert await world.status(new) == "active", "what was asked for after the wish goes on"


async def test_a_charge_that_comes_in_after_the_settling_is_judged_by_the_wish(
    world, clock, settings, monkeypatch
):
    sold, msisdn = await world.sold(), await world.number()
    await world.running(msisdn, sold)
    clock.move(timedelta(days=1))
    wished_at = clock.now()
    await put_aside(world, msisdn, "TD", settings, monkeypatch)
    clock.move(timedelta(hours=5))
    (wish,) = await listed(world)
    await settle(world, wish.id, None)
    for at, wrong in [
        (wished_at - timedelta(seconds=1), []), (wished_at, [("after_unsubscribe", 0)]),
        (wished_at + timedelta(hours=1), [("after_unsubscribe", 0)]),
    ]:  # fmt: skip
        assert await found(world, await landed(world, msisdn, sold, at)) == wrong


async def test_a_former_holders_wish_ends_nothing_of_the_present_one(
    world, clock, settings, monkeypatch
):
    """Nor the other way round: she wished before the registry told us that she holds the number."""
    sold, msisdn = await world.sold(), await world.number()
    clock.move(timedelta(hours=1))
    old = await world.running(msisdn, sold)
    clock.move(timedelta(hours=1))
    moved_at = clock.now()
    clock.move(timedelta(hours=1))
    await put_aside(world, msisdn, "TD", settings, monkeypatch)
    clock.move(timedelta(hours=1))
    await world.happened(msisdn, "transferred", "owner_changed", moved_at)
    (wish,) = await listed(world)
    assert (await settle(world, wish.id, None)).left == []
    with pytest.raises(NotFound):
        await settle(world, wish.id, [old])
    await world.followed()
    assert (await world.row(old))["ended_at"] == moved_at


async def test_what_ended_before_the_wish_stays_as_it_is(world, clock, settings, monkeypatch):
    sold, msisdn = await world.sold(), await world.number()
    running = await world.running(msisdn, sold)
    clock.move(timedelta(hours=1))
    assert await world.say(msisdn, "TD") == "left"
    ended_at = clock.now()
    clock.move(timedelta(hours=1))
    await put_aside(world, msisdn, "TD", settings, monkeypatch)
    (wish,) = await listed(world)
    assert (await settle(world, wish.id, None)).left == []
    assert (await world.row(running))["ended_at"] == ended_at


WORDS = {"code": "TD {code}", "codes": "TD {code},99999999", "zeros": "00000", "bare": "TD"}


@pytest.mark.parametrize("how", ["agent", "new terms", "transfer", "terminated", "lapsed"])
@pytest.mark.parametrize("words", WORDS)
async def test_a_td_read_late_reaches_over_what_ended_meanwhile(world, clock, how, words):
    """Charging stops at its receipt, also where nobody asked and the end has another cause."""
    kind = "on_demand" if how == "lapsed" else "monthly"
    sold, msisdn = await world.sold(kind=kind), await world.number()
    terms = {"prompt_text": None, "confirm_by": None} if how == "lapsed" else {}
    running = await world.running(msisdn, sold, **terms)
    clock.move(timedelta(hours=20))
    td = await world.received(msisdn, WORDS[words].format(code=sold.code))
    wished_at = clock.now()
    clock.move(timedelta(hours=1))
    charge_id = await landed(world, msisdn, sold, clock.now())
    clock.move(timedelta(hours=4))
    if how == "lapsed":
        assert await world.expired() == 1
    elif how == "terminated":
        await world.happened(msisdn, "terminated", "subscriber_request", clock.now())
        await world.followed()
    else:
        await ended_by(how, world, msisdn, sold, running)
    assert await world.status(running) == "ended"
    texts = len(await world.inbox(msisdn))
    outcome = await world.handled(td)
    row = await world.row(running)
    if how == "lapsed" and words == "bare":
        assert row["ended_at"] > wished_at, "TD alone is about what renews itself"
        return
    hers_no_more = how in {"transfer", "terminated"}
    assert outcome == ("former_owner" if hers_no_more else "left")
    assert (row["ended_at"], row["end_reason"]) == (wished_at, "subscriber")
    assert await found(world, charge_id) == [("after_unsubscribe", 0)]
    if hers_no_more:
        assert len(await world.inbox(msisdn)) == texts, "whoever gets it is told nothing"
    if how == "new terms":
        new = await world.pool.fetchval(
            "SELECT id FROM subscription WHERE follows_id = $1", running
        )
        assert await world.status(new) == "active", "asked for after the wish"


async def test_a_second_td_moves_nothing_and_neither_does_one_in_the_wrong_order(world, clock):
    sold, msisdn = await world.sold(), await world.number()
    running = await world.running(msisdn, sold)
    clock.move(timedelta(hours=1))
    first = await world.received(msisdn, "TD")
    left_at = clock.now()
    clock.move(timedelta(hours=1))
    second = await world.received(msisdn, f"TD {sold.code}")
    clock.move(timedelta(hours=1))
    assert await world.handled(second) == "left"
    assert (await world.row(running))["ended_at"] == second.received_at
    assert await world.handled(first) == "left"
    assert (await world.row(running))["ended_at"] == left_at
    clock.move(timedelta(hours=1))
    assert await world.say(msisdn, f"TD {sold.code}") == "nothing_to_leave"
    assert (await world.row(running))["ended_at"] == left_at
