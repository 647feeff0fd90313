"""Leaving as each operator has it: zeros, several items in one text, robots, languages."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from spms.authorisation import actions as authorisation
from spms.authorisation.model import DecisionRequest, Purpose, Reason
from spms.core import db
from tests.subscriptions.world import OPERATOR, Sold, World

MINUTE = timedelta(minutes=1)


async def profile(world: World, owner: db.Connection, **rules: Any) -> None:
    await owner.execute(
        "INSERT INTO rulebook VALUES (2, $1, $2, 'the operator''s profile', $1, 'test')",
        world.clock.now(), {"leaving": rules},
    )  # fmt: skip


async def test_five_zeros_do_what_the_operators_profile_says(
    world: World, owner: db.Connection
) -> None:
    await profile(world, owner, zeros="list")
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    here, there = await world.running(msisdn, sold), await world.running(msisdn, other)
    assert await world.say(msisdn, "０００００") == "listed"
    assert await world.status(here) == await world.status(there) == "active"
    assert await world.say(msisdn, "00000", to=sold.access_number) == "left"
    assert (await world.status(here), await world.status(there)) == ("ended", "active")


@pytest.mark.parametrize("zeros", ["all", "list"])
async def test_what_the_texts_say_of_five_zeros_is_what_they_do(
    world: World, owner: db.Connection, zeros: str
) -> None:
    await profile(world, owner, zeros=zeros)
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    for one in (sold, other):
        await world.running(msisdn, one)
    said = []
    for text, to in (("你好", OPERATOR), ("0000", OPERATOR), ("0000", sold.access_number)):
        await world.say(msisdn, text, to=to)
        world.clock.move(MINUTE)
        said.append("00000退订全部" in (await world.inbox(msisdn))[-1])
    # An answer to the SP's list goes to the operator's number, where it would end the other as well.
    assert said == [zeros == "all", zeros == "all", False]
    assert await world.say(msisdn, "00000") == ("left" if zeros == "all" else "listed")


async def test_everything_is_left_in_words_as_well(world: World) -> None:
    for word in ("全部退订", "退訂全部", "ＴＤ　ＡＬＬ", "stop all"):
        msisdn = await world.number()
        relations = [await world.running(msisdn, await world.sold()) for _ in range(2)]
        assert await world.say(msisdn, word) == "left", word
        assert {await world.status(one) for one in relations} == {"ended"}, word


async def several(world: World, msisdn: str, count: int) -> list[tuple[Sold, Any]]:
    found = []
    for _ in range(count):
        sold = await world.sold()
        found.append((sold, await world.running(msisdn, sold)))
        world.clock.move(MINUTE)
    return found


async def test_several_codes_in_one_text_end_each_that_is_clear(world: World) -> None:
    msisdn = await world.number()
    (one, first), (two, second), (_, third) = await several(world, msisdn, 3)
    assert await world.say(msisdn, f"TD {one.code}，{two.code}、99999999") == "left"
    assert [await world.status(each) for each in (first, second, third)] == [
        "ended", "ended", "active"
    ]  # fmt: skip
    (text,) = await world.inbox(msisdn)
    assert text.count("“") == 2
    assert await world.say(msisdn, "stop") == "left"
    assert await world.status(third) == "ended"


async def test_td_and_places_choose_from_the_list_that_was_seen(world: World) -> None:
    msisdn = await world.number()
    (_, first), (_, second), (_, third) = await several(world, msisdn, 3)
    assert await world.say(msisdn, "TD 1,3") == "nothing_to_leave"  # no list is open
    assert await world.say(msisdn, "0000") == "listed"
    assert await world.say(msisdn, "退訂１、３") == "left"
    assert [await world.status(each) for each in (first, second, third)] == [
        "ended", "active", "ended"
    ]  # fmt: skip
    assert await world.say(msisdn, "TD 2") == "left"
    assert await world.status(second) == "ended"


async def test_two_robots_facing_each_other_fall_silent(world: World, owner: Any) -> None:
    """It answers each of our messages with the same text; we say at most two things to it."""
    for text in ("自动回复：我在开会，稍后联系您", "你好", "OK", "未能识别您的短信。", "？？？"):
        robot, ours = await world.number(), 0
        await world.say(robot, text)
        while len(await world.inbox(robot)) > ours and ours < 10:
            ours = len(await world.inbox(robot))
            world.clock.move(MINUTE)
            await world.say(robot, text)
        assert ours <= 1, text
    world.clock.move(timedelta(days=1))
    assert await world.say(robot, "你好") == "help"


async def test_even_a_robot_that_asks_for_lists_is_not_answered_for_ever(
    world: World, owner: db.Connection
) -> None:
    await profile(world, owner, lists_per_day=3)
    msisdn = await world.number()
    await world.running(msisdn, await world.sold())
    outcomes = [await world.say(msisdn, "0000") for _ in range(5)]
    assert outcomes == ["listed"] * 3 + ["ignored"] * 2
    assert await world.say(msisdn, "TD") == "left"  # leaving itself has no limit


async def test_charging_stops_at_receipt_however_slow_everything_behind_is(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await world.running(msisdn, sold)
    asked = DecisionRequest(
        purpose=Purpose.CHARGE, msisdn=msisdn, service_code=sold.code, price_fen=800
    )

    async def ask(question: DecisionRequest = asked) -> tuple[str, ...]:
        """Return the reasons, apart from that the month is taken by what was allowed before."""
        async with db.transaction(world.pool) as tx:
            (decision,) = await authorisation.decide(
                tx, [question], sp_id=sold.sp_id, actor=sold.sp, now=world.clock.now()
            )
        return tuple(one for one in decision.reasons if one != Reason.MONTH_USED)

    world.clock.move(MINUTE)
    noise = await world.received(msisdn, "你好")
    assert await ask() == ()
    td = await world.received(msisdn, "ＴＤ")
    world.clock.move(60 * MINUTE)  # nothing reads it
    assert await ask() == ("leave_received",)
    other = await world.number()
    await world.running(other, sold)
    assert await ask(msgspec.structs.replace(asked, msisdn=other)) == ()
    assert await world.handled(noise) == "help"
    assert await world.handled(td) == "left"
    assert await ask() == ("no_consent",)
    assert (await world.pool.fetchval(
        "SELECT ended_at FROM subscription WHERE msisdn = $1", msisdn
    )) == td.received_at  # fmt: skip


async def test_a_person_chooses_her_language_by_sms(world: World) -> None:
    sold, msisdn = await world.sold(keyword="EN"), await world.number()
    assert await world.say(msisdn, "EN", to=sold.access_number) == "prompted"
    assert await world.say(msisdn, "ＥＮ") == "language_set"
    await world.running(msisdn, await world.sold())
    assert await world.say(msisdn, "td") == "left"
    assert any(text.startswith("You have left") for text in await world.inbox(msisdn))
    assert await world.say(msisdn, "中文") == "language_set"
    assert await world.say(msisdn, "0000") == "listed"
    assert (await world.inbox(msisdn))[-1] == "您没有在用的业务。"


@pytest.mark.parametrize("scope", ["all", "sp", "category"])
async def test_what_is_barred_cannot_be_ordered_requested_or_confirmed(
    world: World, scope: str
) -> None:
    sold, game = await world.sold(), await world.sold(kind="on_demand")
    msisdn = await world.number()
    waiting = await world.asked(msisdn, sold)
    world.clock.move(MINUTE)
    for sp_id in (sold.sp_id, game.sp_id):
        target = {"all": "", "sp": str(sp_id), "category": "information"}[scope]
        await world.pool.execute(
            "INSERT INTO number_bar VALUES ($1, gen_random_uuid(), 1, $2, $3, $4, NULL, $5)"
            " ON CONFLICT DO NOTHING",
            msisdn, scope, target, world.clock.now(), "subscriber:sms",
        )  # fmt: skip
    assert await world.say(msisdn, f"Y {waiting.prompt_code}") == "not_accepted:barred"
    assert await world.status(waiting.id) == "awaiting"
    assert await world.say(msisdn, game.keyword, to=game.access_number) == "not_accepted:barred"
    with pytest.raises(Exception, match="bars this service"):
        await world.asked(msisdn, await world.sold(sp_id=sold.sp_id))
    assert await world.consents(msisdn) == []
    other = await world.number()
    assert await world.say(other, game.keyword, to=game.access_number) == "ordered"
