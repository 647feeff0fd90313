"""One person's number that somebody holds does not keep the others' messages from being read."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import asyncpg
import pytest

from jobs import handle_messages
from jobs.timetable import House
from spms.core import db, roles
from spms.core.clock import FixedClock
from spms.core.settings import Settings
from spms.messaging.model import MessageIn
from spms.subscriptions import actions
from tests.subscriptions.world import World

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def world(
    owner_url: str, settings: Settings, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """Return a world whose sessions wait for a lock for a moment only."""
    monkeypatch.setitem(db.SESSION, "lock_timeout", "200ms")
    pool = await db.open_pool(roles.app_url(owner_url), settings)
    yield World(pool, clock)
    await pool.close()


@pytest.fixture
def house(world: World, settings: Settings) -> House:
    unused = cast("Any", None)
    return House(
        pool=world.pool, clock=world.clock, settings=settings, link=unused, prober=unused
    )  # fmt: skip


async def test_a_td_behind_a_number_that_is_held_is_handled_and_the_held_one_in_the_next_run(
    world: World, house: House, owner: asyncpg.Connection
) -> None:
    sold, held, other = await world.sold(), await world.number(), await world.number()
    theirs, others = await world.running(held, sold), await world.running(other, sold)
    for msisdn, text in ((held, "TD"), (held, "0000"), (other, "TD")):
        world.clock.move(MINUTE)
        await world.received(msisdn, text)
    async with owner.transaction():
        await owner.execute("SELECT FROM number WHERE msisdn = $1 FOR UPDATE", held)
        assert await handle_messages.pump(house) == 1
        assert (await world.status(theirs), await world.status(others)) == ("active", "ended")
        assert await handle_messages.pump(house) == 0
    assert await handle_messages.pump(house) == 2
    assert await world.status(theirs) == "ended"
    outcomes = await world.pool.fetch(
        "SELECT outcome FROM message_in WHERE outcome IS NOT NULL ORDER BY received_at"
    )
    assert [row["outcome"] for row in outcomes] == ["left", "listed", "left"]


@pytest.mark.parametrize(
    ("trouble", "handled"),
    [
        (asyncpg.QueryCanceledError, 1),
        (asyncpg.DeadlockDetectedError, 1),
        (asyncpg.AdminShutdownError, None),
    ],
)
async def test_what_concerns_one_message_passes_it_over_and_a_database_that_is_away_ends_the_run(
    world: World, house: House, monkeypatch: pytest.MonkeyPatch,
    trouble: type[Exception], handled: int | None,
) -> None:  # fmt: skip
    slow, other = await world.number(), await world.number()
    for msisdn in (slow, other):
        world.clock.move(MINUTE)
        await world.received(msisdn, "TD")
    handle = actions.handle_message

    async def troubled(tx: db.Connection, message: MessageIn, **values: Any) -> str:
        if message.msisdn == slow:
            raise trouble
        return await handle(tx, message, **values)

    monkeypatch.setattr(actions, "handle_message", troubled)
    if handled is None:
        with pytest.raises(trouble):
            await handle_messages.pump(house)
    else:
        assert await handle_messages.pump(house) == handled
    unread = await world.pool.fetch("SELECT msisdn FROM message_in WHERE handled_at IS NULL")
    left = {slow, other} if handled is None else {slow}
    assert {row["msisdn"] for row in unread} == left
