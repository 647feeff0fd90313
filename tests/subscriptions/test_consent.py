"""Getting in: what makes a consent, and what does not."""

from datetime import timedelta

import pytest

from spms.subscriptions.rules import (
    Resting,
)
from tests.subscriptions.world import World

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


async def test_a_request_sends_a_prompt_and_licenses_nothing(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    row = await world.row(asked.id)
    assert (row["status"], row["active_from"]) == ("awaiting", None)
    assert row["confirm_by"] - row["requested_at"] == HOUR
    (text,) = await world.inbox(msisdn)
    assert text == row["prompt_text"]
    assert f"Y {row['prompt_code']}" in text
    assert "8.00元/月" in text
    assert await world.consents(msisdn) == []


YES = ("Y", "y", "Ｙ", "是", " 确认 ", "YES", "Y。", "\ufeffY", "確認")
NOT_YES = (
    "У", "Υ", "𝐘", "是的", "好", "OK", "1", "嗯", "Y/N", "不是Y", "回复Y确认", "Y N", "", "   ", "😀",
    "Y" * 1000, None,
)  # fmt: skip


async def test_a_yes_to_the_one_open_prompt_confirms_it(world: World) -> None:
    sold = await world.sold()
    for answer in YES:
        msisdn = await world.number()
        asked = await world.asked(msisdn, sold)
        world.clock.move(5 * MINUTE)
        reply = await world.received(msisdn, answer)
        world.clock.move(MINUTE)
        assert await world.handled(reply) == "confirmed", answer
        row = await world.row(asked.id)
        assert (row["status"], row["active_from"]) == ("active", reply.received_at)
        (consent,) = await world.consents(msisdn)
        assert (consent["subscription_id"], consent["message_id"]) == (asked.id, reply.id)
        assert (consent["kind"], consent["reply_text"]) == ("confirmation", answer)
        assert consent["prompt_text"] == asked.prompt_text
        assert consent["price_fen"] == asked.price_fen == 800
        assert consent["given_at"] == consent["message_received_at"] == reply.received_at
        assert await world.history(asked.id) == ["request", "confirm"]
        assert await world.kinds(msisdn) == ["prompt", "welcome"]


async def test_anything_but_a_plain_yes_confirms_nothing(world: World) -> None:
    sold = await world.sold()
    for answer in NOT_YES:
        msisdn = await world.number()
        asked = await world.asked(msisdn, sold)
        assert await world.say(msisdn, answer) == "help", answer
        assert await world.status(asked.id) == "awaiting"
        assert await world.consents(msisdn) == []


async def test_the_same_yes_again_confirms_once_and_answers_once(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await world.asked(msisdn, sold)
    assert await world.say(msisdn, "Y") == "confirmed"
    assert [await world.say(msisdn, "Y") for _ in range(4)] == ["already_confirmed"] * 4
    assert len(await world.consents(msisdn)) == 1
    assert await world.kinds(msisdn) == ["prompt", "welcome"]


async def test_one_message_handled_twice_is_one_message(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await world.asked(msisdn, sold)
    reply = await world.received(msisdn, "Y")
    assert [await world.handled(reply) for _ in range(3)] == ["confirmed"] * 3
    assert len(await world.consents(msisdn)) == 1
    assert await world.kinds(msisdn) == ["prompt", "welcome"]


async def test_two_open_prompts_and_a_bare_yes_confirm_neither(world: World) -> None:
    first, second, msisdn = await world.sold(), await world.sold(), await world.number()
    one, two = await world.asked(msisdn, first), await world.asked(msisdn, second)
    assert await world.say(msisdn, "Y") == "code_needed"
    assert await world.consents(msisdn) == []
    question = (await world.inbox(msisdn))[-1]
    assert f"Y {one.prompt_code}" in question
    assert f"Y {two.prompt_code}" in question


async def test_a_yes_with_a_code_confirms_exactly_that_one(world: World) -> None:
    first, second, msisdn = await world.sold(), await world.sold(), await world.number()
    one, two = await world.asked(msisdn, first), await world.asked(msisdn, second)
    assert await world.say(msisdn, f"Y {two.prompt_code}") == "confirmed"
    assert (await world.status(one.id), await world.status(two.id)) == ("awaiting", "active")
    assert await world.say(msisdn, "是") == "confirmed"
    assert await world.status(one.id) == "active"


async def test_a_yes_with_a_wrong_code_confirms_nothing(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    wrong = "1000" if asked.prompt_code != "1000" else "1001"
    assert await world.say(msisdn, f"Y {wrong}") == "code_needed"
    assert await world.status(asked.id) == "awaiting"


async def test_the_code_of_a_confirmed_prompt_confirms_no_other(world: World) -> None:
    first, second, msisdn = await world.sold(), await world.sold(), await world.number()
    one, two = await world.asked(msisdn, first), await world.asked(msisdn, second)
    assert await world.say(msisdn, f"Y {one.prompt_code}") == "confirmed"
    assert await world.say(msisdn, f"Y {one.prompt_code}") == "already_confirmed"
    assert await world.status(two.id) == "awaiting"


async def test_a_yes_to_an_sps_number_confirms_nothing(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    for answer in ("Y", f"Y {asked.prompt_code}"):
        assert await world.say(msisdn, answer, to=sold.access_number) == "not_to_operator"
    assert await world.say(msisdn, "Y", to="95555") == "not_to_operator"
    assert await world.status(asked.id) == "awaiting"
    assert await world.consents(msisdn) == []


async def test_to_a_number_that_could_not_be_read_only_leaving_counts(world: World) -> None:
    """Also when a row or the rulebook names an empty number: it is nobody's."""
    sold, msisdn = await world.sold(), await world.number()
    other = await world.sold()
    assign = "INSERT INTO access_number VALUES ('', $1, $2, 'test')"
    await world.pool.execute(assign, other.sp_id, world.clock.now())
    asked = await world.asked(msisdn, sold)
    for answer in ("Y", f"Y {asked.prompt_code}"):
        assert await world.say(msisdn, answer, to="") == "not_to_operator"
    assert await world.status(asked.id) == "awaiting"
    assert await world.say(msisdn, sold.keyword, to="") == "help"
    assert await world.say(msisdn, "TD", to="") == "left"
    assert await world.status(asked.id) != "awaiting"
    assert await world.consents(msisdn) == []


async def test_a_yes_from_another_number_confirms_nothing(world: World) -> None:
    sold, msisdn, other = await world.sold(), await world.number(), await world.number()
    asked = await world.asked(msisdn, sold)
    assert await world.say(other, f"Y {asked.prompt_code}") == "help"
    assert await world.status(asked.id) == "awaiting"


async def test_a_yes_at_the_last_moment_counts_and_one_moment_later_is_told_it_is_late(
    world: World,
) -> None:
    sold, msisdn, other = await world.sold(), await world.number(), await world.number()
    in_time, late = await world.asked(msisdn, sold), await world.asked(other, sold)
    world.clock.move(HOUR - timedelta(microseconds=1))
    first = await world.received(msisdn, "Y")
    world.clock.move(timedelta(microseconds=1))
    second = await world.received(other, "Y")
    world.clock.move(MINUTE)
    assert await world.expired() == 1  # not the one whose yes came in time and is still unread
    assert await world.handled(first) == "confirmed"
    assert await world.handled(second) == "too_late"
    assert await world.status(in_time.id) == "active"
    assert await world.status(late.id) == "expired"
    assert "未开通、不收费" in (await world.inbox(other))[-1]


async def test_a_late_yes_is_told_so_once(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await world.asked(msisdn, sold)
    world.clock.move(24 * HOUR)
    assert [await world.say(msisdn, "Y") for _ in range(3)] == ["too_late"] * 3
    assert await world.kinds(msisdn) == ["prompt", "info"]


async def test_silence_is_refusal_and_nobody_is_reminded(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    world.clock.move(HOUR)
    assert await world.expired() == 0  # a yes that came in time may still be on its way in
    world.clock.move(MINUTE)
    assert await world.expired() == 1
    assert await world.expired() == 0
    row = await world.row(asked.id)
    assert (row["status"], row["end_reason"]) == ("expired", "silence")
    assert row["ended_at"] == asked.confirm_by
    assert await world.history(asked.id) == ["request", "expire"]
    assert await world.kinds(msisdn) == ["prompt"]


async def test_a_yes_received_before_the_prompt_confirms_nothing(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    early = await world.received(msisdn, "Y")
    world.clock.move(timedelta(seconds=1))
    asked = await world.asked(msisdn, sold)
    assert await world.handled(early) == "help"
    assert await world.status(asked.id) == "awaiting"


async def test_a_no_closes_the_prompt_and_the_service_rests(world: World) -> None:
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    assert await world.say(msisdn, "不要") == "refused"
    row = await world.row(asked.id)
    assert (row["status"], row["end_reason"]) == ("refused", "no")
    assert await world.say(msisdn, "Y") == "too_late"
    assert await world.consents(msisdn) == []
    with pytest.raises(Resting):
        await world.asked(msisdn, sold)
    await world.asked(msisdn, other)
    world.clock.move(timedelta(days=30) - timedelta(microseconds=1))
    with pytest.raises(Resting):
        await world.asked(msisdn, sold)
    world.clock.move(timedelta(microseconds=1))
    await world.asked(msisdn, sold)


async def test_a_no_with_a_code_closes_only_that_prompt(world: World) -> None:
    first, second, msisdn = await world.sold(), await world.sold(), await world.number()
    one, two = await world.asked(msisdn, first), await world.asked(msisdn, second)
    assert await world.say(msisdn, f"N{one.prompt_code}") == "refused"
    assert (await world.status(one.id), await world.status(two.id)) == ("refused", "awaiting")


async def test_a_price_that_changed_after_the_prompt_is_not_confirmed(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    world.clock.move(MINUTE)
    now = world.clock.now()
    await world.pool.execute(
        "INSERT INTO tariff VALUES (gen_random_uuid(), $1, 2, 900, $2, $2, 'test')", sold.id, now
    )
    await world.pool.execute(
        "INSERT INTO notice SELECT gen_random_uuid(), n.service_id, t.id, 2, sp_name, "
        "service_name, 900, period, hotline, leave_command, state, drafted_at, drafted_by, "
        "decided_at, decided_by FROM notice n JOIN tariff t ON t.service_id = n.service_id "
        "AND t.version = 2 WHERE n.service_id = $1",
        sold.id,
    )
    assert await world.say(msisdn, "Y") == "not_accepted:not_on_sale"
    assert await world.status(asked.id) == "ended"
    assert "未开通、不收费" in (await world.inbox(msisdn))[-1]


async def test_a_number_suspended_meanwhile_confirms_nothing(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    world.clock.move(MINUTE)
    await world.happened(msisdn, "suspended", "arrears", world.clock.now())
    assert await world.say(msisdn, "Y") == "not_accepted:number_not_active"
    assert await world.status(asked.id) == "awaiting"


async def test_a_new_owner_cannot_confirm_what_the_old_owner_was_asked(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    world.clock.move(MINUTE)
    await world.happened(msisdn, "transferred", "owner_changed", world.clock.now())
    assert await world.say(msisdn, f"Y {asked.prompt_code}") == "help"
    assert await world.consents(msisdn) == []


async def test_a_message_of_the_former_owner_does_nothing_to_the_new_one(world: World) -> None:
    sold, msisdn = await world.sold(kind="on_demand"), await world.number()
    message = await world.received(msisdn, sold.keyword, to=sold.access_number)
    world.clock.move(MINUTE)
    await world.happened(msisdn, "transferred", "owner_changed", world.clock.now())
    assert await world.handled(message) == "former_owner"
    assert await world.consents(msisdn) == []


async def test_an_unknown_number_gets_no_answer(world: World) -> None:
    await world.sold()
    assert await world.say("8613999999999", "Y") == "unknown_number"
    assert await world.say("8613999999999", "TD") == "unknown_number"
    assert await world.inbox("8613999999999") == []


async def test_unclear_texts_get_one_help_message_a_day(world: World) -> None:
    msisdn = await world.number()
    outcomes = [await world.say(msisdn, "你好吗？") for _ in range(4)]
    assert outcomes == ["help", "ignored", "ignored", "ignored"]
    assert await world.kinds(msisdn) == ["help"]
    world.clock.move(timedelta(hours=24, seconds=1))
    assert await world.say(msisdn, None) == "help"


async def test_two_robots_fall_silent(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await world.asked(msisdn, sold)
    await world.asked(msisdn, await world.sold())
    answered = 0
    while answered < len(texts := await world.inbox(msisdn)):
        answered += 1
        await world.say(msisdn, texts[answered - 1])
        assert answered < 10
    for text in ("Y", "N 0001", "Y 0001"):
        before = len(await world.inbox(msisdn))
        for _ in range(10):
            await world.say(msisdn, text)
        assert len(await world.inbox(msisdn)) - before <= 2


async def test_an_english_speaker_is_asked_in_english(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number(language="en")
    await world.asked(msisdn, sold)
    await world.say(msisdn, "yes")
    prompt, welcome = await world.inbox(msisdn)
    assert prompt.startswith("[Please confirm]")
    assert welcome.startswith("You now have")


async def test_the_reading_and_the_outcome_stay_with_the_message(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await world.asked(msisdn, sold)
    await world.say(msisdn, "Y")
    row = await world.pool.fetchrow("SELECT * FROM message_in WHERE msisdn = $1", msisdn)
    assert row is not None
    assert (row["reading"], row["outcome"]) == ("yes", "confirmed")
    assert row["handled_at"] == world.clock.now()
