"""Money under concurrency: caps that hold, orders that license one charge."""

from asyncio import gather
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from spms.authorisation import actions
from spms.authorisation.model import Purpose, Reason
from spms.core.db import Connection
from tests import make
from tests.authorisation.arrange import DAY, HOUR, World

SECOND = timedelta(seconds=1)


async def test_parallel_charges_of_one_number_never_exceed_the_cap(
    uses: World, owner: Connection
) -> None:
    answers = await gather(*[uses.ask() for _ in range(32)])
    assert answers.count([]) == 3
    assert answers.count(["cap_service"]) == 29
    spent = await owner.fetchval("SELECT sum(price_fen) FROM authorisation WHERE allowed")
    assert spent == 2400


async def test_parallel_batches_over_the_same_numbers_neither_exceed_the_cap_nor_deadlock(
    uses: World, owner: Connection
) -> None:
    numbers = [uses.msisdn]
    for _ in range(7):
        numbers.append(await make.number(owner, uses.now))
        await uses.order(numbers[-1], 4)
    up = [uses.question(msisdn=number) for number in numbers]
    batches = [up if n % 2 else up[::-1] for n in range(8)]
    await gather(*[uses.decide(*batch) for batch in batches])
    rows = await owner.fetch(
        "SELECT msisdn, count(*) FILTER (WHERE allowed) AS allowed, count(*) AS asked"
        " FROM authorisation GROUP BY msisdn"
    )
    assert {row["msisdn"]: (row["allowed"], row["asked"]) for row in rows} == dict.fromkeys(
        numbers, (3, 8)
    )


async def test_the_cap_over_all_sps_holds_for_charges_of_different_sps_at_once(
    world: World, owner: Connection
) -> None:
    worlds = []
    for _ in range(6):
        sp_id = await make.sp(owner, world.now)
        service_id = await make.service(owner, world.now, sp_id, price_fen=2500)
        await make.subscription(owner, world.now - DAY, world.msisdn, service_id)
        code = await owner.fetchval("SELECT code FROM service WHERE id = $1", service_id)
        worlds.append((sp_id, world.question(service_code=code, price_fen=2500)))
    answers = await gather(*[world.decide(asked, sp_id=sp_id) for sp_id, asked in worlds])
    assert sorted(decision.reasons for (decision,) in answers) == [
        (), (), (), (), ("cap_total",), ("cap_total",),
    ]  # fmt: skip


async def test_a_new_month_begins_at_midnight_in_shanghai(world: World) -> None:
    midnight = world.now.replace(month=4, day=1, hour=0) - 8 * HOUR
    assert await world.ask() == []
    assert await world.ask(at=midnight - SECOND) == ["month_used"]
    assert await world.ask(at=midnight) == []


async def test_one_order_authorises_one_charge_whoever_asks_at_once(
    orders: World, owner: Connection
) -> None:
    answers = await gather(*[orders.ask() for _ in range(16)])
    assert answers.count([]) == 1
    assert answers.count(["order_used"]) == 15
    assert await owner.fetchval("SELECT count(*) FROM order_use") == 1


async def test_one_order_authorises_one_charge_within_a_batch(orders: World) -> None:
    first, second, message = await orders.decide(
        orders.question(), orders.question(),
        orders.question(purpose=Purpose.MESSAGE, price_fen=0),
    )  # fmt: skip
    assert first.allowed
    assert second.reasons == (Reason.ORDER_USED,)
    assert message.allowed


async def test_two_orders_authorise_two_charges_oldest_first(
    orders: World, owner: Connection
) -> None:
    newer = await make.subscription(owner, orders.now - HOUR / 2, orders.msisdn, orders.service_id)
    decisions = await orders.decide(*[orders.question()] * 3)
    assert [d.subscription_id for d in decisions] == [orders.subscription_id, newer, newer]
    assert [d.reasons for d in decisions] == [(), (), (Reason.ORDER_USED,)]


async def test_a_link_id_licenses_one_charge_of_its_own_order(
    orders: World, owner: Connection
) -> None:
    links = "1" * 20, "2" * 20
    newer = await make.subscription(
        owner, orders.now - HOUR / 2, orders.msisdn, orders.service_id, link_id=links[1]
    )
    await owner.execute(
        "UPDATE subscription SET link_id = $1 WHERE id = $2", links[0], orders.subscription_id
    )
    asked = [orders.question(link_id=link) for link in (links[1], links[1], "3" * 20, links[0])]
    decisions = await orders.decide(*asked)
    assert [d.reasons for d in decisions] == [
        (), (Reason.ORDER_USED,), (Reason.NO_CONSENT,), (),
    ]  # fmt: skip
    assert [d.subscription_id for d in decisions] == [newer, newer, None, orders.subscription_id]
    told = await actions.explain(orders.tx, decisions[2].id, actor=make.OFFICER)
    assert told.agrees
    with pytest.raises(asyncpg.UniqueViolationError):
        await make.subscription(
            owner, orders.now, orders.msisdn, orders.service_id, link_id=links[0]
        )


async def test_a_denied_charge_leaves_the_order_unused(orders: World) -> None:
    assert await orders.ask(price_fen=900) == ["price_mismatch"]
    assert await orders.ask() == []


async def test_an_order_is_over_after_a_day_also_when_nobody_ended_it(orders: World) -> None:
    ordered = orders.now - HOUR
    assert await orders.ask(at=ordered + DAY) == ["no_consent"]
    assert await orders.ask(at=ordered + DAY - SECOND) == []


async def test_the_database_itself_refuses_a_second_charge_for_one_order(
    orders: World, owner: Connection
) -> None:
    (decision,) = await orders.decide()
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute(
            "INSERT INTO order_use SELECT msisdn, subscription_id, $2, used_at FROM order_use"
            " WHERE authorisation_id = $1",
            decision.id, uuid4(),
        )  # fmt: skip


async def test_a_consent_counts_from_when_its_message_was_handled(
    orders: World, owner: Connection
) -> None:
    """The order came in an hour ago and lay there until now; until then nobody saw a consent."""
    late = await make.number(owner, orders.now)
    question: dict[str, Any] = {"msisdn": late, "price_fen": 800}
    assert await orders.ask(at=orders.now - SECOND, **question) == ["no_consent"]
    await make.subscription(
        owner, orders.now - HOUR, late, orders.service_id, prompt_text=None, confirm_by=None
    )
    assert await orders.ask(**question) == []
