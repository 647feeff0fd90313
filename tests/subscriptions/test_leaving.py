"""Getting out: every wish to leave is understood, works at once, and is confirmed."""

from datetime import timedelta
from itertools import permutations

import pytest

from spms.core import db
from spms.core.errors import NotFound
from spms.subscriptions import actions
from tests import make
from tests.subscriptions.world import World

MINUTE = timedelta(minutes=1)


async def test_td_and_a_code_ends_that_one_at_the_instant_it_was_received(world: World) -> None:
    first, second, msisdn = await world.sold(), await world.sold(), await world.number()
    one, two = await world.running(msisdn, first), await world.running(msisdn, second)
    world.clock.move(MINUTE)
    message = await world.received(msisdn, f"td{first.code}")
    world.clock.move(10 * MINUTE)
    assert await world.handled(message) == "left"
    row = await world.row(one)
    assert (row["status"], row["end_reason"]) == ("ended", "subscriber")
    assert row["ended_at"] == message.received_at
    assert await world.status(two) == "active"
    assert await world.history(one) == ["leave"]
    (text,) = await world.inbox(msisdn)
    assert text.startswith("退订成功")
    assert "12:01:00" in text


async def test_td_alone_ends_the_only_relation(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    for word in ("TD", "退订", "ＴＤ", " td。", "确认退订"):
        relation = await world.running(msisdn, sold)
        assert await world.say(msisdn, word) == "left", word
        assert await world.status(relation) == "ended"


async def test_td_alone_lists_several_and_a_choice_ends_what_the_list_showed(world: World) -> None:
    solds, msisdn = [await world.sold() for _ in range(3)], await world.number()
    relations = []
    for sold in solds:
        relations.append(await world.running(msisdn, sold))
        world.clock.move(MINUTE)
    assert await world.say(msisdn, "TD") == "listed"
    (text,) = await world.inbox(msisdn)
    for place, sold in enumerate(solds, 1):
        assert f"{place}. " in text
        assert sold.code in text
    assert await world.say(msisdn, "1，3") == "left"
    assert [await world.status(one) for one in relations] == ["ended", "active", "ended"]


async def test_td_to_an_sps_number_stays_within_that_sp(world: World) -> None:
    first, other, msisdn = await world.sold(), await world.sold(), await world.number()
    second = await world.sold(sp_id=first.sp_id)
    theirs = await world.running(msisdn, first)
    foreign = await world.running(msisdn, other)
    assert await world.say(msisdn, "TD", to=first.access_number) == "left"
    assert (await world.status(theirs), await world.status(foreign)) == ("ended", "active")
    await world.running(msisdn, first)
    await world.running(msisdn, second)
    assert await world.say(msisdn, "TD", to=first.access_number) == "listed"
    listed = (await world.inbox(msisdn))[-1]
    assert first.code in listed
    assert second.code in listed
    assert other.code not in listed
    assert await world.say(msisdn, "00000", to=second.access_number) == "left"
    assert await world.status(foreign) == "active"


async def test_td_and_a_code_works_wherever_it_is_sent(world: World) -> None:
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    assert await world.say(msisdn, f"TD {sold.code}", to=other.access_number) == "left"
    assert await world.status(relation) == "ended"


async def test_td_takes_the_keyword_or_the_prompts_code_as_well(world: World) -> None:
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    asked = await world.asked(msisdn, other)
    assert await world.say(msisdn, f"TD {sold.keyword}") == "left"
    assert await world.say(msisdn, f"TD {asked.prompt_code}") == "left"
    assert (await world.status(relation), await world.status(asked.id)) == ("ended", "refused")


async def test_td_cancels_a_waiting_prompt_and_the_yes_after_it_confirms_nothing(
    world: World,
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    world.clock.move(MINUTE)
    assert await world.say(msisdn, "TD") == "left"
    row = await world.row(asked.id)
    assert (row["status"], row["ended_at"]) == ("refused", world.clock.now())
    world.clock.move(MINUTE)
    assert await world.say(msisdn, f"Y {asked.prompt_code}") == "too_late"
    assert await world.consents(msisdn) == []


async def test_a_number_gets_its_list_by_0000_and_it_can_be_answered_for_two_hours(
    world: World,
) -> None:
    first, second, msisdn = await world.sold(), await world.sold(), await world.number()
    one, two = await world.running(msisdn, first), await world.running(msisdn, second)
    assert await world.say(msisdn, "0000") == "listed"
    world.clock.move(timedelta(hours=2) - timedelta(microseconds=1))
    in_time = await world.received(msisdn, "2")
    world.clock.move(timedelta(microseconds=1))
    late = await world.received(msisdn, "1")
    assert await world.handled(in_time) == "left"
    assert await world.handled(late) == "help"
    statuses = sorted([await world.status(one), await world.status(two)])
    assert statuses == ["active", "ended"]


async def test_a_choice_means_what_the_person_saw_not_what_is_there_now(world: World) -> None:
    first, second, msisdn = await world.sold(), await world.sold(), await world.number()
    one = await world.running(msisdn, first)
    world.clock.move(MINUTE)
    two = await world.running(msisdn, second)
    await world.say(msisdn, "0000")
    await world.say(msisdn, f"TD {first.code}")
    world.clock.move(MINUTE)
    assert await world.say(msisdn, "1") == "nothing_to_leave"
    assert await world.status(two) == "active"
    assert await world.say(msisdn, "2") == "left"
    assert (await world.status(one), await world.status(two)) == ("ended", "ended")


async def test_a_choice_off_the_list_ends_nothing_and_shows_the_list_again(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    await world.say(msisdn, "0000")
    assert await world.say(msisdn, "7") == "listed"
    assert await world.status(relation) == "active"
    assert await world.say(msisdn, "1,7") == "left"


async def test_00000_ends_everything_including_prompts_and_orders(world: World) -> None:
    msisdn = await world.number()
    monthly, single, waiting = (
        await world.sold(), await world.sold(kind="on_demand"), await world.sold(),
    )  # fmt: skip
    running = await world.running(msisdn, monthly)
    await world.say(msisdn, single.keyword, to=single.access_number)
    asked = await world.asked(msisdn, waiting)
    assert await world.say(msisdn, "00000") == "left"
    live = await world.pool.fetchval(
        "SELECT count(*) FROM subscription WHERE msisdn = $1 "
        "AND status IN ('awaiting', 'active', 'suspended')",
        msisdn,
    )
    assert live == 0
    assert (await world.status(running), await world.status(asked.id)) == ("ended", "refused")
    assert (await world.kinds(msisdn)).count("left") == 1


async def test_leaving_nothing_is_answered_kindly_but_not_for_ever(world: World) -> None:
    msisdn = await world.number()
    outcomes = [await world.say(msisdn, "TD") for _ in range(6)]
    assert outcomes == ["nothing_to_leave"] * 6
    assert len(await world.inbox(msisdn)) == 3
    assert await world.say(msisdn, "0000") == "listed"
    assert (await world.inbox(msisdn))[-1] == "您没有在用的业务。"


async def test_a_suspended_number_can_still_leave(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    world.clock.move(MINUTE)
    await world.happened(msisdn, "suspended", "arrears", world.clock.now())
    assert await world.followed() == 1
    assert await world.status(relation) == "suspended"
    assert await world.say(msisdn, "TD") == "left"
    assert await world.status(relation) == "ended"


async def test_a_td_that_is_read_late_does_not_end_what_was_asked_for_after_it(
    world: World,
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    td = await world.received(msisdn, "TD")
    world.clock.move(MINUTE)
    asked = await world.asked(msisdn, sold)
    assert await world.handled(td) == "nothing_to_leave"
    assert await world.status(asked.id) == "awaiting"


async def test_a_td_ends_what_was_asked_for_before_it_even_if_the_prompt_went_out_later(
    world: World,
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    order = await world.received(msisdn, sold.keyword, to=sold.access_number)
    world.clock.move(MINUTE)
    td = await world.received(msisdn, "TD")
    world.clock.move(MINUTE)
    assert await world.handled(order) == "prompted"
    assert await world.handled(td) == "left"
    status = await world.pool.fetchval("SELECT status FROM subscription WHERE msisdn = $1", msisdn)
    assert status == "refused"


async def test_yes_and_td_in_every_order_of_receipt_and_of_reading(world: World) -> None:
    """Read in order, each counts from its receipt; out of order, leaving wins. Never active."""
    sold = await world.sold()
    for received in permutations(("Y", "TD")):
        for read in permutations(("Y", "TD")):
            msisdn = await world.number()
            asked = await world.asked(msisdn, sold)
            messages = {}
            for text in received:
                world.clock.move(timedelta(seconds=5))
                messages[text] = await world.received(msisdn, text)
            for text in read:
                await world.handled(messages[text])
            row = await world.row(asked.id)
            case = (received, read)
            assert row["status"] in ("ended", "refused"), case
            if row["active_from"] is None:
                assert await world.consents(msisdn) == [], case
            elif received == ("Y", "TD"):
                assert row["active_from"] == messages["Y"].received_at, case
                assert row["ended_at"] == messages["TD"].received_at, case
            else:  # received after TD: the relation never held
                assert row["ended_at"] == row["active_from"], case
            world.clock.move(MINUTE)


async def test_an_agent_leaves_for_a_subscriber_at_once_and_says_why(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    world.clock.move(MINUTE)
    async with db.transaction(world.pool) as tx:
        left = await actions.leave(
            tx, msisdn=msisdn, subscription_id=relation, reason="call 4711", actor=make.AGENT,
            now=world.clock.now(),
        )  # fmt: skip
    assert (left.status, left.ended_at) == ("ended", world.clock.now())
    event = await world.pool.fetchrow(
        "SELECT actor, reason FROM subscription_event WHERE subscription_id = $1", relation
    )
    assert dict(event or {}) == {"actor": "staff:agent", "reason": "call 4711"}
    assert (await world.row(relation))["end_reason"] == "agent"
    assert await world.kinds(msisdn) == ["left"]


async def test_leaving_twice_is_leaving_once(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    ends = []
    for _ in range(2):
        world.clock.move(MINUTE)
        async with db.transaction(world.pool) as tx:
            left = await actions.leave(
                tx, msisdn=msisdn, subscription_id=relation, reason="x", actor=make.AGENT,
                now=world.clock.now(),
            )  # fmt: skip
        ends.append(left.ended_at)
    assert ends[0] == ends[1]
    assert await world.kinds(msisdn) == ["left"]
    assert await world.history(relation) == ["leave"]


async def test_a_subscriber_cannot_end_what_is_not_hers(world: World) -> None:
    sold, msisdn, other = await world.sold(), await world.number(), await world.number()
    relation = await world.running(msisdn, sold)
    for actor, number in (
        (make.subscriber_actor(other), other), (make.subscriber_actor(msisdn, 2), msisdn),
    ):  # fmt: skip
        async with db.transaction(world.pool) as tx:
            with pytest.raises(NotFound):
                await actions.leave(
                    tx, msisdn=number, subscription_id=relation, reason=None, actor=actor,
                    now=world.clock.now(),
                )  # fmt: skip
    assert await world.status(relation) == "active"


async def test_leave_all_counts_and_tells_once(world: World) -> None:
    msisdn = await world.number()
    for _ in range(3):
        await world.running(msisdn, await world.sold())
    for expected in (3, 0):
        async with db.transaction(world.pool) as tx:
            count = await actions.leave_all(
                tx, msisdn=msisdn, reason="call", actor=make.AGENT, now=world.clock.now()
            )
        assert count == expected
    assert await world.kinds(msisdn) == ["left"]


async def test_a_list_longer_than_a_message_shows_what_fits_and_the_rest_the_next_time(
    world: World,
) -> None:
    msisdn = await world.number()
    for _ in range(30):
        await world.running(msisdn, await world.sold())
    left = 30
    for _ in range(30):
        if not left:
            break
        assert await world.say(msisdn, "0000") == "listed"
        shown = (await world.inbox(msisdn))[-1].count(" 8.00元/月")
        assert 0 < shown <= left
        choice = ",".join(str(place) for place in range(1, shown + 1))
        assert await world.say(msisdn, choice) == "left"
        left -= shown
    assert left == 0
    assert max(len(text) for text in await world.inbox(msisdn)) <= 1000


async def test_a_prompt_and_a_welcome_that_have_not_left_do_not_after_the_td(world: World) -> None:
    first, second, msisdn = await world.sold(), await world.sold(), await world.number()
    await world.asked(msisdn, first)
    world.clock.move(MINUTE)
    assert await world.say(msisdn, "Y") == "confirmed"
    await world.asked(msisdn, second)
    world.clock.move(MINUTE)
    assert await world.say(msisdn, f"TD {second.code}") == "left"
    assert await world.waiting(msisdn) == ["prompt", "welcome", "info"]
    assert await world.say(msisdn, "TD") == "left"
    assert await world.waiting(msisdn) == ["info", "left"]
