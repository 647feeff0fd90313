"""Asking: who may ask for what, how often, and what an order by SMS begins."""

from datetime import timedelta

import pytest

from spms.catalogue.actions import NotOnSale
from spms.core import db
from spms.core.errors import NotFound, Refused
from spms.partners.model import Measure
from spms.subscriptions import actions
from spms.subscriptions.model import Channel
from spms.subscriptions.rules import (
    AlreadyPending,
    AlreadySubscribed,
    NewSubscriptionsBarred,
    NumberNotActive,
    PromptLimit,
)
from tests import make
from tests.subscriptions.world import Sold, World

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


async def test_a_live_or_pending_relation_is_not_requested_again(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await world.asked(msisdn, sold)
    with pytest.raises(AlreadyPending):
        await world.asked(msisdn, sold)
    await world.say(msisdn, "Y")
    with pytest.raises(AlreadySubscribed):
        await world.asked(msisdn, sold)
    assert (await world.kinds(msisdn)).count("prompt") == 1


async def test_an_expired_prompt_does_not_stand_in_the_way_of_a_new_request(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    first = await world.asked(msisdn, sold)
    world.clock.move(HOUR + MINUTE)
    assert await world.say(msisdn, sold.keyword, to=sold.access_number) == "prompted"
    assert await world.status(first.id) == "expired"


@pytest.mark.parametrize("channel", list(Channel))
async def test_after_silence_its_sp_rests_and_the_person_does_not(world: World, channel) -> None:
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()

    async def ask(what, at_most=channel) -> str:
        async with db.transaction(world.pool) as tx:
            try:
                await actions.request(
                    tx, msisdn=msisdn, service_id=what.id, channel=at_most, request_text="again",
                    actor=what.sp if at_most is Channel.SP else make.AGENT, now=world.clock.now(),
                )  # fmt: skip
            except Refused as refusal:
                return refusal.instance_code
        return "prompted"

    asked = await world.asked(msisdn, sold)
    assert asked.confirm_by is not None
    world.clock.move(HOUR + MINUTE)
    assert await ask(other) == "prompted", "another service is another question"
    again = "resting" if channel is Channel.SP else "prompted"
    assert await ask(sold) == again
    world.clock.move(asked.confirm_by + timedelta(days=7) - world.clock.now() - MINUTE)
    assert await ask(sold) == again
    world.clock.move(2 * MINUTE)
    if channel is Channel.SP:
        assert await ask(sold) == "prompted"
    else:
        assert await ask(sold, Channel.SP) == "already_pending"
    await world.happened(msisdn, "transferred", "owner_changed", world.clock.now())
    await world.followed()
    world.clock.move(MINUTE)
    assert await ask(sold, Channel.SP) == "prompted", "the next holder was never asked"


async def test_three_prompts_a_day_to_one_number_whoever_asks(world: World) -> None:
    msisdn = await world.number()
    for _ in range(3):
        await world.asked(msisdn, await world.sold())
    with pytest.raises(PromptLimit):
        await world.asked(msisdn, await world.sold())
    world.clock.move(12 * HOUR - timedelta(microseconds=1))  # still Monday in Shanghai
    with pytest.raises(PromptLimit):
        await world.asked(msisdn, await world.sold())
    world.clock.move(timedelta(microseconds=1))
    await world.asked(msisdn, await world.sold())


async def test_an_sp_cannot_request_another_sps_service(world: World) -> None:
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    async with db.transaction(world.pool) as tx:
        with pytest.raises(NotFound):
            await actions.request(
                tx, msisdn=msisdn, service_id=sold.id, channel=Channel.SP, request_text="x",
                actor=other.sp, now=world.clock.now(),
            )  # fmt: skip


async def test_nothing_can_be_ordered_for_a_number_out_of_service_or_unknown(world: World) -> None:
    sold = await world.sold()
    numbers = [await world.number(state=state) for state in ("suspended", "terminated")]
    answers = set()
    for msisdn in (*numbers, "8613999999999"):
        with pytest.raises(NumberNotActive) as refused:
            await world.asked(msisdn, sold)
        answers.add(refused.value.detail)
    assert len(answers) == 1  # nobody learns which of the three it was


async def test_what_is_not_on_sale_cannot_be_requested(world: World) -> None:
    msisdn = await world.number()
    for status in ("draft", "offline", "withdrawn"):
        with pytest.raises(NotOnSale):
            await world.asked(msisdn, await world.sold(status=status))


async def restrict(world: World, sold: Sold, measure: Measure, *, whole_sp: bool) -> None:
    await world.pool.execute(
        "INSERT INTO restriction (id, sp_id, service_id, measure, cause_kind, cause_id, reason, "
        "starts_at, imposed_by) VALUES (gen_random_uuid(), $1, $2, $3, 'officer', $4, 'x', $5, 'x')",
        sold.sp_id, None if whole_sp else sold.id, measure, str(measure), world.clock.now(),
    )  # fmt: skip


async def test_a_measure_bars_requests_confirmations_and_orders(world: World) -> None:
    for measure, whole_sp in (
        (Measure.NO_NEW_SUBSCRIPTIONS, True), (Measure.SHIELDED, False),
        (Measure.SHIELDED, True), (Measure.OFFLINE, True),
    ):  # fmt: skip
        sold, msisdn, other = await world.sold(), await world.number(), await world.number()
        single = await world.sold(kind="on_demand", sp_id=sold.sp_id)
        asked = await world.asked(msisdn, sold)
        world.clock.move(MINUTE)
        await restrict(world, sold, measure, whole_sp=whole_sp)
        with pytest.raises((NewSubscriptionsBarred, NotOnSale)):
            await world.asked(other, sold)
        assert await world.say(msisdn, "Y") == "not_accepted:not_on_sale"
        assert await world.status(asked.id) == "ended"
        ordered = await world.say(other, single.keyword, to=single.access_number)
        assert (ordered == "ordered") is not whole_sp
        assert await world.consents(msisdn) == []


async def test_a_keyword_to_an_access_number_is_only_the_first_consent_to_a_monthly_service(
    world: World,
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    assert await world.say(msisdn, sold.keyword.lower(), to=sold.access_number) == "prompted"
    row = await world.pool.fetchrow("SELECT * FROM subscription WHERE msisdn = $1", msisdn)
    assert row is not None
    assert (row["status"], row["channel"]) == ("awaiting", "sms")
    assert row["request_text"] == sold.keyword.lower()
    assert row["request_message_id"] is not None
    assert await world.consents(msisdn) == []
    assert await world.say(msisdn, "Y") == "confirmed"
    assert (await world.consents(msisdn))[0]["message_id"] != row["request_message_id"]


async def test_a_keyword_orders_an_on_demand_service_at_once_and_is_its_consent(
    world: World,
) -> None:
    sold, msisdn = await world.sold(kind="on_demand", price_fen=100), await world.number()
    message = await world.received(msisdn, sold.keyword, to=sold.access_number)
    world.clock.move(MINUTE)
    assert await world.handled(message) == "ordered"
    assert await world.handled(message) == "ordered"
    (consent,) = await world.consents(msisdn)
    assert (consent["kind"], consent["message_id"]) == ("order", message.id)
    assert (consent["given_at"], consent["price_fen"]) == (message.received_at, 100)
    row = await world.row(consent["subscription_id"])
    assert (row["status"], row["active_from"]) == ("active", message.received_at)
    assert "1.00元/次" in (await world.inbox(msisdn))[-1]


async def test_each_order_is_an_order_of_its_own_and_lapses_after_a_day(world: World) -> None:
    sold, msisdn = await world.sold(kind="on_demand"), await world.number()
    for _ in range(2):
        assert await world.say(msisdn, sold.keyword, to=sold.access_number) == "ordered"
        world.clock.move(HOUR)
    world.clock.move(22 * HOUR)
    assert await world.expired() == 1
    world.clock.move(5 * HOUR)
    assert await world.expired() == 1
    for consent in await world.consents(msisdn):
        row = await world.row(consent["subscription_id"])
        assert (row["status"], row["end_reason"]) == ("ended", "lapsed")
        assert row["ended_at"] - row["active_from"] == 24 * HOUR


async def test_an_on_demand_service_requested_by_its_sp_needs_a_second_yes(world: World) -> None:
    sold, msisdn = await world.sold(kind="on_demand", price_fen=100), await world.number()
    asked = await world.asked(msisdn, sold)
    assert await world.status(asked.id) == "awaiting"
    assert "仅扣一次" in (await world.inbox(msisdn))[0]
    assert await world.say(msisdn, "Y") == "confirmed"
    (consent,) = await world.consents(msisdn)
    assert consent["kind"] == "confirmation"


async def test_a_keyword_at_another_sps_number_or_at_the_operators_orders_nothing(
    world: World,
) -> None:
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    for called in (other.access_number, "10010"):
        assert await world.say(msisdn, sold.keyword, to=called) in {"help", "ignored"}
    assert "prompt" not in await world.kinds(msisdn)


async def test_an_order_that_a_rule_refuses_is_answered_with_the_reason(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await world.say(msisdn, sold.keyword, to=sold.access_number)
    again = await world.say(msisdn, sold.keyword, to=sold.access_number)
    assert again == "not_accepted:already_pending"
    await world.say(msisdn, "N")
    again = await world.say(msisdn, sold.keyword, to=sold.access_number)
    assert again == "not_accepted:resting"
    assert "您近期拒绝过该业务" in (await world.inbox(msisdn))[-1]


async def test_a_person_who_signed_in_before_the_number_changed_hands_orders_nothing(
    world: World,
) -> None:
    sold, msisdn = await world.sold(), await world.number(epoch=2)
    async with db.transaction(world.pool) as tx:
        with pytest.raises(NumberNotActive):
            await actions.request(
                tx, msisdn=msisdn, service_id=sold.id, channel=Channel.WEB, request_text="web",
                actor=make.subscriber_actor(msisdn, 1), now=world.clock.now(),
            )  # fmt: skip


async def test_a_prompt_that_has_not_left_does_not_after_a_no(world: World) -> None:
    first, second, msisdn = await world.sold(), await world.sold(), await world.number()
    asked = await world.asked(msisdn, first)
    await world.asked(msisdn, second)
    world.clock.move(MINUTE)
    assert await world.say(msisdn, f"N {asked.prompt_code}") == "refused"
    assert await world.waiting(msisdn) == ["prompt", "info"]


async def test_a_prompt_that_has_not_left_does_not_after_its_window(world: World) -> None:
    sold, mine, other = await world.sold(), await world.number(), await world.number()
    await world.asked(mine, sold)
    world.clock.move(HOUR)
    await world.asked(other, sold)
    world.clock.move(MINUTE)
    assert await world.expired() == 1
    assert (await world.waiting(mine), await world.waiting(other)) == ([], ["prompt"])
    world.clock.move(HOUR)
    # Asking herself closes the one before.
    assert await world.say(other, sold.keyword, to=sold.access_number) == "prompted"
    assert await world.waiting(other) == ["prompt"]
