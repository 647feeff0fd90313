"""Claims that need proof, while somebody else is at the same charge: nobody is paid twice or left out."""

import asyncio

import pytest

from spms.compensation import actions, journal, queries, verification
from spms.compensation.accounts import Bearer, Cause, both
from spms.compensation.invariant_queries import INVARIANTS
from spms.compensation.model import Opening, Source
from spms.compensation.refunding import claim_id, refund
from spms.compensation.rules import Due, refund_lines
from spms.compensation.verification_model import VerificationRequest
from spms.compensation.verification_queries import disputed_fees, verifications
from spms.core import db, invariants
from tests import make
from tests.compensation.conftest import DAY, PRICE

WAITS = """
    SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
                    WHERE NOT l.granted AND a.datname = current_database())
"""
FOUND = """
    INSERT INTO charge_finding (msisdn, charge_id, charged_at, kind, due_fen, found_at, found_by)
    VALUES ($1, $2, $3, 'no_consent', 0, $4, 'test')
"""


@pytest.fixture
def contest(pool, clock, world):
    """Return a function that claims in a transaction of its own, as an agent where asked to."""

    async def contested(msisdn, charge_id, *, by_agent=False):
        data = VerificationRequest(
            charge_id=charge_id, cause=Cause.NOT_OPENED, reason="it never was"
        )
        async with db.transaction(pool, timeout_seconds=60) as tx:
            return await verification.open_claim(
                tx, data, msisdn=msisdn, source=Source.AGENT if by_agent else Source.SUBSCRIBER,
                actor=make.AGENT if by_agent else make.subscriber_actor(msisdn), now=clock.now(),
            )  # fmt: skip

    return contested


@pytest.fixture
async def three(tx, now, world, contest):
    """Three numbers in their order, each with a claim: by an agent, by its holder, by an agent."""
    numbers = sorted([await make.number(tx, now) for _ in range(3)])
    found = []
    for n, msisdn in enumerate(numbers):
        charge_id = await world.right(await world.agreed(msisdn), msisdn)
        await contest(msisdn, charge_id, by_agent=n != 1)
        found.append((msisdn, charge_id))
    return found


async def until_somebody_waits(owner, task):
    while not task.done():
        if await owner.fetchval(WAITS):
            return
        await asyncio.sleep(0.01)
    await task
    pytest.fail("it did not wait")


async def settle(pool, clock):
    async with db.transaction(pool, timeout_seconds=60) as own:
        return await verification.settle_silent(own, now=clock.now())


async def failing(tx):
    return [one.name for one in await invariants.check(tx, INVARIANTS) if not one.holds]


async def test_second_multiples_hold_the_numbers_in_one_order_whoever_had_claimed(
    tx, owner, pool, clock, world, three
):
    clock.move(DAY)
    async with db.transaction(pool, timeout_seconds=60) as other:
        await journal.hold(other, [three[1][0]], now=clock.now())
        settling = asyncio.create_task(settle(pool, clock))
        await until_somebody_waits(owner, settling)
        # Whoever refunds both of these holds them in their order; in a ring, one would be thrown out.
        await journal.hold(other, [three[2][0]], now=clock.now())
    assert await settling == 3
    assert await actions.receivable(tx, world.sp_id) == 6 * PRICE
    assert await failing(tx) == []


async def test_a_refund_that_comes_between_takes_nothing_from_the_others(
    tx, owner, pool, clock, world, three
):
    clock.move(DAY)
    msisdn, charge_id = three[1]
    await tx.execute(FOUND, msisdn, charge_id, world.now - DAY, clock.now())
    async with db.transaction(pool, timeout_seconds=60) as other:
        assert await actions.refund_findings(other, now=clock.now()) == 1
        settling = asyncio.create_task(settle(pool, clock))
        await until_somebody_waits(owner, settling)
    assert await settling == 3
    assert await settle(pool, clock) == 0
    assert await actions.receivable(tx, world.sp_id) == 6 * PRICE, "no multiple three times"
    assert await failing(tx) == []


async def test_what_is_claimed_is_what_is_left_when_its_turn_comes(
    tx, owner, pool, clock, world, contest
):
    """A mass correction is about to bring 3.00 of it back, and no finding says so."""
    charge_id = await world.right(await world.agreed())
    charge = await queries.disputed(tx, world.msisdn, charge_id)
    correction = Opening(
        id=claim_id(charge, 1), disputed=charge, round=1, due_fen=500, honoured_due_fen=500,
        reason="3.00 too much", cause=Cause.METERING, bearers=both(Bearer.OPERATOR),
        rulebook_version=1, lines=refund_lines(charge, Due(300, 300), both(Bearer.OPERATOR)),
    )  # fmt: skip
    async with db.transaction(pool, timeout_seconds=60) as other:
        await refund(other, [correction], source=Source.BATCH, actor=make.OFFICER, now=clock.now())
        waiting = asyncio.create_task(contest(world.msisdn, charge_id))
        await until_somebody_waits(owner, waiting)
    row = await waiting
    assert row.claimed_fen == PRICE - 300
    clock.move(DAY)
    assert await settle(pool, clock) == 1
    assert await tx.fetchval("SELECT sum(amount_fen) FROM refund") == 2 * PRICE
    assert await failing(tx) == []


async def test_what_came_back_while_a_claim_waits_is_not_in_dispute_twice(
    tx, owner, clock, world, contest, audit
):
    await owner.execute(
        "INSERT INTO rulebook SELECT 2, '-infinity', $1, 'test', now(), 'test'",
        {"compensation": {"four_eyes_fen": 100}},
    )
    charge_id = await world.right(await world.agreed())
    row = await contest(world.msisdn, charge_id)
    assert row.state == "awaiting_approval"

    async def disputed_fen():
        found = await disputed_fees(tx, [world.msisdn], after=None, limit=1)
        return sum(one.disputed_fen for one in found)

    assert await disputed_fen() == PRICE
    await tx.execute(FOUND, world.msisdn, charge_id, world.now - DAY, clock.now())
    assert await audit() == 1
    assert await disputed_fen() == PRICE, "no more than was charged"
    await tx.execute("UPDATE payout SET state = 'settled', ended_at = due_at")
    assert await disputed_fen() == 0, "all of it is back on the bill"
    assert [one.id for one in await verifications(tx, verification_id=row.id)] == [row.id]
