"""What SPs are told of their relations: everything that was committed, once, in order, no number."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import tell_partners
from jobs.timetable import House
from spms.core import db, roles
from spms.partners import event_feed
from spms.subscribers.actions import pseudonym
from spms.subscriptions import actions
from spms.subscriptions.model import Action, EndReason, Status
from spms.subscriptions.rules import TRANSITIONS
from spms.subscriptions.telling import event_type, tell_untold
from spms.subscriptions.telling_model import EventType
from tests import make
from tests.subscriptions.world import World


@pytest.fixture
def world(pool, clock):
    return World(pool, clock)


async def told(pool: db.Pool, now) -> int:
    async with db.transaction(pool) as tx:
        assert await event_feed.take_turn(tx)
        await tell_untold(tx)
        return await event_feed.number(tx, now=now)


async def feed(pool: db.Pool, sp_id) -> list[asyncpg.Record]:
    return await pool.fetch("SELECT * FROM partner_event WHERE sp_id = $1 ORDER BY position", sp_id)


@given(st.sampled_from(sorted(TRANSITIONS)))
def test_every_move_has_a_type_and_it_says_where_the_relation_stands(move):
    before, action = move
    kind = event_type(before, TRANSITIONS[move])
    assert kind.value.startswith("subscription.")
    assert (kind is EventType.RESUMED) == (action is Action.RESUME)
    assert (kind is EventType.ACTIVATED) == (action is Action.CONFIRM)
    assert event_type(None, Status.AWAITING) is EventType.REQUESTED


async def test_a_life_is_told_in_order_under_a_pseudonym(world, pool, clock):
    sold, msisdn = await world.sold(), await world.number()
    other = await world.sold()
    asked = await world.asked(msisdn, sold)
    await world.say(msisdn, f"Y {asked.prompt_code}")
    clock.move(timedelta(hours=1))
    await world.happened(msisdn, "suspended", "lost", clock.now())
    await world.followed()
    clock.move(timedelta(hours=1))
    await world.happened(msisdn, "resumed", "found", clock.now())
    await world.followed()
    await world.say(msisdn, f"TD {sold.code}")
    refused = await world.asked(msisdn, other)
    await world.say(msisdn, f"N {refused.prompt_code}")
    silent = await world.number()
    await world.asked(silent, sold)
    clock.move(timedelta(hours=2))
    await world.expired()
    assert await told(pool, clock.now()) == 9
    assert await told(pool, clock.now()) == 0
    rows = await feed(pool, sold.sp_id)
    assert [row["type"].removeprefix("subscription.") for row in rows] == [
        "requested", "activated", "suspended", "resumed", "ended", "requested", "expired",
    ]  # fmt: skip
    assert [row["position"] for row in rows] == list(range(1, 8))
    secret = await pool.fetchval("SELECT secret FROM instance")
    name = pseudonym(secret, sold.sp_id, msisdn, 1)
    assert {row["data"]["number"] for row in rows[:5]} == {name}
    first, ended = rows[0]["data"], rows[4]["data"]
    assert (first["status"], first["active_from"], first["ended_at"]) == ("awaiting", None, None)
    assert ended | {"requested_at": 0, "confirm_by": 0, "active_from": 0, "ended_at": 0} == {
        "subscription_id": str(asked.id), "service_code": sold.code, "kind": "monthly",
        "number": name, "status": "ended", "previous_status": "active", "price_fen": 800,
        "reason": str(EndReason.SUBSCRIBER), "channel": "sp", "requested_at": 0, "confirm_by": 0,
        "active_from": 0, "ended_at": 0,
    }  # fmt: skip
    assert ended["ended_at"] > ended["active_from"] > ""
    elsewhere = await feed(pool, other.sp_id)
    assert [row["type"] for row in elsewhere] == ["subscription.requested", "subscription.refused"]
    assert elsewhere[0]["data"]["number"] != name
    everything = str([dict(row) for row in rows + elsewhere])
    assert msisdn[2:] not in everything
    assert silent[2:] not in everything


async def test_what_commits_late_is_told_and_what_is_rolled_back_is_not(
    world, pool, clock, owner_url
):
    sold = await world.sold()
    slow, undone, quick = [await world.number() for _ in range(3)]

    async def request(tx, msisdn):
        return await actions.request(
            tx, msisdn=msisdn, service_id=sold.id, channel="sp", request_text="1", actor=sold.sp,
            now=clock.now(),
        )  # fmt: skip

    async with (
        asyncpg.create_pool(roles.app_url(owner_url), init=db._prepare, min_size=2, max_size=2) as other,
        other.acquire() as one, other.acquire() as two,
    ):  # fmt: skip
        open_one, open_two = one.transaction(), two.transaction()
        await open_one.start()
        await open_two.start()
        first = await request(one, slow)  # draws its numbers first, commits last
        await request(two, undone)
        for _ in range(5):
            clock.move(timedelta(minutes=5))
            await world.asked(quick, sold)
            await told(pool, clock.now())
            clock.move(timedelta(hours=2))
            await world.expired()
            quick = await world.number()
            await told(pool, clock.now())
        before = await feed(pool, sold.sp_id)
        assert len(before) == 10
        await open_two.rollback()
        await open_one.commit()
    assert await told(pool, clock.now()) == 1
    after = await feed(pool, sold.sp_id)
    assert [row["id"] for row in after[:10]] == [row["id"] for row in before]
    assert after[10]["subject"] == str(first.id)
    # The search begins behind all of them now, and is not moved without need.
    await told(pool, clock.now())
    await told(pool, clock.now())
    state = await pool.fetchrow("SELECT * FROM subscription_telling")
    assert state["settled_seq"] == await pool.fetchval("SELECT max(seq) FROM subscription_event")
    assert await told(pool, clock.now()) == 0
    again = await pool.fetchrow("SELECT * FROM subscription_telling")
    assert again == state


async def test_a_younger_transaction_that_drew_its_number_first_is_not_passed_over(
    world, pool, clock, owner_url
):
    """`late` begins after `quick` but draws a smaller number, and is still running when looked at."""
    sold = await world.sold()
    async with (
        asyncpg.create_pool(roles.app_url(owner_url), init=db._prepare, min_size=2, max_size=2) as other,
        other.acquire() as quick, other.acquire() as late,
    ):  # fmt: skip
        of_quick, of_late = quick.transaction(), late.transaction()
        await of_quick.start()
        await of_late.start()
        numbers = [await world.number() for _ in range(2)]
        of_quick_made = await make.subscription(quick, clock.now(), numbers[0], sold.id)
        of_late_made = await make.subscription(late, clock.now(), numbers[1], sold.id)
        untold = await confirmed(late, numbers[1], of_late_made, clock.now())
        await confirmed(quick, numbers[0], of_quick_made, clock.now())
        await of_quick.commit()
        for _ in range(3):
            await told(pool, clock.now())
        await of_late.commit()
    assert await told(pool, clock.now()) == 1
    assert (await feed(pool, sold.sp_id))[-1]["id"] == untold
    for _ in range(2):
        await told(pool, clock.now())
    settled = await pool.fetchval("SELECT settled_seq FROM subscription_telling")
    assert settled == await pool.fetchval("SELECT max(seq) FROM subscription_event")


async def confirmed(tx: db.Connection, msisdn: str, subscription_id, now):
    """Write a line of a relation's history in an open transaction; return its id."""
    return await tx.fetchval(
        """INSERT INTO subscription_event
           (msisdn, id, subscription_id, action, to_status, at, actor, cause)
           VALUES ($1, gen_random_uuid(), $2, 'confirm', 'active', $3, 'test', 'test')
           RETURNING id""",
        msisdn, subscription_id, now,
    )  # fmt: skip


