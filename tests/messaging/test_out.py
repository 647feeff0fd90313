import asyncio
import contextlib
import json
from collections import Counter
from datetime import timedelta

import asyncpg
import msgspec
import pytest

from spms.core import db
from spms.messaging import actions, out_queries, withdrawals
from spms.messaging.courier import pump_out
from spms.messaging.links import LinkBusy, LinkDown, LinkRefused, Links, Submitted
from spms.messaging.model import MessageKind, Outgoing

MSISDN = "8613912340000"
MINUTE = timedelta(minutes=1)


class Recorder:
    """A link that hands the message over and then does what the test wants."""

    name = "recorder"
    ready = True
    parallel = 4

    def __init__(self, *then) -> None:
        self.then = list(then)
        self.handed_over: list[str] = []

    def takes(self, _message):
        return True

    async def submit(self, message):
        then = self.then.pop(0) if self.then else None
        if isinstance(then, LinkBusy | LinkDown | LinkRefused):
            raise then
        self.handed_over.append(message)
        if isinstance(then, BaseException):
            raise then
        return Submitted(link_message_id=f"{message.id}/{message.attempts}")


async def send(tx, now, msisdn=MSISDN, text="回复Y确认", **values):
    return await actions.send(
        tx, msisdn=msisdn, text=text, kind=MessageKind.PROMPT, about_kind="subscription",
        about_id="1", now=now, **values,
    )  # fmt: skip


async def states(pool):
    async with pool.acquire() as read:
        rows = await read.fetch("SELECT state FROM message_out ORDER BY queued_at, id")
    return [row["state"] for row in rows]


async def pump(pool, link, clock, *, rounds=1, step=MINUTE):
    taken = []
    for _ in range(rounds):
        taken.append(await pump_out(pool, Links(link), clock))
        clock.move(step)
    return taken


async def test_nothing_leaves_before_the_commit_and_all_of_it_after(pool, clock):
    link = Recorder()
    async with db.transaction(pool) as tx:
        await send(tx, clock.now())
        assert await pump_out(pool, Links(link), clock) == 0
    assert await pump_out(pool, Links(link), clock) == 1
    assert [(m.text, m.sender) for m in link.handed_over] == [("回复Y确认", "10010")]
    assert await states(pool) == ["sent"]


async def test_a_message_waits_until_it_is_due(tx, pool, clock):
    await send(tx, clock.now(), due_at=clock.now() + MINUTE)
    link = Recorder()
    assert await pump(pool, link, clock, rounds=2) == [0, 1]


async def test_no_prompt_goes_out_more_than_twice_when_every_answer_is_lost(tx, pool, clock):
    await send(tx, clock.now())
    link = Recorder(*[ConnectionResetError()] * 9)
    await pump(pool, link, clock)
    assert await states(pool) == ["unknown"]
    await pump(pool, link, clock, rounds=5)
    assert [m.text for m in link.handed_over] == ["回复Y确认"] * 2, "the same text, twice at most"
    assert await states(pool) == ["failed"]
    assert await tx.fetchval("SELECT error FROM message_out") == "unknown twice"


async def test_no_prompt_goes_out_more_than_twice_when_the_courier_dies_each_time(tx, pool, clock):
    await send(tx, clock.now())
    link = Recorder(*[asyncio.CancelledError()] * 9)
    for _ in range(5):
        with pytest.raises(asyncio.CancelledError):
            await pump_out(pool, Links(link), clock)
        assert await states(pool) == ["sending"], "the dead record nothing"
        assert await pump_out(pool, Links(link), clock) == 0, "the lease still holds"
        clock.move(actions.LEASE)
        if len(link.handed_over) == 2:
            break
    assert await pump_out(pool, Links(link), clock) == 0
    assert (len(link.handed_over), await states(pool)) == (2, ["failed"])


async def test_the_second_try_after_a_death_can_succeed(tx, pool, clock):
    await send(tx, clock.now())
    link = Recorder(ConnectionResetError())
    await pump(pool, link, clock, rounds=3)
    assert (len(link.handed_over), await states(pool)) == (2, ["sent"])


