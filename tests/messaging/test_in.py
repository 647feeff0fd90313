import asyncio
import json
from collections import defaultdict
from datetime import timedelta

import asyncpg
import pytest

from spms.core import clock as clocks
from spms.core import database_clock, db
from spms.core.partitions import make_partitions
from spms.messaging import actions, in_queries
from spms.messaging.model import IncomingSms

MSISDN = "8613912340000"
SECOND = timedelta(seconds=1)


def sms(name="1", text="Y", msisdn=MSISDN, called="10010"):
    return IncomingSms(
        msisdn=msisdn, called=called, text=text, raw=(text or "").encode(), link="smsc",
        link_message_id=name,
    )  # fmt: skip


async def count(tx):
    return await tx.fetchval("SELECT count(*) FROM message_in")


async def test_a_message_is_stored_as_it_came(tx, now):
    message = await actions.receive(tx, sms(text=None), now=now)
    row = await tx.fetchrow("SELECT * FROM message_in")
    assert (row["id"], row["received_at"], row["text"]) == (message.id, now, None)
    assert (row["called"], row["link"], row["handled_at"]) == ("10010", "smsc", None)


async def test_a_message_delivered_again_is_the_same_message(tx, now):
    assert await actions.receive(tx, sms(), now=now) is not None
    assert await actions.receive(tx, sms(), now=now + SECOND) is None
    assert await count(tx) == 1
    assert await tx.fetchval("SELECT count(*) FROM audit_log") == 0


async def test_other_content_under_a_known_name_is_kept_once_and_noted(tx, now):
    """A TD must not be lost because the gateway counts from 1 again."""
    await actions.receive(tx, sms(text="N"), now=now)
    for other in (sms(text="TD"), sms(text="N", msisdn="8613912340001"), sms(text="N", called="1")):
        assert await actions.receive(tx, other, now=now) is not None
        assert await actions.receive(tx, other, now=now + SECOND) is None
    texts = await tx.fetch("SELECT text FROM message_in ORDER BY text")
    assert [row["text"] for row in texts] == ["N", "N", "N", "TD"]
    notes = await tx.fetch("SELECT * FROM audit_log WHERE act = 'message.name_reused'")
    assert len(notes) == 3
    assert MSISDN not in str(notes)


async def test_what_comes_later_gets_a_later_place_from_a_node_whose_clock_is_behind(tx, now):
    ms = timedelta(milliseconds=1)
    first = await actions.receive(tx, sms("1", "Y"), now=now)
    second = await actions.receive(tx, sms("2", "TD"), now=now - 3 * ms)
    assert second.received_at == first.received_at + timedelta(microseconds=1)
    third = await actions.receive(tx, sms("3", "Y"), now=now - 2 * ms)
    assert third.received_at == second.received_at + timedelta(microseconds=1)
    taken = await actions.take_pending(tx, limit=9)
    assert [message.text for message in taken] == ["Y"]
    assert (await actions.receive(tx, sms("4", "Y", "8613912340001"), now=now)).received_at == now
    # So far ahead is no difference between two readings: it is not followed.
    long_ago = now - timedelta(hours=1)
    assert (await actions.receive(tx, sms("5", "Y"), now=long_ago)).received_at == long_ago


async def test_messages_through_nodes_whose_clocks_are_wrong_keep_their_order(pool, monkeypatch):
    """The yes comes through a machine whose clock is fast, the TD after it through a slow one."""
    texts = []
    for n, (wrong, text) in enumerate([(600, "Y"), (-600, "TD"), (600, "Y"), (-1200, "TD")]):
        right = clocks.machine_now()
        with monkeypatch.context() as machine:
            machine.setattr(clocks, "machine_now", lambda at=right, by=wrong: at + by * SECOND)
            clock = clocks.DatabaseClock()
        async with db.transaction(pool) as tx:
            await database_clock.read(tx, clock, first=True)
            await make_partitions(tx, now=clock.now())
            await actions.receive(tx, sms(str(n), text), now=clock.now())
        texts.append(text)
    rows = await pool.fetch("SELECT text FROM message_in ORDER BY received_at, id")
    assert [row["text"] for row in rows] == texts


async def test_of_twenty_deliveries_at_once_one_is_stored(pool, now):
    async def deliver():
        async with db.transaction(pool) as tx:
            return await actions.receive(tx, sms(), now=now)

    stored = await asyncio.gather(*[deliver() for _ in range(20)])
    assert sum(message is not None for message in stored) == 1
    async with pool.acquire() as tx:
        assert await count(tx) == 1


