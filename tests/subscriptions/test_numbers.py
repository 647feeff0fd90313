"""Relations follow their numbers: stopped, in service again, gone, changed, another's."""

from datetime import timedelta

import pytest

from tests.subscriptions.world import World

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


async def test_a_suspended_number_suspends_its_relations_and_a_resumed_one_resumes_them(
    world: World,
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    world.clock.move(HOUR)
    await world.happened(msisdn, "suspended", "arrears", world.clock.now())
    assert await world.followed() == 1
    assert await world.status(relation) == "suspended"
    world.clock.move(HOUR)
    await world.happened(msisdn, "resumed", "paid", world.clock.now())
    assert await world.followed() == 1
    row = await world.row(relation)
    assert (row["status"], row["ended_at"]) == ("active", None)
    assert row["active_from"] == world.clock.now() - 2 * HOUR
    assert await world.history(relation) == ["suspend", "resume"]
    assert await world.followed() == 0


async def test_of_news_that_came_in_together_each_leaves_its_mark(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    began = world.clock.now()
    for kind, reason in 2 * (("suspended", "lost"), ("resumed", "found")):
        world.clock.move(MINUTE)
        await world.happened(msisdn, kind, reason, world.clock.now())
    assert await world.followed() == 4
    assert await world.status(relation) == "active"
    assert await world.history(relation) == 2 * ["suspend", "resume"]
    rows = await world.pool.fetch("SELECT at FROM subscription_event ORDER BY seq")
    assert [row["at"] for row in rows] == [began + n * MINUTE for n in (1, 2, 3, 4)]
    assert await world.followed() == 0
    world.clock.move(MINUTE)
    await world.happened(msisdn, "suspended", "lost", world.clock.now())
    world.clock.move(MINUTE)
    await world.happened(msisdn, "terminated", "subscriber_request", world.clock.now())
    assert await world.followed() == 2
    row = await world.row(relation)
    assert (row["status"], row["ended_at"]) == ("ended", world.clock.now())
    assert (await world.history(relation))[-2:] == ["suspend", "end"]


@pytest.mark.parametrize(
    ("kind", "reason", "end_reason"),
    [
        ("terminated", "subscriber_request", "number_terminated"),
        ("number_changed", "subscriber_request", "number_changed"),
        ("transferred", "owner_changed", "number_transferred"),
    ],
)
async def test_a_number_that_leaves_its_owner_ends_everything_as_of_that_instant(
    world: World, kind: str, reason: str, end_reason: str
) -> None:
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    world.clock.move(HOUR)
    asked = await world.asked(msisdn, other)
    world.clock.move(MINUTE)
    at = world.clock.now()
    world.clock.move(HOUR)
    before = await world.inbox(msisdn)
    await world.happened(msisdn, kind, reason, at)
    assert await world.followed() == 2
    for one in (relation, asked.id):
        row = await world.row(one)
        assert (row["status"], row["ended_at"], row["end_reason"]) == ("ended", at, end_reason)
    assert await world.inbox(msisdn) == before  # whoever holds the number now is told nothing
    assert await world.followed() == 0


async def test_a_termination_reported_late_empties_a_relation_begun_after_it(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    at = world.clock.now() - HOUR
    relation = await world.running(msisdn, sold)
    await world.happened(msisdn, "transferred", "owner_changed", at)
    await world.followed()
    row = await world.row(relation)
    assert row["ended_at"] == row["active_from"]


async def test_a_later_owner_starts_with_nothing_and_keeps_her_own(world: World) -> None:
    sold, msisdn = await world.sold(), await world.number()
    old = await world.running(msisdn, sold)
    world.clock.move(HOUR)
    await world.happened(msisdn, "transferred", "owner_changed", world.clock.now())
    world.clock.move(MINUTE)
    assert await world.followed() == 1
    asked = await world.asked(msisdn, sold)
    assert await world.say(msisdn, "Y") == "confirmed"
    await world.happened(msisdn, "suspended", "lost", world.clock.now())
    assert await world.followed() == 1
    assert (await world.status(old), await world.status(asked.id)) == ("ended", "suspended")
    assert await world.say(msisdn, "0000") == "listed"


async def test_an_unfollowed_transfer_does_not_let_the_new_owner_leave_for_the_old(
    world: World,
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    old = await world.running(msisdn, sold)
    world.clock.move(HOUR)
    await world.happened(msisdn, "transferred", "owner_changed", world.clock.now())
    world.clock.move(MINUTE)
    assert await world.say(msisdn, "TD") == "nothing_to_leave"
    assert await world.followed() == 1
    assert (await world.row(old))["end_reason"] == "number_transferred"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("terminated", "subscriber_request"),
        ("number_changed", "subscriber_request"),
        ("transferred", "owner_changed"),
    ],
)
async def test_what_was_written_to_a_former_owner_does_not_reach_the_next(
    world: World, kind: str, reason: str
) -> None:
    sold, msisdn, other = await world.sold(), await world.number(), await world.number()
    await world.asked(msisdn, sold)
    await world.asked(other, sold)
    assert await world.say(msisdn, "what?") == "help"
    await world.pool.execute("UPDATE message_out SET state = 'unknown' WHERE kind = 'help'")
    at = world.clock.now()
    world.clock.move(MINUTE)
    assert await world.say(msisdn, "0000") == "listed"  # nobody has told us yet
    world.clock.move(MINUTE)
    assert await world.waiting(msisdn) == ["prompt", "help", "list"]
    await world.happened(msisdn, kind, reason, at)
    await world.followed()
    assert (await world.waiting(msisdn), await world.waiting(other)) == ([], ["prompt"])


async def test_what_is_written_to_the_next_owner_leaves_and_so_does_what_waits_in_a_suspension(
    world: World,
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    world.clock.move(HOUR)
    await world.happened(msisdn, "transferred", "owner_changed", world.clock.now())
    world.clock.move(MINUTE)
    await world.asked(msisdn, sold)
    await world.followed()
    assert await world.waiting(msisdn) == ["prompt"]
    world.clock.move(MINUTE)
    await world.happened(msisdn, "suspended", "lost", world.clock.now())
    await world.followed()
    assert await world.waiting(msisdn) == ["prompt"]


async def test_a_hand_over_of_long_ago_that_becomes_known_late_takes_nothing_from_the_holder(
    world: World,
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    long_ago = world.clock.now() + MINUTE
    world.clock.move(HOUR)
    await world.happened(msisdn, "transferred", "owner_changed", world.clock.now())
    await world.followed()
    world.clock.move(MINUTE)
    await world.asked(msisdn, sold)
    world.clock.move(MINUTE)
    await world.happened(msisdn, "transferred", "owner_changed", long_ago)
    await world.followed()
    assert await world.waiting(msisdn) == ["prompt"]
