"""The consent log tells every step, in the step's own transaction, and finds who rewrote it."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from spms.core import db
from spms.core.chain import FaultKind
from spms.messaging import actions as messaging
from spms.subscriptions import actions, consent_log
from tests import make
from tests.subscriptions.world import World


async def log_of(world: World, msisdn: str) -> list[dict[str, Any]]:
    rows = await world.pool.fetch(
        "SELECT * FROM consent_log WHERE msisdn = $1 ORDER BY seq", msisdn
    )
    return [dict(row) for row in rows]


async def faults_of(world: World, *numbers: str) -> list[tuple[int, str]]:
    async with db.snapshot(world.pool) as read:
        return [(one.seq, one.kind) for one in await consent_log.faults(read, list(numbers))]


async def sent(world: World, *, delivered: bool = True) -> None:
    """Let the network take what is queued, and the handset have it, or never have it."""
    async with db.transaction(world.pool) as tx:
        for message in await messaging.take_due(tx, now=world.clock.now()):
            name = str(message.id)
            await messaging.mark_submitted(
                tx, message, link="smsc", link_message_id=name, now=world.clock.now()
            )
            await messaging.record_receipt(
                tx, "smsc", name, delivered=delivered, now=world.clock.now()
            )


async def test_a_life_is_told_step_by_step_with_exact_words(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    world.clock.move(timedelta(seconds=3))
    await sent(world)
    world.clock.move(timedelta(minutes=1))
    assert await world.say(msisdn, " ｙ ") == "confirmed"
    world.clock.move(timedelta(hours=1))
    await world.happened(msisdn, "suspended", "lost", world.clock.now())
    await world.followed()
    world.clock.move(timedelta(hours=1))
    await world.say(msisdn, "TD", to=sold.access_number)

    told = await log_of(world, msisdn)
    assert [one["kind"] for one in told] == [
        "request", "prompt_sent", "prompt_delivered", "confirm", "suspend", "leave",
    ]  # fmt: skip
    assert [one["seq"] for one in told] == [1, 2, 3, 4, 5, 6]
    request, went_out, _, confirm, suspend, left = (one["body"]["facts"] for one in told)
    assert request["prompt_text"] == asked.prompt_text == went_out["prompt_text"]
    assert request["request_text"] == "order 17"
    assert (request["tariff_version"], request["notice_version"]) == (1, 1)
    assert request["rulebook_version"] == 1
    assert request["channel"] == "sp"
    assert went_out["message_link"] == "smsc"
    assert confirm["reply_text"] == confirm["text"] == " ｙ "
    assert confirm["consent_kind"] == "confirmation"
    assert suspend["party"] == "job"
    assert (left["text"], left["called"]) == ("TD", sold.access_number)
    private = told[3]["private"]
    assert private["raw"] == " ｙ ".encode("utf-16-be").hex()
    assert "raw" not in confirm
    assert "actor" not in confirm
    assert await faults_of(world, msisdn) == []


async def told_all(world: World) -> int:
    async with db.transaction(world.pool) as tx:
        day_before = world.clock.now() - timedelta(days=1)
        return await consent_log.record_all(tx, since=day_before, now=world.clock.now())


async def test_a_prompt_told_as_sent_stays_told_when_it_fails_later(world: World) -> None:
    msisdn = await world.number()
    await world.asked(msisdn, await world.sold())
    async with db.transaction(world.pool) as tx:
        (prompt,) = await messaging.take_due(tx, now=world.clock.now())
        await messaging.mark_submitted(
            tx, prompt, link="smsc", link_message_id="1", now=world.clock.now()
        )
    assert await told_all(world) == 1
    world.clock.move(timedelta(hours=1))
    async with db.transaction(world.pool) as tx:
        await messaging.record_receipt(tx, "smsc", "1", delivered=False, now=world.clock.now())
    async with db.transaction(world.pool) as tx:  # a second courier had it as well
        await messaging.mark_submitted(
            tx, prompt, link="smsc", link_message_id="2", now=world.clock.now()
        )
    assert await world.pool.fetchval("SELECT state FROM message_out") == "failed"
    assert await faults_of(world, msisdn) == []
    assert await told_all(world) == 1
    assert [one["kind"] for one in await log_of(world, msisdn)] == [
        "request", "prompt_sent", "prompt_undelivered",
    ]  # fmt: skip
    assert await faults_of(world, msisdn) == []


async def test_a_prompt_that_failed_before_anybody_told_is_told_as_sent_all_the_same(
    world: World,
) -> None:
    msisdn = await world.number()
    await world.asked(msisdn, await world.sold())
    await sent(world, delivered=False)
    assert await told_all(world) == 2
    assert [one["kind"] for one in await log_of(world, msisdn)] == [
        "request", "prompt_sent", "prompt_undelivered",
    ]  # fmt: skip
    assert await faults_of(world, msisdn) == []


@pytest.mark.parametrize(("words", "action"), [("TD", "leave"), ("N", "refuse")])
async def test_of_two_messages_of_one_instant_the_one_that_did_it_is_cited(
    world: World, words: str, action: str
) -> None:
    msisdn = await world.number()
    await world.asked(msisdn, await world.sold())
    world.clock.move(timedelta(minutes=1))
    chatter = await world.received(msisdn, "EN")
    assert await world.say(msisdn, words) in {"left", "refused"}
    await world.handled(chatter)
    event = (await log_of(world, msisdn))[-1]
    assert (event["kind"], event["body"]["facts"]["text"]) == (action, words)
    assert await faults_of(world, msisdn) == []


async def test_refusal_silence_orders_and_agents_are_told_as_well(world: World) -> None:
    sold = await world.sold()
    on_demand = await world.sold(kind="on_demand")
    no, silent, ordering, helped = [await world.number() for _ in range(4)]
    for msisdn in (no, silent, helped):
        await world.asked(msisdn, sold)
    world.clock.move(timedelta(minutes=2))
    await world.say(no, "N")
    await world.say(ordering, on_demand.keyword, to=on_demand.access_number)
    async with db.transaction(world.pool) as tx:
        await actions.leave_all(
            tx, msisdn=helped, reason="来电要求退订", actor=make.AGENT, now=world.clock.now()
        )
    world.clock.move(timedelta(hours=30))
    assert await world.expired() == 2
    assert [one["kind"] for one in await log_of(world, no)] == ["request", "refuse"]
    assert (await log_of(world, no))[1]["body"]["facts"]["text"] == "N"
    assert [one["kind"] for one in await log_of(world, silent)] == ["request", "expire"]
    assert [one["kind"] for one in await log_of(world, ordering)] == ["order", "lapse"]
    assert (await log_of(world, ordering))[0]["body"]["facts"]["reply_text"] == on_demand.keyword
    by_agent = (await log_of(world, helped))[1]
    assert by_agent["private"]["actor"] == "staff:agent"
    assert by_agent["private"]["reason"] == "来电要求退订"
    assert by_agent["body"]["facts"]["party"] == "staff"
    assert await faults_of(world, no, silent, ordering, helped) == []


async def test_what_is_rolled_back_is_not_told(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await world.asked(msisdn, sold)
    message = await world.received(msisdn, "Y")

    async def broken_off() -> None:
        async with db.transaction(world.pool) as tx:
            await actions.handle_message(tx, message, now=world.clock.now())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await broken_off()
    assert [one["kind"] for one in await log_of(world, msisdn)] == ["request"]


async def test_many_at_once_make_one_unbroken_chain(world: World) -> None:
    """The facts are there and nobody told them: all workers try to, at the same time."""
    numbers = [await world.number() for _ in range(3)]
    for _ in range(4):
        sold = await world.sold()
        for msisdn in numbers:
            asked = await world.asked(msisdn, sold)
            for at in range(3):
                await world.pool.execute(
                    "INSERT INTO subscription_event (msisdn, id, subscription_id, action, "
                    "to_status, at, actor, cause) VALUES ($1, gen_random_uuid(), $2, 'resume', "
                    "'active', $3, 'job:test', 'resumed')",
                    msisdn, asked.id, world.clock.now() + timedelta(seconds=at),
                )  # fmt: skip
        world.clock.move(timedelta(days=1))

        async def tell(order: list[str]) -> int:
            async with db.transaction(world.pool) as tx:
                return await consent_log.record(tx, order, now=world.clock.now())

        told = await asyncio.gather(*(tell(numbers[i % 3 :]) for i in range(12)))
        assert sum(told) == 9
    assert await faults_of(world, *numbers) == []
    assert [len(await log_of(world, msisdn)) for msisdn in numbers] == [19, 19, 19]  # 3 expired


async def test_an_event_that_nobody_told_is_found(world: World, owner: asyncpg.Connection) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    await owner.execute(
        "INSERT INTO subscription_event (msisdn, id, subscription_id, action, to_status, at, "
        "actor, cause) VALUES ($1, gen_random_uuid(), $2, 'confirm', 'active', $3, 'x', 'x')",
        msisdn, asked.id, world.clock.now(),
    )  # fmt: skip
    assert await faults_of(world, msisdn) == [(0, FaultKind.FACT_UNTOLD)]
    async with db.transaction(world.pool) as tx:
        day_before = world.clock.now() - timedelta(days=1)
        assert await consent_log.record_all(tx, since=day_before, now=world.clock.now()) == 1
    assert await faults_of(world, msisdn) == []
