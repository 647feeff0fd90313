"""The reminder before a month renews: a day before, once, to whoever still has it."""

from asyncio import gather
from datetime import UTC, datetime, timedelta

from spms.core import db
from spms.subscriptions import reminders
from tests.subscriptions.world import World

HOUR = timedelta(hours=1)
APRIL = datetime(2026, 3, 31, 16, tzinfo=UTC)  # midnight in Shanghai


async def remind(world: World) -> int:
    async with db.transaction(world.pool) as tx:
        return await reminders.remind(tx, now=world.clock.now())


async def test_a_month_that_renews_is_announced_a_day_before_and_once(world: World) -> None:
    first, second, game = (
        await world.sold(), await world.sold(), await world.sold(kind="on_demand")
    )  # fmt: skip
    msisdn, english, gone, moved = (
        await world.number(), await world.number(language="en"), await world.number(),
        await world.number(),
    )  # fmt: skip
    for sold in (first, second):
        await world.running(msisdn, sold)
    await world.running(english, first)
    await world.running(gone, first, status="suspended")
    await world.running(moved, first)
    await world.say(msisdn, game.keyword, to=game.access_number)
    await world.pool.execute("UPDATE number SET epoch = 2 WHERE msisdn = $1", moved)

    world.clock.at = APRIL - 37 * HOUR
    assert await remind(world) == 0
    world.clock.at = APRIL - 36 * HOUR
    assert sum(await gather(*[remind(world) for _ in range(4)])) == 3
    world.clock.at = APRIL - 24 * HOUR
    assert await remind(world) == 0

    texts = [text for text in await world.inbox(msisdn) if "续订提醒" in text]
    assert len(texts) == 1
    for sold in (first, second):
        assert f"8.00元/月（TD {sold.code}）" in texts[0]
    assert "2026-04-01" in texts[0]
    assert game.code not in texts[0]
    (told,) = await world.inbox(english)
    assert told.startswith("[Renewal] On 2026-04-01")
    assert await world.inbox(gone) == await world.inbox(moved) == []

    world.clock.at = APRIL + 29 * 24 * HOUR  # the day before the last of April
    assert await remind(world) == 3


async def test_nothing_is_announced_that_will_not_be_charged_then(world: World) -> None:
    """An SP's own trial ends by itself; what is free into the month was told of its own date."""
    msisdn = await world.number()
    trial = {
        "free_until": APRIL + HOUR,
        "charge_from": APRIL + HOUR,
        "charge_rule": "after_consent",
    }
    await world.running(msisdn, await world.sold(), **trial)
    later = {"charge_from": APRIL + HOUR, "charge_rule": "free_hours"}
    await world.running(msisdn, await world.sold(), **later)
    first = await world.sold()
    await world.running(msisdn, first, charge_from=APRIL, charge_rule="free_month")
    world.clock.at = APRIL - 30 * HOUR
    assert await remind(world) == 1
    (text,) = [text for text in await world.inbox(msisdn) if "续订提醒" in text]
    assert text.count("TD") == 2  # its code, and how to leave
    assert first.code in text


async def test_what_begins_in_the_last_hours_is_announced_late_rather_than_never(
    world: World,
) -> None:
    world.clock.at = APRIL - 2 * HOUR
    msisdn = await world.number()
    await world.running(msisdn, await world.sold())
    assert await remind(world) == 1


async def test_a_reminder_that_has_not_left_is_taken_back_and_the_rest_reminded_of_anew(
    world: World,
) -> None:
    first, second, third = [await world.sold() for _ in range(3)]
    msisdn, other = await world.number(), await world.number()
    relations = [await world.running(msisdn, sold) for sold in (first, second, third)]
    await world.running(other, first)
    world.clock.at = APRIL - 36 * HOUR
    assert await remind(world) == 4
    going_on = sorted(relations)[1:]
    code = {
        relation: sold.code
        for relation, sold in zip(relations, (first, second, third), strict=True)
    }
    assert await world.say(msisdn, f"TD {code[min(relations)]}") == "left"

    async def waits(whose: str) -> list[str]:
        rows = await world.pool.fetch(
            "SELECT text FROM message_out WHERE msisdn = $1 AND state = 'queued'"
            " AND kind = 'reminder'",
            whose,
        )
        return [row["text"] for row in rows]

    (text,) = await waits(msisdn)
    assert code[min(relations)] not in text
    assert all(code[relation] in text for relation in going_on)
    assert len(await waits(other)) == 1
    assert await world.say(msisdn, "00000") == "left"
    assert await waits(msisdn) == []
    assert await remind(world) == 0
