"""Charges in two steps: held, captured, given back; caps that stay exact whatever runs at once."""

from asyncio import gather
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from jobs import expire_reservations
from spms.authorisation import actions, deciding, reservations
from spms.authorisation.deciding import ReferenceReused
from spms.authorisation.invariant_queries import INVARIANTS
from spms.authorisation.model import Reason
from spms.authorisation.reservation_model import Answer, Ask, Reservation, ReservationState
from spms.authorisation.reservations import ChargingStopped, ReservationClosed
from spms.core import db
from spms.core.access import job_actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.invariants import check
from spms.messaging import actions as messaging
from spms.messaging.model import IncomingSms
from spms.subscribers import actions as subscribers
from spms.subscribers import limits
from spms.subscribers.limit_model import BarIn, BarScope
from spms.subscribers.model import NumberEventIn, NumberEventKind, NumberReason
from spms.subscriptions import actions as subscriptions
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import World

MINUTE = timedelta(minutes=1)
SPENT = "SELECT COALESCE(sum(total_fen), 0)::bigint FROM month_spend"
COUNTED = """
    SELECT COALESCE(sum(a.price_fen), 0)::bigint FROM authorisation a
      LEFT JOIN reservation r ON r.msisdn = a.msisdn AND r.id = a.id
     WHERE a.allowed AND COALESCE(r.state, 'captured') IN ('reserved', 'captured')
"""


async def reserve(
    world: World, reference: str, *, after: timedelta = timedelta(), **values: Any
) -> Answer:
    ask = Ask(
        request=world.question(**values), sp_id=world.sp_id, actor="sp:test", reference=reference
    )
    async with db.transaction(world.pool) as tx:
        return await reservations.reserve(tx, ask, now=world.now + after)


async def close(
    world: World, answer: Answer, state: ReservationState, at: timedelta = MINUTE
) -> Reservation:
    async with db.transaction(world.pool) as tx:
        return await reservations.close(
            tx, answer.decision.id, state, actor=make.sp_actor(world.sp_id), now=world.now + at
        )


async def test_parallel_reservations_of_one_number_never_exceed_the_cap(
    uses: World, owner: Connection
) -> None:
    answers = await gather(*[reserve(uses, f"r{n}") for n in range(24)])
    allowed = [answer for answer in answers if answer.decision.allowed]
    assert len(allowed) == 3
    assert all((answer.reservation is not None) == answer.decision.allowed for answer in answers)
    assert await owner.fetchval(SPENT) == await owner.fetchval(COUNTED) == 2400
    # What is released makes room again, for exactly as much.
    await gather(*[close(uses, allowed[0], ReservationState.RELEASED) for _ in range(4)])
    assert await owner.fetchval(SPENT) == await owner.fetchval(COUNTED) == 1600
    again = await gather(*[reserve(uses, f"s{n}", after=MINUTE) for n in range(8)])
    assert [answer.decision.allowed for answer in again].count(True) == 1
    assert await owner.fetchval(SPENT) == await owner.fetchval(COUNTED) == 2400
    async with db.snapshot(uses.pool) as read:
        for answer in answers + again:
            assert (await actions.explain(read, answer.decision.id, actor=make.OFFICER)).agrees


async def test_the_same_reference_is_the_same_reservation_whoever_is_first(
    world: World, owner: Connection
) -> None:
    answers = await gather(*[reserve(world, "order-1") for _ in range(12)])
    assert len({answer.decision.id for answer in answers}) == 1
    assert await owner.fetchval("SELECT count(*) FROM authorisation") == 1
    assert await owner.fetchval(SPENT) == 800
    with pytest.raises(ReferenceReused):
        await reserve(world, "order-1", price_fen=900)
    captured = await close(world, answers[0], ReservationState.CAPTURED)
    assert captured.state is ReservationState.CAPTURED
    first_again = await reserve(world, "order-1")
    assert first_again.reservation == captured
    with pytest.raises(ReservationClosed):
        await close(world, answers[0], ReservationState.RELEASED)
    assert await owner.fetchval(SPENT) == 800


