"""Many hands at once: the promises hold by lock, key and conditional statement."""

from asyncio import gather
from datetime import timedelta

from asyncpg import UniqueViolationError

from spms.messaging.model import MessageIn
from spms.subscriptions.model import Subscription
from spms.subscriptions.rules import AlreadyPending, PromptLimit
from tests.subscriptions.world import World


async def test_sixteen_yeses_at_once_give_one_consent_and_one_welcome(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    yeses = [await world.received(msisdn, "Y") for _ in range(16)]
    outcomes = await gather(*(world.handled(yes) for yes in yeses))
    assert sorted(outcomes) == ["already_confirmed"] * 15 + ["confirmed"]
    assert len(await world.consents(msisdn)) == 1
    assert await world.history(asked.id) == ["request", "confirm"]
    assert await world.kinds(msisdn) == ["prompt", "welcome"]


async def test_one_yes_handled_by_sixteen_workers_gives_one_consent(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await world.asked(msisdn, sold)
    yes = await world.received(msisdn, "Y")
    assert set(await gather(*(world.handled(yes) for _ in range(16)))) == {"confirmed"}
    assert len(await world.consents(msisdn)) == 1
    assert await world.kinds(msisdn) == ["prompt", "welcome"]


async def test_one_order_handled_by_many_workers_is_one_order(world: World) -> None:
    sold, msisdn = await world.sold(kind="on_demand"), await world.number()
    message: MessageIn = await world.received(msisdn, sold.keyword, to=sold.access_number)
    assert set(await gather(*(world.handled(message) for _ in range(8)))) == {"ordered"}
    assert len(await world.consents(msisdn)) == 1


async def test_two_requests_at_once_send_one_prompt(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    results = await gather(*(world.asked(msisdn, sold) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(result, Subscription) for result in results) == 1
    assert sum(isinstance(result, AlreadyPending) for result in results) == 7
    assert await world.kinds(msisdn) == ["prompt"]


async def test_twenty_sps_at_once_send_three_prompts(world: World) -> None:
    msisdn, solds = await world.number(), [await world.sold() for _ in range(20)]
    results = await gather(*(world.asked(msisdn, sold) for sold in solds), return_exceptions=True)
    made = [result for result in results if isinstance(result, Subscription)]
    assert len(made) == 3
    assert sum(isinstance(result, PromptLimit) for result in results) == 17
    assert await world.kinds(msisdn) == ["prompt"] * 3
    assert len({one.prompt_code for one in made}) == 3


async def test_yes_and_td_at_once_never_leave_a_relation_running(world: World) -> None:
    sold = await world.sold()
    for _ in range(10):
        msisdn = await world.number()
        asked = await world.asked(msisdn, sold)
        world.clock.move(timedelta(seconds=1))
        yes = await world.received(msisdn, "Y")
        world.clock.move(timedelta(seconds=1))
        td = await world.received(msisdn, "TD")
        await gather(world.handled(yes), world.handled(td))
        row = await world.row(asked.id)
        assert row["status"] in ("ended", "refused")
        assert len(await world.consents(msisdn)) == (row["status"] == "ended")


async def test_expiry_and_a_timely_yes_at_once_confirm_or_expire_but_never_both(
    world: World,
) -> None:
    sold = await world.sold()
    for _ in range(5):
        msisdn = await world.number()
        asked = await world.asked(msisdn, sold)
        world.clock.move(timedelta(minutes=59))
        yes = await world.received(msisdn, "Y")
        world.clock.move(timedelta(minutes=2))
        outcome, *_ = await gather(world.handled(yes), *(world.expired() for _ in range(4)))
        assert outcome == "confirmed"
        assert await world.status(asked.id) == "active"


async def test_requests_while_the_number_leaves_its_owner_end_with_it(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    world.clock.move(timedelta(minutes=1))
    await gather(
        world.asked(msisdn, sold),
        world.happened(msisdn, "terminated", "arrears", world.clock.now()),
        return_exceptions=True,
    )
    await gather(*(world.followed() for _ in range(4)))
    live = await world.pool.fetchval(
        "SELECT count(*) FROM subscription WHERE msisdn = $1 AND status = 'awaiting'", msisdn
    )
    assert live == 0


async def test_the_index_keeps_one_live_relation_even_without_the_lock(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    results = await gather(*(world.running(msisdn, sold) for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(result, UniqueViolationError) for result in results) == 5
