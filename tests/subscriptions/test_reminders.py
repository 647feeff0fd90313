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


async def test_what_begins_in_the_last_hours_is_announced_late_rather_than_never(
    world: World,
) -> None:
    world.clock.at = APRIL - 2 * HOUR
    msisdn = await world.number()
    await world.running(msisdn, await world.sold())
    assert await remind(world) == 1