async def test_the_database_itself_refuses_a_third_attempt(tx, clock):
    await send(tx, clock.now())
    with pytest.raises(asyncpg.CheckViolationError, match="at_most_twice"):
        await tx.execute("UPDATE message_out SET attempts = 3")


@pytest.mark.parametrize("answer", [LinkBusy(), LinkDown()])
async def test_what_was_certainly_not_sent_is_tried_until_it_is(tx, pool, clock, answer):
    await send(tx, clock.now())
    link = Recorder(*[answer] * 6)
    assert await pump(pool, link, clock, rounds=8) == [1] * 7 + [0]
    assert (len(link.handed_over), await states(pool)) == (1, ["sent"])


async def test_what_could_not_be_handed_over_for_a_day_is_given_up(tx, pool, clock):
    await send(tx, clock.now())
    link = Recorder(*[LinkDown()] * 100)
    await pump(pool, link, clock, rounds=26, step=timedelta(hours=1))
    assert (link.handed_over, await states(pool)) == ([], ["failed"])


async def test_a_refused_message_fails_at_once_and_the_next_one_goes(tx, pool, clock):
    await send(tx, clock.now())
    await send(tx, clock.now(), text="second")
    link = Recorder(LinkRefused("invalid_destination"))
    await pump(pool, link, clock)
    assert await states(pool) == ["failed", "sent"]


async def test_the_messages_of_one_number_keep_their_order_through_a_busy_link(tx, pool, clock):
    for n in range(5):
        await send(tx, clock.now(), text=str(n))
    link = Recorder(None, LinkBusy(), None, LinkBusy())
    await pump(pool, link, clock, rounds=4)
    assert [m.text for m in link.handed_over] == ["0", "1", "2", "3", "4"]


async def test_many_couriers_hand_each_message_over_once(tx, pool, clock):
    for n in range(120):
        await send(tx, clock.now(), msisdn=f"86139123400{n % 30:02d}", text=str(n))
    link = Recorder()
    taken = await asyncio.gather(*[pump_out(pool, Links(link), clock, limit=20) for _ in range(8)])
    assert sum(taken) == 120
    assert Counter(m.text for m in link.handed_over) == Counter(str(n) for n in range(120))
    assert set(await states(pool)) == {"sent"}


async def test_a_courier_that_overslept_can_add_the_fact_but_take_nothing_back(tx, clock):
    await send(tx, clock.now())
    [slow] = await actions.take_due(tx, now=clock.now())
    clock.move(MINUTE)
    [quick] = await actions.take_due(tx, now=clock.now())
    assert (slow.attempts, quick.attempts) == (1, 2)
    assert not await actions.put_back(tx, slow, error="late", not_before=clock.now())
    assert not await actions.mark_failed(tx, slow, error="late")
    assert not await actions.mark_unknown(tx, slow, error="late", now=clock.now())
    await actions.mark_submitted(tx, slow, link="l", link_message_id="1", now=clock.now())
    assert not await actions.put_back(tx, quick, error="busy", not_before=clock.now())
    assert await tx.fetchval("SELECT state FROM message_out") == "sent"


@pytest.mark.parametrize(("delivered", "state"), [(True, "delivered"), (False, "failed")])
@pytest.mark.parametrize("early", [True, False])
async def test_a_receipt_counts_also_when_it_overtakes_the_record(
    tx, clock, early, delivered, state
):
    await send(tx, clock.now())
    [message] = await actions.take_due(tx, now=clock.now())

    async def receipt(delivered):
        await actions.record_receipt(tx, "l", "1", delivered=delivered, now=clock.now())

    if early:
        await receipt(delivered)
    await actions.mark_submitted(tx, message, link="l", link_message_id="1", now=clock.now())
    if not early:
        assert await tx.fetchval("SELECT state FROM message_out") == "sent"
        await receipt(delivered)
    await receipt(not delivered)
    assert await tx.fetchval("SELECT state FROM message_out") == state, "the first receipt stands"


