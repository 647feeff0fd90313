"""A reservation is a decision on record, and the decision stays."""

import asyncio
from collections.abc import Iterable
from datetime import date
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from spms.authorisation import reservations
from spms.authorisation.invariant_queries import INVARIANTS
from spms.authorisation.reservation_model import Ask
from spms.core import db
from spms.core.db import Connection
from spms.core.invariants import check
from spms.core.partitions import MAKE
from tests.authorisation.arrange import SECOND, World

DECISION = """
    SELECT msisdn, id, decided_at, sp_id, service_id FROM authorisation ORDER BY id DESC LIMIT 1
"""
HOLD = """
    INSERT INTO reservation
        (msisdn, id, reserved_at, sp_id, service_id, reference, price_fen, expires_at, state)
    VALUES ($1, $2, $3, $4, $5, $2::uuid::text, 800, $3::timestamptz + interval '1 hour', 'reserved')
"""
UNHELD = """
    SELECT p.relid::regclass::text FROM pg_partition_tree('authorisation') p
     WHERE NOT EXISTS (SELECT FROM pg_trigger
                        WHERE tgrelid = p.relid AND tgname = 'authorisations_are_reserved')
"""


async def decision(owner: Connection) -> Iterable[Any]:
    """Return the newest one's number, id, instant, SP and service."""
    row = await owner.fetchrow(DECISION)
    assert row is not None
    return tuple(row)


async def hold(world: World) -> str:
    """Reserve one charge; return the table in which the decision lies."""
    ask = Ask(request=world.question(), sp_id=world.sp_id, actor="sp:test", reference="first")
    answer = await reservations.reserve(world.tx, ask, now=world.now)
    assert answer.reservation is not None
    leaf = await world.tx.fetchval("SELECT tableoid::regclass::text FROM authorisation")
    return str(leaf)


async def test_a_reservation_without_its_decision_is_refused_in_any_statement(
    uses: World, owner: Connection
) -> None:
    await uses.decide(uses.question())
    msisdn, decision_id, decided_at, *rest = await decision(owner)
    for other in (
        ("8613900000000", decision_id, decided_at), (msisdn, uuid4(), decided_at),
        (msisdn, decision_id, decided_at + SECOND),
    ):  # fmt: skip
        with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
            await uses.pool.execute(HOLD, *other, *rest)
        assert refused.value.constraint_name == "reservation_decision"
    await hold(uses)
    for change in (
        "id = gen_random_uuid()", "msisdn = '8613900000000'",
        "reserved_at = reserved_at - interval '1 second'",
    ):  # fmt: skip
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await owner.execute(f"UPDATE reservation SET {change}")
    await owner.execute(
        "UPDATE reservation SET state = 'released', closed_at = now(), closed_by = 'x'"
    )


async def test_the_decision_of_a_reservation_is_not_taken_away_even_by_the_owner(
    uses: World, owner: Connection
) -> None:
    leaf = await hold(uses)
    await owner.fetchval(MAKE, "authorisation", date(2027, 1, 1))
    for taking in (
        "DELETE FROM authorisation", f"DELETE FROM {leaf}",
        "UPDATE authorisation SET id = gen_random_uuid()",
        "UPDATE authorisation SET decided_at = decided_at - interval '1 second'",
        "TRUNCATE authorisation", f"TRUNCATE {leaf}",
    ):  # fmt: skip
        with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
            await owner.execute(taking)
        assert refused.value.constraint_name == "reservation_decision"
    async with owner.transaction(isolation="repeatable_read"):
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await owner.execute("DELETE FROM authorisation")
    assert await owner.fetch(UNHELD) == [], "months of the migrations, of the tests and just made"


async def test_a_decision_goes_or_a_reservation_of_it_is_made_never_both(
    uses: World, owner: Connection
) -> None:
    await uses.decide(uses.question())
    decided = await decision(owner)
    going = owner.transaction()
    await going.start()
    assert await owner.execute("DELETE FROM authorisation") == "DELETE 1"
    holding = asyncio.create_task(uses.pool.execute(HOLD, *decided))
    await asyncio.sleep(0.3)
    assert not holding.done(), "it waits for who takes its decision away"
    await going.commit()
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await holding

    await uses.decide(uses.question())
    async with db.transaction(uses.pool) as other:
        await other.execute(HOLD, *await decision(owner))
        taking = asyncio.create_task(owner.execute("DELETE FROM authorisation"))
        await asyncio.sleep(0.3)
        assert not taking.done(), "it waits for the reservation that is made"
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await taking


async def test_a_reservation_that_came_while_nobody_looked_is_found(
    uses: World, owner: Connection
) -> None:
    async def broken() -> set[str]:
        return {one.name for one in await check(owner, INVARIANTS) if not one.holds}

    await hold(uses)
    assert await broken() == set()
    await owner.execute("ALTER TABLE reservation DISABLE TRIGGER USER")
    await owner.execute("UPDATE reservation SET id = gen_random_uuid()")
    assert await broken() == {"no_reservation_without_decision"}