async def test_what_is_not_captured_in_time_is_given_back(uses: World, owner: Connection) -> None:
    held, late = await reserve(uses, "a"), await reserve(uses, "b")
    denied = await reserve(uses, "c", price_fen=900)
    assert denied.decision.reasons == (Reason.PRICE_MISMATCH,)
    assert denied.reservation is None
    await close(uses, held, ReservationState.CAPTURED)
    with pytest.raises(ReservationClosed):
        await close(uses, late, ReservationState.CAPTURED, at=15 * MINUTE)
    after = uses.now + 15 * MINUTE
    for expected in ("1 given back", "0 given back"):
        async with db.transaction(uses.pool) as tx:
            told = await expire_reservations.work(tx, actor=job_actor("test"), now=after)
        assert told == expected
    assert await owner.fetchval(SPENT) == await owner.fetchval(COUNTED) == 800
    with pytest.raises(NotFound):
        async with db.transaction(uses.pool) as tx:
            await reservations.get(
                tx, held.decision.id, actor=make.sp_actor(await make.sp(owner, uses.now))
            )


async def wishes(world: World, owner: Connection) -> None:
    async with db.transaction(world.pool) as tx:
        await messaging.receive(
            tx,
            IncomingSms(msisdn=world.msisdn, called="10010", text="TD", raw=b"TD", link="smsc",
                        link_message_id="1"),
            now=world.now + MINUTE / 2,
        )  # fmt: skip


async def leaves(world: World, owner: Connection) -> None:
    async with db.transaction(world.pool) as tx:
        await subscriptions.leave_all(
            tx, msisdn=world.msisdn, reason=None, actor=make.subscriber_actor(world.msisdn),
            now=world.now + MINUTE / 2,
        )  # fmt: skip


async def bars(world: World, owner: Connection) -> None:
    async with db.transaction(world.pool) as tx:
        await limits.bar(tx, world.msisdn, BarIn(scope=BarScope.ALL),
                         actor=make.subscriber_actor(world.msisdn), now=world.now + MINUTE / 2)  # fmt: skip


async def happens(kind: str, reason: str, world: World, owner: Connection) -> None:
    event = NumberEventIn(
        msisdn=world.msisdn, kind=NumberEventKind(kind), reason=NumberReason(reason),
        effective_at=world.now + MINUTE / 2,
    )  # fmt: skip
    async with db.transaction(world.pool) as tx:
        await subscribers.record_event(tx, event, actor=make.GATEWAY, now=world.now + MINUTE / 2)


STOPS: dict[str, Callable[[World, Connection], Awaitable[None]]] = {
    "an unread TD": wishes, "leaving": leaves, "a bar": bars,
    "suspended": partial(happens, "suspended", "lost"),
    "another owner": partial(happens, "transferred", "owner_changed"),
    "terminated": partial(happens, "terminated", "subscriber_request"),
}  # fmt: skip


@pytest.mark.parametrize("stop", STOPS)
async def test_what_is_held_is_not_captured_once_charging_has_stopped(
    world: World, owner: Connection, stop: str
) -> None:
    other_id = await make.service(owner, world.now, world.sp_id)
    await make.subscription(owner, world.now - arrange.DAY, world.msisdn, other_id)
    other = await owner.fetchval("SELECT code FROM service WHERE id = $1", other_id)
    held, before = await reserve(world, "r1"), await reserve(world, "r2", service_code=other)
    assert held.decision.allowed
    taken = await close(world, before, ReservationState.CAPTURED, MINUTE / 4)
    await STOPS[stop](world, owner)
    with pytest.raises(ChargingStopped):
        await close(world, held, ReservationState.CAPTURED)
    assert await close(world, before, ReservationState.CAPTURED) == taken, "it was made before"
    assert (await close(world, held, ReservationState.RELEASED)).state is ReservationState.RELEASED
    assert await owner.fetchval(SPENT) == await owner.fetchval(COUNTED) == 800


