"""A charge in one step: decided and landed together, once, or nothing of it."""

import asyncio
from datetime import timedelta

import pytest

from spms.charging.model import LineResult
from tests import make
from tests.charging.world import DAY

HOUR = timedelta(hours=1)
LEFT = """
    SELECT (SELECT count(*) FROM charge_record), (SELECT count(*) FROM reservation),
           (SELECT COALESCE(sum(total_fen), 0)::int FROM month_spend)
"""
CAP = """
    INSERT INTO number_cap (msisdn, id, epoch, scope, limit_fen, starts_at, set_by)
    VALUES ($1, $2, 1, 'total', $3, $4, 'subscriber:sms')
"""
TRANSFERRED = "UPDATE number SET epoch = 2, epoch_since = $2 WHERE msisdn = $1"
EVENT = """
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                              state_after, epoch_after)
    VALUES ($1, gen_random_uuid(), 'transferred', 'requested', $2, $2, 'test', 'active', 2)
"""


@pytest.fixture
async def sp(sign_in, world):
    return await sign_in(make.sp_actor(world.sp_id))


def body(world, reference="order-1", **values):
    return {
        "reference": reference, "msisdn": world.msisdn, "service_code": world.monthly,
        "price_fen": 800,
    } | values  # fmt: skip


async def test_a_charge_is_decided_and_landed_together(http, tx, world, sp):
    relation = await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    told = (await http.post("/charges", json=body(world), headers=sp)).json()
    assert told["decision"]["allowed"] is True
    charge = told["charge"]
    assert (charge["result"], charge["record_id"], charge["due_fen"]) == ("landed", "order-1", 800)
    assert "findings" not in charge
    row = await tx.fetchrow(
        """SELECT c.authorisation_id::text, c.consent_id, c.charged_at, r.state
             FROM charge_record c JOIN reservation r ON r.id = c.authorisation_id
            WHERE c.id = $1""",
        charge["charge_id"],
    )
    assert tuple(row) == (told["decision"]["id"], relation, world.now, "captured")


async def test_the_bill_shows_it_with_the_decision_it_rests_on(http, tx, world, sp, sign_in):
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    told = (await http.post("/charges", json=body(world), headers=sp)).json()
    person = await sign_in(make.subscriber_actor(world.msisdn))
    (line,) = (await http.get("/my/bill?month=2026-03", headers=person)).json()["items"]
    assert (line["id"], line["price_fen"]) == (told["charge"]["charge_id"], 800)
    assert line["authorisation_id"] == told["decision"]["id"]
    proof = (await http.get(f"/my/bill/lines/{line['id']}", headers=person)).json()
    (decision,) = proof["decisions"]
    assert (decision["id"], decision["cited"]) == (told["decision"]["id"], True)


async def test_a_denial_says_why_and_charges_nothing(http, tx, world, sp):
    told = (await http.post("/charges", json=body(world), headers=sp)).json()
    assert told["decision"]["allowed"] is False
    assert told["decision"]["reasons"] == ["no_consent"]
    assert "charge" not in told
    assert tuple(await tx.fetchrow(LEFT)) == (0, 0, 0)
    assert await tx.fetchval("SELECT count(*) FROM authorisation WHERE NOT allowed") == 1


async def test_the_same_reference_at_the_same_time_is_one_charge(http, tx, world, sp):
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    answers = await asyncio.gather(
        *[http.post("/charges", json=body(world), headers=sp) for _ in range(12)]
    )
    told = [answer.json() for answer in answers]
    assert {answer.status_code for answer in answers} == {200}
    assert len({one["charge"]["charge_id"] for one in told}) == 1
    assert len({one["decision"]["id"] for one in told}) == 1
    results = sorted(one["charge"]["result"] for one in told)
    assert results == [LineResult.LANDED] + [LineResult.SEEN] * 11
    assert tuple(await tx.fetchrow(LEFT)) == (1, 1, 800)


async def test_a_month_is_charged_once_however_many_ask_for_it(http, tx, world, sp):
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    answers = await asyncio.gather(
        *[http.post("/charges", json=body(world, f"order-{n}"), headers=sp) for n in range(8)]
    )
    assert sorted(answer.json()["decision"]["allowed"] for answer in answers) == [False] * 7 + [
        True
    ]
    assert tuple(await tx.fetchrow(LEFT)) == (1, 1, 800)


async def test_a_reference_used_otherwise_is_refused_and_nothing_stays(http, tx, world, sp):
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    other = await make.number(tx, world.now)
    await world.land(world.record(record_id="taken", msisdn=other))
    before = tuple(await tx.fetchrow(LEFT))
    answer = await http.post("/charges", json=body(world, "taken"), headers=sp)
    assert (answer.status_code, answer.json()["code"]) == (409, "record_id_taken")
    assert tuple(await tx.fetchrow(LEFT)) == before
    assert await tx.fetchval("SELECT count(*) FROM charge_quarantine") == 0

    assert (await http.post("/charges", json=body(world), headers=sp)).status_code == 200
    answer = await http.post("/charges", json=body(world, price_fen=700), headers=sp)
    assert (answer.status_code, answer.json()["code"]) == (422, "reference_reused")