async def test_a_receipt_and_the_record_at_the_same_moment_always_meet(pool, clock):
    async with db.transaction(pool) as tx:
        for n in range(40):
            await send(tx, clock.now(), msisdn=f"86139123400{n:02d}")
        taken = await actions.take_due(tx, now=clock.now())

    async def record(message):
        async with db.transaction(pool) as tx:
            await actions.mark_submitted(
                tx, message, link="l", link_message_id=str(message.id), now=clock.now()
            )

    async def receipt(message):
        async with db.transaction(pool) as tx:
            await actions.record_receipt(
                tx, "l", str(message.id), delivered=True, now=clock.now()
            )  # fmt: skip

    await asyncio.gather(*[job(message) for message in taken for job in (record, receipt)])
    assert set(await states(pool)) == {"delivered"}


async def test_messages_of_a_kind_are_counted_since_an_instant(tx, clock):
    await send(tx, clock.now())
    clock.move(MINUTE)
    since = clock.now()
    await send(tx, clock.now())
    await send(tx, clock.now(), msisdn="8613912340001")
    assert await actions.count_sent(tx, MSISDN, MessageKind.PROMPT, since=since) == 1
    assert await actions.count_sent(tx, MSISDN, MessageKind.HELP, since=since) == 0


async def test_many_messages_are_queued_by_one_statement_and_keep_their_order(tx, pool, clock):
    later = clock.now() + MINUTE
    messages = [
        Outgoing(
            msisdn=f"86139123400{n % 3:02d}", text=str(n), kind=MessageKind.RECEIPT,
            about_kind="charge_record", about_id=n, sender="1066" if n % 2 else None,
            due_at=later if n == 99 else None,
        )
        for n in range(100)
    ]  # fmt: skip
    assert await actions.send_many(tx, messages, now=clock.now()) == 100
    assert await actions.send_many(tx, [], now=clock.now()) == 0
    broken = msgspec.structs.replace(messages[0], text="")
    with pytest.raises(ValueError, match="characters"):
        await actions.send_many(tx, [messages[1], broken], now=clock.now())
    link = Recorder()
    assert [await pump_out(pool, Links(link), clock, limit=200) for _ in range(2)] == [99, 0]
    clock.move(MINUTE)
    assert await pump_out(pool, Links(link), clock) == 1
    assert {(m.text, m.sender, m.about_id) for m in link.handed_over} == {
        (str(n), "1066" if n % 2 else "10010", str(n)) for n in range(100)
    }
    for last in range(3):
        order = [int(m.text) for m in link.handed_over if m.msisdn.endswith(str(last))]
        assert order == sorted(order)


async def taken_back(pool, clock):
    async with db.transaction(pool) as tx:
        return await withdrawals.withdraw(
            tx, MSISDN, about_kind="subscription", about_ids=["1"], kinds=[MessageKind.PROMPT],
            now=clock.now(),
        )  # fmt: skip


async def test_what_may_have_been_sent_is_not_sent_again_once_it_is_taken_back(tx, pool, clock):
    await send(tx, clock.now())
    link = Recorder(ConnectionResetError())
    await pump(pool, link, clock)
    assert await states(pool) == ["unknown"]
    assert await taken_back(pool, clock) == 1
    assert await taken_back(pool, clock) == 0
    assert await pump(pool, link, clock, rounds=3) == [0, 0, 0]
    assert (len(link.handed_over), await states(pool)) == (1, ["failed"])
    assert await tx.fetchval("SELECT error FROM message_out") == "withdrawn"


