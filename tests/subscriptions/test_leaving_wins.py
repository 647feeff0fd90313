"""Leaving wins over a yes that is on its way: through every door, in every order, and at once."""

from asyncio import gather
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest

from spms.authorisation import actions as authorisation
from spms.authorisation.model import DecisionRequest, Purpose
from spms.core import db
from spms.subscriptions import actions, proxy
from tests import make
from tests.subscriptions.world import OPERATOR, Sold, World

SECOND = timedelta(seconds=1)


async def by_text(text: str, world: World, sold: Sold, msisdn: str) -> None:
    at = sold.access_number if text == "to the SP" else OPERATOR
    word = {"code": f"TD {sold.code}", "to the SP": "TD"}.get(text, text)
    await world.say(msisdn, word, to=at)


async def by_web(what: str, world: World, sold: Sold, msisdn: str) -> None:
    actor, now = make.subscriber_actor(msisdn), world.clock.now()
    async with db.transaction(world.pool) as tx:
        if what == "all":
            await actions.leave_all(tx, msisdn=msisdn, reason=None, actor=actor, now=now)
            return
        (relation,) = await tx.fetch("SELECT id FROM subscription WHERE msisdn = $1", msisdn)
        await actions.leave(tx, msisdn=msisdn, subscription_id=relation["id"], reason=None,
                            actor=actor, now=now)  # fmt: skip


async def by_proxy(world: World, sold: Sold, msisdn: str) -> None:
    async with db.transaction(world.pool) as tx:
        found = await proxy.look_up(tx, msisdn, reason="called", ticket="GD-1", actor=make.AGENT,
                                    now=world.clock.now())  # fmt: skip
    async with db.transaction(world.pool) as tx:
        await proxy.leave(tx, found.lookup_id, subscription_ids=None, actor=make.AGENT,
                          now=world.clock.now())  # fmt: skip


DOORS: dict[str, Callable[[World, Sold, str], Awaitable[None]]] = {
    **{text: (lambda *a, text=text: by_text(text, *a))
       for text in ("TD", "code", "to the SP", "00000")},
    "web, one": lambda *a: by_web("one", *a), "web, all": lambda *a: by_web("all", *a),
    "proxy": by_proxy,
}  # fmt: skip


async def may_charge(world: World, sold: Sold, msisdn: str) -> bool:
    asked = DecisionRequest(
        purpose=Purpose.CHARGE, msisdn=msisdn, service_code=sold.code, price_fen=800
    )
    world.clock.move(timedelta(days=40))  # behind every free first day
    async with db.transaction(world.pool) as tx:
        (decision,) = await authorisation.decide(
            tx, [asked], sp_id=sold.sp_id, actor=sold.sp, now=world.clock.now()
        )
    world.clock.move(timedelta(days=-40))
    return decision.allowed


async def over(world: World, relation: UUID, msisdn: str, sold: Sold) -> str:
    row = await world.row(relation)
    assert row["status"] in {"ended", "refused"}
    assert len(await world.consents(msisdn)) == (row["status"] == "ended")
    assert not await may_charge(world, sold, msisdn)
    return str(row["status"])


@pytest.mark.parametrize("door", DOORS)
async def test_of_a_yes_and_a_leaving_the_leaving_stands(world: World, door: str) -> None:
    sold, leave = await world.sold(), DOORS[door]
    for received_first, read_first in product((True, False), repeat=2):
        if read_first and not received_first:
            continue  # it cannot be read before it came
        msisdn = await world.number()
        asked = await world.asked(msisdn, sold)
        world.clock.move(SECOND)
        yes = await world.received(msisdn, "Y") if received_first else None
        world.clock.move(SECOND)
        if yes and read_first:
            assert await world.handled(yes) == "confirmed"
            world.clock.move(SECOND)
        left_at = world.clock.now()
        await leave(world, sold, msisdn)
        world.clock.move(SECOND)
        yes = yes or await world.received(msisdn, "Y")
        if not read_first:
            assert await world.handled(yes) != "confirmed"
        status = await over(world, asked.id, msisdn, sold)
        assert status == ("ended" if read_first else "refused")
        assert (await world.row(asked.id))["ended_at"] == left_at


@pytest.mark.parametrize("door", DOORS)
async def test_of_a_yes_and_a_leaving_at_once_nothing_runs(world: World, door: str) -> None:
    sold = await world.sold()
    met = set()
    for _ in range(3):
        msisdn = await world.number()
        asked = await world.asked(msisdn, sold)
        world.clock.move(SECOND)
        yes = await world.received(msisdn, "Y")
        world.clock.move(SECOND)
        await gather(world.handled(yes), DOORS[door](world, sold, msisdn))
        met.add(await over(world, asked.id, msisdn, sold))
    assert met <= {"ended", "refused"}