@pytest.mark.parametrize("limit_fen", [None, 900])
async def test_what_the_audit_would_find_wrong_is_not_charged(http, tx, world, sp, limit_fen):
    """Nobody decided about what came in a file, so a decision does not count it; the audit does."""
    relation = await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    await make.subscription(tx, world.now - HOUR / 2, world.msisdn, world.game_id)
    if limit_fen is not None:
        await tx.execute(CAP, world.msisdn, relation, limit_fen, world.now - DAY)
    await world.land(world.record())
    before = tuple(await tx.fetchrow(LEFT))
    asked = (
        body(world) if limit_fen is None else body(world, service_code=world.game, price_fen=200)
    )
    answer = await http.post("/charges", json=asked, headers=sp)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_due")
    assert ("duplicate" if limit_fen is None else "over_cap") in answer.json()["detail"]
    assert tuple(await tx.fetchrow(LEFT)) == before
    assert await tx.fetchval("SELECT count(*) FROM authorisation") == 0


async def test_a_repeat_is_the_same_charge_whatever_became_of_the_number_and_the_clock(
    http, tx, owner, clock, world, sp
):
    await make.subscription(tx, world.now - 9 * DAY, world.msisdn, world.monthly_id)
    first = (await http.post("/charges", json=body(world), headers=sp)).json()["charge"]
    await owner.execute(TRANSFERRED, world.msisdn, world.now)
    await owner.execute(EVENT, world.msisdn, world.now)
    for step in (HOUR, -2 * HOUR, 40 * DAY):  # the sandbox's clock is set back as well
        clock.move(step)
        answer = await http.post("/charges", json=body(world), headers=sp)
        again = answer.json()["charge"]
        assert (again["charge_id"], again["result"]) == (first["charge_id"], "seen")
    assert tuple(await tx.fetchrow(LEFT)) == (1, 1, 800)
    other = (await http.post("/charges", json=body(world, "order-2"), headers=sp)).json()
    assert other["decision"]["reasons"] == ["no_consent"]


async def test_an_idempotency_key_changes_nothing(http, tx, world, sp):
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    keyed = sp | {"Idempotency-Key": "k-1"}
    first, again, other = [
        (await http.post("/charges", json=body(world, reference), headers=keyed)).json()
        for reference in ("order-1", "order-1", "order-2")
    ]
    assert again["charge"]["charge_id"] == first["charge"]["charge_id"]
    assert other["decision"]["reasons"] == ["month_used"]


async def test_after_the_person_left_the_old_charge_stands_and_no_new_one_comes(
    http, tx, world, sp
):
    relation = await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    first = (await http.post("/charges", json=body(world), headers=sp)).json()
    await tx.execute(
        "UPDATE subscription SET status = 'ended', ended_at = $2, end_reason = 'unsubscribed'"
        " WHERE id = $1", relation, world.now,
    )  # fmt: skip
    again = (await http.post("/charges", json=body(world), headers=sp)).json()
    assert again["charge"]["charge_id"] == first["charge"]["charge_id"]
    assert again["charge"]["result"] == "seen"
    other = (await http.post("/charges", json=body(world, "order-2"), headers=sp)).json()
    assert other["decision"]["allowed"] is False


async def test_what_is_held_already_is_charged_and_what_was_given_back_is_not(http, tx, world, sp):
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    held = (await http.post("/reservations", json=body(world), headers=sp)).json()["reservation"]
    told = (await http.post("/charges", json=body(world), headers=sp)).json()
    assert told["decision"]["id"] == held["id"]
    assert told["charge"]["result"] == "landed"
    await make.subscription(tx, world.now - 2 * HOUR, world.msisdn, world.game_id)
    game = body(world, "order-2", service_code=world.game, price_fen=200)
    held = (await http.post("/reservations", json=game, headers=sp)).json()["reservation"]
    await http.post(f"/reservations/{held['id']}/release", headers=sp)
    answer = await http.post("/charges", json=game, headers=sp)
    assert (answer.status_code, answer.json()["code"]) == (409, "reservation_closed")
    assert await tx.fetchval("SELECT count(*) FROM charge_record") == 1


async def test_only_an_sp_charges(http, world, sign_in):
    for actor in (make.AGENT, make.OFFICER, make.subscriber_actor(world.msisdn)):
        headers = await sign_in(actor)
        assert (await http.post("/charges", json=body(world), headers=headers)).status_code == 403
