"""One row says what a decision reads of a number; the database keeps it true, whoever writes."""

import asyncio
from typing import Any
from uuid import uuid4

from spms.authorisation.invariant_queries import INVARIANTS
from spms.authorisation.model import Purpose, Reason
from spms.core import db
from spms.core.db import Connection
from spms.core.invariants import check
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import DAY, HOUR, World

BAR = (
    "INSERT INTO number_bar VALUES ($1, gen_random_uuid(), 1, 'all', '', $2, NULL, 'subscriber:x')"
)
END = "UPDATE subscription SET status = 'ended', ended_at = $2 WHERE msisdn = $1"
LIFT = "UPDATE number_bar SET ends_at = starts_at, lifted_by = 'subscriber:x' WHERE msisdn = $1"
WAITS = """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                      AND wait_event_type = 'Lock')
"""


async def holds(owner: Connection) -> bool:
    return all(found.holds for found in await check(owner, INVARIANTS))


async def test_of_two_who_change_a_number_at_once_the_later_sees_what_the_earlier_did(
    world: World, owner: Connection, owner_url: str
) -> None:
    one, other = await db.connect(owner_url), await db.connect(owner_url)
    try:
        begun = one.transaction()
        await begun.start()
        await one.execute(BAR, world.msisdn, world.now - HOUR)
        ending = asyncio.create_task(other.execute(END, world.msisdn, world.now - HOUR))
        async with asyncio.timeout(60):
            while not await owner.fetchval(WAITS):  # the database tells nobody
                assert not ending.done(), "the second did not wait for the first"
                await asyncio.sleep(0.01)
        await begun.commit()
        await ending
    finally:
        await one.close()
        await other.close()
    assert await world.ask() == [Reason.NO_CONSENT, Reason.BARRED_ALL]
    assert await holds(owner)


async def test_whoever_writes_a_fact_keeps_the_row(world: World, owner: Connection) -> None:
    """Every table, every verb, one row or many, also where the same statement writes several."""
    numbers = [await make.number(owner, world.now) for _ in range(3)]
    for msisdn in numbers:
        await make.subscription(owner, world.now - DAY, msisdn, world.service_id)
        await arrange.number_event(owner, msisdn, "suspended", "suspended", world.now - HOUR)
        await arrange.insert(
            owner, "number_cap", msisdn=msisdn, id=uuid4(), epoch=1, scope="total", limit_fen=1,
            starts_at=world.now - DAY, set_by="subscriber:x",
        )  # fmt: skip
        await owner.execute(BAR, msisdn, world.now - HOUR)
        assert await holds(owner)
    every: tuple[tuple[str, Any], ...] = (
        ("UPDATE number_event SET state_after = 'active' WHERE msisdn = ANY($1)", numbers),
        (LIFT, numbers[0]),
        ("DELETE FROM number_bar WHERE msisdn = ANY($1)", numbers[1:]),
        ("UPDATE number_cap SET limit_fen = 5 WHERE msisdn = ANY($1)", numbers),
        ("DELETE FROM number_cap WHERE msisdn = ANY($1)", numbers),
        ("DELETE FROM number_event WHERE msisdn = $1", numbers[1]),
    )
    for statement, value in every:
        before = await owner.fetch("SELECT * FROM number_standing ORDER BY msisdn")
        await owner.execute(statement, value)
        assert await owner.fetch("SELECT * FROM number_standing ORDER BY msisdn") != before
        assert await holds(owner), statement
    question: dict[str, Any] = {"msisdn": numbers[1], "purpose": Purpose.MESSAGE, "price_fen": 0}
    assert await world.ask(**question) == [Reason.NUMBER_UNKNOWN]


async def test_a_row_that_says_something_else_is_found(world: World, owner: Connection) -> None:
    assert await holds(owner)
    await owner.execute("UPDATE number_standing SET body = '[[],[],[],[]]'")
    (found,) = [one for one in await check(owner, INVARIANTS) if one.name == "number_standing_true"]
    assert not found.holds
    assert world.msisdn not in str(found)
