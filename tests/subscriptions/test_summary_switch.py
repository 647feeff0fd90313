"""The month's bill by SMS is switched off and on by SMS: by the holder, and for herself only."""

from spms.core import db
from spms.subscribers import actions as subscribers
from spms.subscribers import limits
from tests.subscriptions.world import World


async def wanted(world: World, msisdn: str) -> bool:
    async with db.acquired(world.pool) as read:
        number = await subscribers.get(read, msisdn)
        assert number is not None
        return await limits.wants_summary(read, number)


async def test_the_summary_is_switched_off_and_on_by_sms(world: World) -> None:
    msisdn, sold = await world.number(), await world.sold()
    other = await world.number(language="en")
    running = await world.running(msisdn, sold)
    assert await wanted(world, msisdn)
    assert await world.say(msisdn, "关闭账单。") == "summary_set"
    assert not await wanted(world, msisdn)
    assert await wanted(world, other)
    assert (await world.inbox(msisdn))[-1].startswith("今后不再每月向您发送账单短信")
    assert await world.status(running) == "active"  # it is no wish to leave
    assert await world.say(msisdn, "bill on") == "summary_set"
    assert await wanted(world, msisdn)
    assert await world.say(other, "ＢＩＬＬ　ＯＦＦ") == "summary_set"
    assert "Reply BILL ON" in (await world.inbox(other))[-1]
    assert (await wanted(world, msisdn), await wanted(world, other)) == (True, False)


async def test_at_an_sps_number_the_words_are_an_order_or_nothing(world: World) -> None:
    sold, msisdn = await world.sold(keyword="开启账单"), await world.number()
    assert await world.say(msisdn, "开启账单", to=sold.access_number) == "prompted"
    assert await world.say(msisdn, "关闭账单", to=sold.access_number) == "help"
    assert await wanted(world, msisdn)
