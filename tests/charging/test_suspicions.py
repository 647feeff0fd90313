"""What is left to people: suspicions decided, observations counted, on the real database."""

from datetime import timedelta

import pytest

from spms.charging.model import Delivery
from spms.compensation import actions as compensation
from spms.core.db import transaction
from tests import make
from tests.charging.world import DAY, code_of

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def officer(sign_in):
    return await sign_in(make.OFFICER)


async def uses(tx, world, *, count=3, price_fen=400):
    """Order and charge an on-demand service several times within minutes; return the last."""
    service_id = await make.service(
        tx, world.now, world.sp_id, kind="on_demand", price_fen=price_fen
    )
    code = await code_of(tx, service_id)
    for n in range(count):
        at = world.now - (count - n) * 5 * MINUTE
        await make.subscription(tx, at, world.msisdn, service_id)
        found = await world.findings(
            service_code=code,
            price_fen=price_fen,
            charged_at=at + MINUTE,
            delivery=Delivery.DELIVERED,
        )
        assert found == (set(), price_fen)


async def open_ones(http, officer):
    return (await http.get("/charge-suspicions", headers=officer)).json()["items"]


async def test_split_charges_wait_for_a_person_across_batches(http, officer, tx, world):
    await uses(tx, world, count=2)
    assert await open_ones(http, officer) == []
    await uses(tx, world, count=3)
    ones = await open_ones(http, officer)
    assert {one["kind"] for one in ones} == {"split_charges"}
    assert ones[0]["detail"]["sum_fen"] > 1000
    assert "****" in ones[0]["number"]
    assert await tx.fetchval("SELECT count(*) FROM charge_finding") == 0


@pytest.mark.parametrize(("upheld", "refunds"), [(True, 2), (False, 0)])
async def test_what_a_person_decides_follows_once(
    http, officer, tx, pool, now, world, upheld, refunds
):
    await uses(tx, world)
    (one,) = await open_ones(http, officer)
    path = f"/charge-suspicions/{one['id']}/decision"
    body = {"upheld": upheld, "reason": "three uses in ten minutes"}
    answer = await http.post(path, json=body, headers=officer)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == ("upheld" if upheld else "dismissed")
    again = await http.post(path, json=body | {"upheld": not upheld}, headers=officer)
    assert (again.status_code, again.json()["code"]) == (409, "suspicion_decided")
    assert await open_ones(http, officer) == []
    assert await tx.fetchval("SELECT count(*) FROM charge_finding") == int(upheld)
    async with transaction(pool) as work:
        await compensation.refund_findings(work, now=now)
    assert await tx.fetchval("SELECT count(*) FROM refund") == refunds


async def test_an_sp_or_an_agent_decides_nothing(http, sign_in, world):
    for actor in (make.AGENT, make.sp_actor(world.sp_id)):
        headers = await sign_in(actor)
        assert (await http.get("/charge-suspicions", headers=headers)).status_code == 403


async def test_charges_nobody_asked_about_are_counted_and_nothing_else(http, officer, tx, world):
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    await world.land(world.record(), world.record(service_code=world.game, price_fen=200))
    (seen,) = (await http.get("/charge-observations?month=2026-03", headers=officer)).json()
    assert (seen["kind"], seen["charges"], seen["fen"]) == ("no_decision", 2, 1000)
    assert len(seen["examples"]) == 1
    assert await tx.fetchval("SELECT count(*) FROM charge_suspicion") == 0


async def test_the_fee_code_of_another_service_is_found_by_its_price(tx, world):
    other_id = await make.service(tx, world.now, world.sp_id, price_fen=500)
    await make.subscription(tx, world.now - DAY, world.msisdn, other_id)
    assert await world.findings(price_fen=500) == ({"other_service"}, 0)
    detail = await tx.fetchval("SELECT detail FROM charge_finding")
    assert detail["service_code"] == await code_of(tx, other_id)
    assert await world.findings(price_fen=800) == ({"no_consent"}, 0)  # its own price
    assert await world.findings(price_fen=501) == ({"no_consent"}, 0)


async def test_a_use_that_was_never_ordered_is_an_mt_without_mo(world):
    game = {"service_code": world.game, "price_fen": 200}
    assert await world.findings(**game) == ({"mt_without_mo"}, 0)