async def test_a_month_is_held_once_whoever_asks_at_once_and_again_when_it_was_given_back(
    world: World, owner: Connection
) -> None:
    answers = await gather(*[reserve(world, f"r{n}") for n in range(16)])
    (held,) = [answer for answer in answers if answer.decision.allowed]
    denied = [answer.decision.reasons for answer in answers if not answer.decision.allowed]
    assert denied == [(Reason.MONTH_USED,)] * 15
    assert await owner.fetchval(SPENT) == await owner.fetchval(COUNTED) == 800
    await close(world, held, ReservationState.RELEASED)
    again = await gather(*[reserve(world, f"s{n}", after=MINUTE) for n in range(8)])
    (second,) = [answer for answer in again if answer.decision.allowed]
    # What nobody captures is given back as well, and what was captured stays.
    async with db.transaction(world.pool) as tx:
        await reservations.expire(tx, actor=job_actor("test"), now=world.now + 16 * MINUTE)
    third = await reserve(world, "t", after=16 * MINUTE)
    assert third.decision.allowed
    await close(world, third, ReservationState.CAPTURED, at=17 * MINUTE)
    late = await reserve(world, "u", after=60 * MINUTE)
    assert late.decision.reasons == (Reason.MONTH_USED,)
    async with db.snapshot(world.pool) as read:
        for answer in (*answers, *again, second, third, late):
            assert (await actions.explain(read, answer.decision.id, actor=make.OFFICER)).agrees


async def test_a_numbers_next_holder_begins_her_month_with_nothing(
    world: World, owner: Connection
) -> None:
    held = await reserve(world, "former", after=-2 * MINUTE)
    assert held.decision.allowed
    await arrange.number_event(
        owner, world.msisdn, "transferred", "active", world.now - MINUTE, epoch_after=2
    )
    await owner.execute("UPDATE subscription SET status = 'ended', ended_at = $1", world.now)
    await make.subscription(owner, world.now, world.msisdn, world.service_id, epoch=2)
    hers = await reserve(world, "hers")
    assert hers.decision.allowed
    assert (await reserve(world, "again")).decision.reasons == (Reason.MONTH_USED,)
    # What is given back to the former holder is none of hers.
    await close(world, held, ReservationState.RELEASED)
    assert (await reserve(world, "again")).decision.reasons == (Reason.MONTH_USED,)
    rows = await owner.fetch("SELECT epoch, total_fen FROM month_spend ORDER BY epoch")
    sums = {row["epoch"]: row["total_fen"] for row in rows}
    assert sums == {1: 0, 2: 800}
    async with db.transaction(world.pool) as tx:
        await reservations.expire(tx, actor=job_actor("test"), now=world.now + 16 * MINUTE)
    assert (await reserve(world, "later", after=16 * MINUTE)).decision.allowed
    async with db.snapshot(world.pool) as read:
        for answer in (held, hers):
            told = await actions.explain(read, answer.decision.id, actor=make.OFFICER)
            assert told.agrees
            assert told.replay.facts == told.facts


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_reference_that_is_being_held_elsewhere_gets_the_first_answer_in_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A gateway asks again on its next stream while its first question is still under way.

    The first is committed just before, or just after, the second reads what it rests on.
    """
    first: list[Answer] = []
    gather_facts = deciding._gather

    async def meanwhile(*asked: Any) -> Any:
        found = await gather_facts(*asked) if when == "after" else None
        if not first:
            monkeypatch.undo()
            first.append(await reserve(world, "order-1"))
        return found or await gather_facts(*asked)

    monkeypatch.setattr(deciding, "_gather", meanwhile)
    second = await reserve(world, "order-1")
    assert second.decision.allowed
    assert second == first[0]


async def months_hold(owner: Connection) -> bool:
    (found,) = await check(owner, [one for one in INVARIANTS if one.name == "month_spend_true"])
    return found.holds


async def test_a_month_that_says_something_else_than_its_decisions_is_found(
    uses: World, owner: Connection
) -> None:
    held = [await reserve(uses, f"r{n}") for n in range(3)]
    await close(uses, held[0], ReservationState.RELEASED)
    await close(uses, held[1], ReservationState.CAPTURED)
    assert await months_hold(owner)
    async with db.transaction(uses.pool) as tx:
        await reservations.expire(tx, actor=job_actor("test"), now=uses.now + 16 * MINUTE)
    assert await months_hold(owner)
    assert await owner.fetchval(SPENT) == 800
    for wrong in (
        "UPDATE month_spend SET total_fen = 0, by_service = '{}'",
        "UPDATE month_spend SET by_service = '{}'",
        "UPDATE month_spend SET epoch = 2",
    ):
        change = owner.transaction()
        await change.start()
        await owner.execute(wrong)
        assert not await months_hold(owner), wrong
        await change.rollback()
    assert await months_hold(owner)