async def test_a_delivery_that_was_not_committed_can_be_made_again(pool, now):
    async def die():
        async with db.transaction(pool) as tx:
            await actions.receive(tx, sms(), now=now)
            await tx.execute("SELECT 1/0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await die()
    async with db.transaction(pool) as tx:
        assert await actions.receive(tx, sms(), now=now) is not None


async def test_a_listening_pump_is_woken_by_a_message_in_and_by_one_out(pool, now):
    woken: asyncio.Queue[int] = asyncio.Queue()

    def wake(*_):
        woken.put_nowait(1)

    async with pool.acquire() as ear:
        await ear.add_listener("spms_work", wake)
        async with db.transaction(pool) as tx:
            await actions.receive(tx, sms(), now=now)
        await asyncio.wait_for(woken.get(), 30)
        async with db.transaction(pool) as tx:
            await actions.send(
                tx, msisdn=MSISDN, text="x", kind="info", about_kind="x", about_id=1, now=now
            )
        await asyncio.wait_for(woken.get(), 30)
        await ear.remove_listener("spms_work", wake)


async def test_workers_never_have_two_messages_of_one_number_and_keep_their_order(pool, now):
    numbers = [f"86139123400{n:02d}" for n in range(12)]
    async with db.transaction(pool) as tx:
        for n in range(8):
            for msisdn in numbers:
                message = sms(f"{msisdn}/{n}", str(n), msisdn)
                await actions.receive(tx, message, now=now + n * SECOND)
    at_work: set[str] = set()
    order = defaultdict(list)

    async def work():
        idle = 0
        while idle < 3:
            async with db.transaction(pool) as tx:
                taken = await actions.take_pending(tx, limit=3)
                mine = {message.msisdn for message in taken}
                assert len(mine) == len(taken)
                assert not mine & at_work
                at_work.update(mine)
                await asyncio.sleep(0)
                for message in taken:
                    order[message.msisdn].append(int(message.text))
                    assert await actions.mark_handled(
                        tx, message, reading="yes", outcome="done", now=now
                    )
                at_work.difference_update(mine)  # the lock ends with the commit that follows
            idle = 0 if taken else idle + 1

    await asyncio.gather(*[work() for _ in range(6)])
    assert order == {msisdn: list(range(8)) for msisdn in numbers}


async def test_a_worker_that_dies_leaves_the_message_to_the_next(pool, now):
    async with db.transaction(pool) as tx:
        await actions.receive(tx, sms(), now=now)
    dead = await pool.acquire()
    await dead.execute("BEGIN")
    [message] = await actions.take_pending(dead)
    await actions.mark_handled(dead, message, reading="yes", outcome="done", now=now)
    async with db.transaction(pool) as tx:
        assert await actions.take_pending(tx) == []
    pid = dead.get_server_pid()
    dead.terminate()
    await pool.release(dead)
    async with pool.acquire() as read:
        gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $1"
        while not await read.fetchval(gone, pid):
            await read.execute("SELECT pg_sleep(0.01)")
    async with db.transaction(pool) as tx:
        assert [m.id for m in await actions.take_pending(tx)] == [message.id]


async def test_a_message_that_becomes_visible_late_still_waits_for_its_number(pool, now):
    late, early = await pool.acquire(), await pool.acquire()
    await late.execute("BEGIN")
    await actions.receive(late, sms("late", "1"), now=now)
    async with db.transaction(pool) as tx:
        await actions.receive(tx, sms("early", "2"), now=now + SECOND)
    await early.execute("BEGIN")
    [second] = await actions.take_pending(early)
    assert second.text == "2"
    await late.execute("COMMIT")
    async with db.transaction(pool) as tx:
        assert await actions.take_pending(tx) == [], "its number is at work"
    await actions.mark_handled(early, second, reading=None, outcome="done", now=now)
    await early.execute("COMMIT")
    async with db.transaction(pool) as tx:
        assert [m.text for m in await actions.take_pending(tx)] == ["1"]
    await pool.release(late)
    await pool.release(early)


async def test_a_number_that_is_passed_over_holds_up_nobody_else(pool, now):
    other = "8613912340001"
    async with db.transaction(pool) as tx:
        for n, msisdn in enumerate((MSISDN, MSISDN, other)):
            await actions.receive(tx, sms(str(n), str(n), msisdn), now=now + n * SECOND)
    async with db.transaction(pool) as tx:
        assert [m.text for m in await actions.take_pending(tx, but=[MSISDN])] == ["2"]
        assert await actions.take_pending(tx, but=[MSISDN, other]) == []


async def test_a_message_is_handled_once(tx, now):
    message = await actions.receive(tx, sms(), now=now)
    for expected in (True, False):
        done = await actions.mark_handled(
            tx, message, reading="yes", outcome="confirmed", now=now
        )  # fmt: skip
        assert done is expected
    assert await actions.take_pending(tx) == []


async def test_taking_pending_messages_reads_no_table_from_end_to_end(owner, now):
    await owner.execute(
        "INSERT INTO message_in (msisdn, received_at, id, called, raw, link, link_message_id,"
        " handled_at) SELECT '86139' || lpad((n % 5000)::text, 8, '0'), $1::timestamptz, gen_random_uuid(),"
        " '10010', '', 'x', 'x', CASE WHEN n % 1000 > 0 THEN $1::timestamptz END"
        " FROM generate_series(1, 20000) n",
        now,
    )
    await owner.execute("ANALYZE message_in")
    plan = await owner.fetchval("EXPLAIN (FORMAT JSON) " + in_queries.TAKE_PENDING, 10, [])
    nodes = list(walk(json.loads(plan)[0]["Plan"]))
    filled = [node for node in nodes if node.get("Relation Name") == "message_in_202603"]
    assert filled
    assert all("Index" in node["Node Type"] or "Bitmap" in node["Node Type"] for node in filled)


def walk(node):
    yield node
    for below in node.get("Plans", ()):
        yield from walk(below)