@pytest.mark.parametrize(
    ("answer", "state", "error"),
    [
        (None, "sent", None),
        (LinkBusy(), "failed", "withdrawn"),
        (LinkDown(), "failed", "withdrawn"),
        (LinkRefused("smpp_0x0000000b"), "failed", "smpp_0x0000000b"),
        (ConnectionResetError(), "failed", "withdrawn"),
        (asyncio.CancelledError(), "failed", "withdrawn"),
    ],
)
async def test_what_is_taken_back_from_a_couriers_hand_goes_once_or_not_at_all(
    tx, pool, clock, answer, state, error
):
    await send(tx, clock.now())
    link = Recorder(answer)
    hand_over = link.submit

    async def submit(message):
        if not link.handed_over:
            await taken_back(pool, clock)
        return await hand_over(message)

    link.submit = submit
    with contextlib.suppress(asyncio.CancelledError):
        await pump_out(pool, Links(link), clock)
        assert await states(pool) == [state], "known at once, unless the courier died"
    for _ in range(3):
        clock.move(MINUTE)
        await pump_out(pool, Links(link), clock)
    assert len(link.handed_over) <= 1
    row = await tx.fetchrow("SELECT state, error FROM message_out")
    assert (row["state"], row["error"]) == (state, error)


async def test_what_waits_long_for_its_turn_is_looked_at_again(tx, pool, clock, monkeypatch):
    monkeypatch.setattr("spms.messaging.courier.RECHECK_SECONDS", 0)
    for text in ("first", "second"):
        await send(tx, clock.now(), text=text)
    link = Recorder()
    hand_over = link.submit

    async def submit(message):
        await taken_back(pool, clock)
        return await hand_over(message)

    link.submit = submit
    assert await pump_out(pool, Links(link), clock) == 2
    assert [message.text for message in link.handed_over] == ["first"]
    assert await states(pool) == ["sent", "failed"]


async def test_an_empty_or_endless_text_is_our_own_mistake(tx, clock):
    for text in ("", "长" * 1001):
        with pytest.raises(ValueError, match="characters"):
            await send(tx, clock.now(), text=text)


async def test_taking_due_messages_reads_no_table_from_end_to_end(owner, now):
    await owner.execute(
        "INSERT INTO message_out (msisdn, queued_at, id, sender, text, kind, about_kind, about_id,"
        " state, due_at) SELECT '8613912340000', $1::timestamptz, gen_random_uuid(), '10010', 'x', 'info', 'x',"
        " 'x', CASE WHEN n % 1000 = 0 THEN 'queued' ELSE 'sent' END, $1"
        " FROM generate_series(1, 20000) n",
        now,
    )
    await owner.execute("ANALYZE message_out")
    plan = await owner.fetchval(
        "EXPLAIN (FORMAT JSON) " + out_queries.TAKE_DUE, now, 50, MINUTE, MINUTE
    )
    nodes = list(walk(json.loads(plan)[0]["Plan"]))
    filled = [node for node in nodes if node.get("Relation Name") == "message_out_202603"]
    assert filled
    assert all("Index" in node["Node Type"] for node in filled), plan


@pytest.mark.parametrize("many", [1, 100])
async def test_taking_messages_back_reads_no_table_from_end_to_end(owner, now, many):
    await owner.execute(
        "INSERT INTO message_out (msisdn, queued_at, id, sender, text, kind, about_kind, about_id,"
        " state, due_at) SELECT '861391234' || lpad((n % 5000)::text, 4, '0'), $1::timestamptz,"
        " gen_random_uuid(), '10010', 'x', 'info', 'x', 'x',"
        " CASE WHEN n % 1000 = 0 THEN 'queued' ELSE 'sent' END, $1"
        " FROM generate_series(1, 20000) n",
        now,
    )
    await owner.execute("ANALYZE message_out")
    numbers, since = [f"861391234{n:04}" for n in range(many)], now - 4320 * MINUTE
    for statement, values in (
        (out_queries.WITHDRAW, (now, "x", numbers, ["1"] * many, ["info"], since)),
        (out_queries.WITHDRAW_ALL, (now, numbers, [now + MINUTE] * many, since)),
    ):
        plan = await owner.fetchval("EXPLAIN (FORMAT JSON) " + statement, *values)
        nodes = list(walk(json.loads(plan)[0]["Plan"]))
        scans = [node for node in nodes if node.get("Relation Name") == "message_out_202603"]
        scans = [node for node in scans if node["Node Type"] != "ModifyTable"]
        assert scans
        assert all("Seq" not in node["Node Type"] for node in scans), plan


def walk(node):
    yield node
    for below in node.get("Plans", ()):
        yield from walk(below)