async def test_a_database_restored_elsewhere_goes_on_telling(world, pool, clock, owner):
    """Transaction numbers of another server mean nothing; the search must not wait for them."""
    sold = await world.sold()
    await world.asked(await world.number(), sold)
    await owner.execute(
        "UPDATE subscription_telling SET watched_xid = '999999999999', settled_seq = 0"
    )
    for _ in range(3):
        await world.asked(await world.number(), sold)
        assert await told(pool, clock.now()) > 0
    assert await told(pool, clock.now()) == 0
    assert len(await feed(pool, sold.sp_id)) == 4
    assert await pool.fetchval("SELECT settled_seq FROM subscription_telling") > 0


async def test_many_writers_and_two_workers_skip_nothing(world, pool, clock, owner_url, settings):
    sold = await world.sold()
    numbers = [await world.number() for _ in range(24)]
    house = House(pool=pool, clock=clock, settings=settings, link=None, prober=None)
    writing = True

    async def worker() -> None:
        while writing:
            await tell_partners.pump(house)

    async def life(msisdn: str, roll_back: bool) -> None:
        async with pool.acquire() as tx:
            held = tx.transaction()
            await held.start()
            made = await make.subscription(tx, clock.now(), msisdn, sold.id)
            for action, status in (("confirm", "active"), ("leave", "ended")):
                await tx.execute(
                    """INSERT INTO subscription_event
                       (msisdn, id, subscription_id, action, to_status, at, actor, cause)
                       VALUES ($1, gen_random_uuid(), $2, $3, $4, $5, 'test', 'test')""",
                    msisdn, made, action, status, clock.now(),
                )  # fmt: skip
                await asyncio.sleep(hash(msisdn) % 7 / 100)
            await (held.rollback() if roll_back else held.commit())

    workers = [asyncio.create_task(worker()) for _ in range(2)]
    await asyncio.gather(*[life(number, n % 4 == 0) for n, number in enumerate(numbers)])
    writing = False
    await asyncio.gather(*workers)
    while await tell_partners.pump(house):
        pass
    rows = await feed(pool, sold.sp_id)
    assert [row["position"] for row in rows] == list(range(1, 37))
    wanted = await pool.fetch("SELECT id FROM subscription_event")
    assert {row["id"] for row in rows} == {row["id"] for row in wanted}
    for subject in {row["subject"] for row in rows}:
        kinds = [row["type"] for row in rows if row["subject"] == subject]
        assert kinds == [EventType.ACTIVATED, EventType.ENDED]


async def test_a_full_batch_leaves_nothing_behind(world, pool, clock):
    sold = await world.sold()
    for _ in range(7):
        await world.asked(await world.number(), sold)
    batches = []
    for _ in range(5):
        async with db.transaction(pool) as tx:
            batches.append(await tell_untold(tx, limit=2))
    assert batches == [2, 2, 2, 1, 0]
    async with db.transaction(pool) as tx:
        await event_feed.take_turn(tx)
        numbered = [await event_feed.number(tx, now=clock.now(), limit=5) for _ in range(3)]
    assert numbered == [5, 2, 0]
    assert [row["position"] for row in await feed(pool, sold.sp_id)] == list(range(1, 8))
