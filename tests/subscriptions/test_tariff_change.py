"""New terms of a running relation: a fresh yes, or the old price until the end; trials that end."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from spms.core import db
from spms.subscriptions import actions
from spms.subscriptions.model import Channel, Subscription
from spms.subscriptions.notices import NoticeIncomplete
from spms.subscriptions.rules import AlreadyPending, AlreadySubscribed, NothingToTry
from tests.subscriptions.world import Sold, World

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


async def repriced(world: World, sold: Sold, price_fen: int) -> UUID:
    """Let a new price take force, with its approved notice."""
    tariff_id, now = uuid4(), world.clock.now()
    async with db.transaction(world.pool) as tx:
        await tx.execute(
            "INSERT INTO tariff VALUES ($1, $2, 2, $3, $4, $4, 'test')",
            tariff_id, sold.id, price_fen, now,
        )  # fmt: skip
        await tx.execute(
            "INSERT INTO notice SELECT $1, service_id, $2, 2, sp_name, service_name, $3, period,"
            " hotline, leave_command, state, $4, drafted_by, $4, decided_by FROM notice"
            " WHERE service_id = $5",
            uuid4(), tariff_id, price_fen, now, sold.id,
        )  # fmt: skip
    return tariff_id


async def tried(world: World, msisdn: str, sold: Sold, days: int) -> Subscription:
    async with db.transaction(world.pool) as tx:
        return await actions.request(
            tx, msisdn=msisdn, service_id=sold.id, channel=Channel.SP, request_text="trial",
            actor=sold.sp, now=world.clock.now(), free_days=days,
        )  # fmt: skip


async def causes(world: World, subscription_id: UUID) -> list[tuple[str, str]]:
    rows = await world.pool.fetch(
        "SELECT action, cause FROM subscription_event WHERE subscription_id = $1 ORDER BY at, id",
        subscription_id,
    )
    return [(row["action"], row["cause"]) for row in rows]


async def test_a_yes_to_the_new_price_goes_on_from_the_old_without_a_gap(world: World) -> None:
    sold, msisdn = await world.sold(price_fen=500), await world.number()
    old = await world.asked(msisdn, sold)
    assert await world.say(msisdn, "Y") == "confirmed"
    begun: datetime = world.clock.now()
    world.clock.move(DAY)
    with pytest.raises(AlreadySubscribed):
        await world.asked(msisdn, sold)
    await repriced(world, sold, 800)
    new = await world.asked(msisdn, sold)
    assert new.follows_id == old.id
    prompt = (await world.inbox(msisdn))[-1]
    assert "您现付5.00元/月，新资费8.00元/月" in prompt
    with pytest.raises(AlreadyPending):
        await world.asked(msisdn, sold)
    assert await world.status(old.id) == "active"

    world.clock.move(MINUTE)
    assert await world.say(msisdn, "Y") == "confirmed"
    at = world.clock.now()
    before, after = await world.row(old.id), await world.row(new.id)
    assert (before["status"], before["ended_at"], before["end_reason"]) == (
        "ended", at, "taken_over",
    )  # fmt: skip
    assert (after["status"], after["active_from"], after["price_fen"]) == ("active", at, 800)
    # The free first days of the first order are neither lost nor begun anew.
    assert after["charge_from"] == before["charge_from"] == begun + 72 * HOUR
    assert after["charge_rule"] == "taken_over"
    assert await causes(world, old.id) == [
        ("request", "sp"), ("confirm", "subscriber"), ("end", "taken_over"),
    ]  # fmt: skip
    assert len(await world.consents(msisdn)) == 2


@pytest.mark.parametrize("answer", ["N", None, "好的"])
async def test_whatever_is_no_yes_keeps_the_old_price_until_the_end(
    world: World, answer: str | None
) -> None:
    sold, msisdn = await world.sold(price_fen=500), await world.number()
    old = await world.running(msisdn, sold)
    world.clock.move(DAY)
    await repriced(world, sold, 800)
    new = await world.asked(msisdn, sold)
    world.clock.move(MINUTE)
    if answer is not None:
        await world.say(msisdn, answer)
    world.clock.move(2 * HOUR)
    await world.expired()
    assert await world.status(new.id) == ("refused" if answer == "N" else "expired")
    row = await world.row(old)
    assert (row["status"], row["price_fen"], row["ended_at"]) == ("active", 500, None)
    assert ("按原价继续" in (await world.inbox(msisdn))[-1]) == (answer == "N" or answer is None)


async def test_leaving_wins_over_a_yes_to_new_terms_in_every_order(world: World) -> None:
    """The relation is left by the web or by SMS; the yes is received before or after, read last."""
    for by_web in (True, False):
        for yes_first in (True, False):
            sold, msisdn = await world.sold(price_fen=500), await world.number()
            old = await world.running(msisdn, sold)
            world.clock.move(DAY)
            await repriced(world, sold, 800)
            new = await world.asked(msisdn, sold)
            world.clock.move(MINUTE)
            if yes_first:
                yes = await world.received(msisdn, "Y")
                world.clock.move(MINUTE)
            left = world.clock.now()
            if by_web:
                async with db.transaction(world.pool) as tx:
                    await actions.leave(
                        tx, msisdn=msisdn, subscription_id=old, reason="她要退订",
                        actor=sold.sp, now=left,
                    )  # fmt: skip
            else:
                assert await world.say(msisdn, f"TD {sold.code}") == "left"
            world.clock.move(MINUTE)
            if not yes_first:
                yes = await world.received(msisdn, "Y")
            assert await world.handled(yes) != "confirmed"
            row = await world.row(old)
            assert (row["status"], row["ended_at"]) == ("ended", left)
            assert await world.status(new.id) in {"ended", "refused"}
            assert len(await world.consents(msisdn)) == 1


async def test_a_free_trial_ends_by_itself_and_going_on_needs_a_fresh_yes(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    trial = await tried(world, msisdn, sold, 7)
    assert "免费试用至" in (await world.inbox(msisdn))[-1]
    world.clock.move(MINUTE)
    assert await world.say(msisdn, "Y") == "confirmed"
    over = trial.requested_at + 7 * DAY
    row = await world.row(trial.id)
    assert (row["free_until"], row["charge_from"]) == (over, over)
    with pytest.raises(AlreadySubscribed):
        await tried(world, msisdn, sold, 7)

    world.clock.move(5 * DAY)
    paid = await world.asked(msisdn, sold)
    assert paid.follows_id == trial.id
    assert await world.say(msisdn, "Y") == "confirmed"
    row = await world.row(paid.id)
    # A first order as any other: its 72 hours run past the trial's end.
    assert row["charge_from"] == max(over, world.clock.now() + 72 * HOUR)
    assert row["charge_rule"] == "free_hours"
    assert (await world.row(trial.id))["end_reason"] == "taken_over"


async def test_a_trial_without_a_fresh_yes_is_over_at_its_end(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    trial = await tried(world, msisdn, sold, 3)
    assert await world.say(msisdn, "Y") == "confirmed"
    world.clock.move(4 * DAY)
    assert await world.expired() == 1
    row = await world.row(trial.id)
    assert (row["status"], row["end_reason"]) == ("ended", "trial_over")
    assert row["ended_at"] == trial.requested_at + 3 * DAY
    assert (await causes(world, trial.id))[-1] == ("lapse", "trial_over")
    with pytest.raises(NothingToTry):
        await tried(world, msisdn, await world.sold(kind="on_demand"), 3)


async def test_the_second_order_within_the_window_is_charged_at_once(world: World) -> None:
    """Domain H3, on the real rows: ordered on the 2nd, left on the 3rd, ordered on the 4th."""
    sold, msisdn = await world.sold(), await world.number()
    first = await world.asked(msisdn, sold)
    assert "首次扣费不早于2026-03-05 12:00:00" in (await world.inbox(msisdn))[-1]
    await world.say(msisdn, "Y")
    world.clock.move(DAY)
    await world.say(msisdn, "TD")
    world.clock.move(DAY)
    second = await world.asked(msisdn, sold)
    assert "同意后即开始扣费" in (await world.inbox(msisdn))[-1]
    await world.say(msisdn, "Y")
    rows = [await world.row(one.id) for one in (first, second)]
    assert [row["charge_rule"] for row in rows] == ["free_hours", "ordered_again"]
    assert rows[0]["charge_from"] == rows[0]["active_from"] + 72 * HOUR
    assert rows[1]["charge_from"] == rows[1]["active_from"]
    # Another owner of the number has never ordered it.
    await world.happened(msisdn, "transferred", "owner_changed", world.clock.now())
    world.clock.move(MINUTE)
    await world.followed()
    third = await world.asked(msisdn, sold)
    assert third.charge_from == world.clock.now() + 72 * HOUR


async def test_a_prompt_before_midnight_holds_for_a_yes_after_it(world: World) -> None:
    """Prompted on the 20th at 23:50, confirmed on the 21st at 00:10: the month is free."""
    sold, msisdn = await world.sold(), await world.number()
    world.clock.move(18 * DAY + 11 * HOUR + 50 * MINUTE)
    await world.asked(msisdn, sold)
    assert "首次扣费不早于2026-03-23 23:50:00" in (await world.inbox(msisdn))[-1]
    world.clock.move(20 * MINUTE)
    assert await world.say(msisdn, "Y") == "confirmed"
    assert "首次扣费时间2026-04-01 00:00:00" in (await world.inbox(msisdn))[-1]


async def test_an_order_has_a_link_id_of_its_own(world: World) -> None:
    sold, msisdn = await world.sold(kind="on_demand"), await world.number()
    for _ in range(2):
        assert await world.say(msisdn, sold.keyword, to=sold.access_number) == "ordered"
    rows = await world.pool.fetch("SELECT link_id, charge_from, active_from FROM subscription")
    assert len({row["link_id"] for row in rows}) == 2
    assert all(len(row["link_id"]) == 20 for row in rows)
    assert all(row["charge_from"] == row["active_from"] for row in rows)


@pytest.mark.parametrize(
    "spoiled", ["hotline = ' '", "leave_command = ''", "price_fen = 700", "sp_name = ''"]
)
async def test_a_notice_that_lacks_a_part_sends_no_prompt(
    world: World, owner: db.Connection, spoiled: str
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await owner.execute(f"UPDATE notice SET {spoiled}")
    with pytest.raises(NoticeIncomplete):
        await world.asked(msisdn, sold)
    assert await world.inbox(msisdn) == []
    assert await world.pool.fetchval("SELECT count(*) FROM subscription") == 0
