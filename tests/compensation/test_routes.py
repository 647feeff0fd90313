"""HTTP: who may dispute, who sees which refunds, and what each is shown."""

from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest

from tests import make
from tests.compensation.conftest import PRICE

PROBLEM = "application/problem+json"


@pytest.fixture
async def headers(sign_in, world):
    """Sign in everyone once."""
    return {
        "subscriber": await sign_in(make.subscriber_actor(world.msisdn)),
        "agent": await sign_in(make.AGENT),
        "officer": await sign_in(make.OFFICER),
        "admin": await sign_in(make.ADMIN),
        "gateway": await sign_in(make.GATEWAY),
        "sp": await sign_in(make.sp_actor(world.sp_id)),
        "nobody": {},
    }


ROUTES = {
    ("POST", "/claims"): {"subscriber", "agent"},
    ("GET", "/my/claims"): {"subscriber"},
    ("GET", "/my/refunds"): {"subscriber"},
    ("POST", "/refunds/search"): {"agent"},
    ("GET", "/claims"): {"sp", "officer"},
    ("GET", "/sps/{sp_id}/receivable"): {"sp", "officer"},
}


async def test_each_route_is_open_to_those_it_is_for(http, world, headers):
    charge_id = await world.wrong()
    for (method, path), who in product(ROUTES, headers):
        body = None
        if method == "POST":
            body = {"reason": "on the line"}
            if path == "/claims":
                body["charge_id"] = str(charge_id)
            if who != "subscriber":
                body["msisdn"] = world.msisdn
        answer = await http.request(
            method, path.format(sp_id=world.sp_id), headers=headers[who], json=body
        )
        expected = 401 if who == "nobody" else 200 if who in ROUTES[method, path] else 403
        assert answer.status_code == expected, (who, path, answer.text)
        if expected != 200:
            assert answer.headers["content-type"] == PROBLEM


async def test_a_subscriber_disputes_and_sees_the_refund_on_the_bill(http, world, headers):
    charge_id = await world.wrong()
    body = {"charge_id": str(charge_id), "reason": "我没有订购"}
    answer = await http.post("/claims", json=body, headers=headers["subscriber"])
    assert answer.status_code == 200, answer.text
    claim = answer.json()
    assert (claim["state"], claim["source"], claim["refunded_fen"]) == (
        "refunded", "subscriber", 2 * PRICE,
    )  # fmt: skip
    assert world.msisdn not in answer.text
    again = await http.post(
        "/claims", json=body | {"reason": "again"}, headers=headers["subscriber"]
    )
    assert again.json() == claim
    (refund,) = (await http.get("/my/refunds", headers=headers["subscriber"])).json()["items"]
    assert (refund["charge_id"], refund["claim_id"]) == (str(charge_id), claim["id"])
    assert (refund["principal_fen"], refund["compensation_fen"]) == (PRICE, PRICE)
    assert (refund["charged_fen"], refund["due_fen"]) == (PRICE, 0)
    (mine,) = (await http.get("/my/claims", headers=headers["subscriber"])).json()["items"]
    assert mine == claim
    owed = await http.get(f"/sps/{world.sp_id}/receivable", headers=headers["sp"])
    assert owed.json()["sp_id"] == str(world.sp_id)
    assert owed.json()["receivable_fen"] == 2 * PRICE == owed.json()["by_age"]["to_30_days_fen"]


async def test_a_charge_that_stands_answers_with_its_proof(http, world, headers):
    consent_id = await world.agreed()
    charge_id = await world.right(consent_id)
    body = {"charge_id": str(charge_id), "reason": "what is this?", "msisdn": world.msisdn}
    answer = await http.post("/claims", json=body, headers=headers["agent"])
    assert answer.status_code == 200
    claim = answer.json()
    assert (claim["state"], claim["due_fen"], claim["refunded_fen"]) == ("stands", PRICE, 0)
    assert claim["proof"]["subscription_id"] == str(consent_id)
    assert claim["proof"]["reply_text"] == "Y"
    for _ in range(4):
        await http.post("/claims", json=body, headers=headers["agent"])
    sixth = await http.post("/claims", json=body, headers=headers["agent"])
    assert (sixth.status_code, sixth.json()["code"]) == (429, "disputed_often")


async def test_an_idempotency_key_gives_the_first_answer_and_refuses_another_body(
    http, tx, world, headers
):
    charge_id = await world.right(await world.agreed())
    body = {"charge_id": str(charge_id), "reason": "what is this?"}
    keyed = headers["subscriber"] | {"Idempotency-Key": "k1"}
    first = await http.post("/claims", json=body, headers=keyed)
    again = await http.post("/claims", json=body, headers=keyed)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    other = await http.post("/claims", json=body | {"reason": "else"}, headers=keyed)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await tx.fetchval("SELECT count(*) FROM claim") == 1


REFUSED = [
    ("subscriber", {"charge_id": str(uuid4())}, 404, "not_found"),
    ("subscriber", {"charge_id": "no"}, 400, "invalid"),
    ("subscriber", {"reason": ""}, 400, "invalid"),
    ("subscriber", {"reason": " \t"}, 400, "invalid"),
    ("subscriber", {"reason": "x" * 501}, 400, "invalid"),
    ("subscriber", {"extra": 1}, 400, "invalid"),
    ("subscriber", {"msisdn": "8613800138000"}, 422, "number_missing"),
    ("agent", {}, 422, "number_missing"),
    ("agent", {"msisdn": "13800138000"}, 400, "invalid"),
    ("agent", {"msisdn": "8613800138000"}, 404, "not_found"),
]


async def test_a_dispute_that_cannot_be_is_refused_with_its_reason(http, tx, world, headers):
    charge_id = await world.wrong()
    for who, change, status, code in REFUSED:
        body = {"charge_id": str(charge_id), "reason": "not mine"} | change
        answer = await http.post("/claims", json=body, headers=headers[who])
        assert (answer.status_code, answer.json()["code"]) == (status, code), change
        assert "138001380" not in answer.text
    assert await tx.fetchval("SELECT count(*) FROM claim") == 0


async def test_a_charge_behind_the_time_bar_is_refused(http, now, clock, world, headers):
    charge_id = await world.wrong()
    clock.at = now.replace(month=8)
    body = {"charge_id": str(charge_id), "reason": "not mine"}
    answer = await http.post("/claims", json=body, headers=headers["subscriber"])
    assert (answer.status_code, answer.json()["code"]) == (422, "claim_too_old")


async def test_lists_go_on_page_by_page_newest_first(http, clock, world, headers):
    for _ in range(5):
        charge_id = await world.wrong()
        clock.move(timedelta(seconds=1))
        body = {"charge_id": str(charge_id), "reason": "not mine"}
        await http.post("/claims", json=body, headers=headers["subscriber"])
    for path, who, at in (
        ("/my/claims", "subscriber", "opened_at"),
        ("/my/refunds", "subscriber", "refunded_at"),
        ("/claims", "sp", "opened_at"),
        ("/claims", "officer", "opened_at"),
    ):
        items, cursor = [], None
        for _ in range(3):
            params = {"limit": "2"} | ({"after": cursor} if cursor else {})
            page = (await http.get(path, headers=headers[who], params=params)).json()
            items += page["items"]
            cursor = page["next"]
        assert cursor is None
        assert len(items) == 5
        assert [one[at] for one in items] == sorted((one[at] for one in items), reverse=True)
        strange = await http.get(path, headers=headers[who], params={"after": "AAAA"})
        assert (strange.status_code, strange.json()["code"]) == (400, "cursor_invalid")


async def test_an_agents_look_at_refunds_is_recorded_without_the_number(
    http, tx, world, headers, audit
):
    await world.wrong()
    await audit()
    body = {"msisdn": world.msisdn, "reason": "ticket 17"}
    answer = await http.post("/refunds/search", json=body, headers=headers["agent"])
    assert answer.status_code == 200
    assert len(answer.json()["items"]) == 1
    assert world.msisdn not in answer.text
    unknown = await http.post(
        "/refunds/search", json=body | {"msisdn": "8613800138000"}, headers=headers["agent"]
    )
    assert unknown.json() == {"items": [], "next": None}
    looks = await tx.fetch("SELECT * FROM audit_log WHERE act = 'refunds.looked_up'")
    assert [(row["actor"], row["reason"]) for row in looks] == [("staff:agent", "ticket 17")] * 2
    everything = str([tuple(row) for row in await tx.fetch("SELECT * FROM audit_log")])
    assert world.msisdn not in everything


async def test_a_cursor_of_one_numbers_refunds_does_not_lead_into_anothers(
    http, clock, world, headers, audit
):
    other = await make.number(world.tx, world.now)
    for msisdn in (world.msisdn, world.msisdn, other):
        await world.wrong(msisdn)
        await audit()
        clock.move(timedelta(seconds=1))
    body = {"msisdn": world.msisdn, "reason": "ticket 17"}
    page = await http.post(
        "/refunds/search", json=body, params={"limit": "1"}, headers=headers["agent"]
    )
    wrong = await http.post(
        "/refunds/search", json=body | {"msisdn": other}, headers=headers["agent"],
        params={"after": page.json()["next"]},
    )  # fmt: skip
    assert wrong.status_code == 400


async def test_an_sp_sees_its_own_claims_under_a_pseudonym_and_without_the_claimants_words(
    http, tx, now, world, headers
):
    other = await world.another_sp()
    for where in (world, other):
        charge_id = await where.wrong()
        body = {"charge_id": str(charge_id), "reason": "my own words"}
        await http.post("/claims", json=body, headers=headers["subscriber"])
    own = await http.get("/claims", headers=headers["sp"])
    (entry,) = own.json()["items"]
    assert entry["sp_id"] == str(world.sp_id)
    assert entry["number"].startswith("n_")
    assert entry["reason"] is None
    assert entry["findings"] == ["no_consent"]
    assert entry["refunded_fen"] == 2 * PRICE
    assert world.msisdn not in own.text
    every = (await http.get("/claims", headers=headers["officer"])).json()["items"]
    assert len(every) == 2
    assert {one["reason"] for one in every} == {"my own words"}
    assert {one["number"] for one in every} == {f"{world.msisdn[2:5]}****{world.msisdn[-4:]}"}
    foreign = await http.get(f"/sps/{other.sp_id}/receivable", headers=headers["sp"])
    missing = await http.get(f"/sps/{uuid4()}/receivable", headers=headers["sp"])
    unknown = await http.get(f"/sps/{uuid4()}/receivable", headers=headers["officer"])
    assert foreign.status_code == missing.status_code == unknown.status_code == 404
    assert foreign.content == missing.content


async def test_a_new_owner_sees_nothing_of_the_owner_before(http, sign_in, audit, world):
    moved = await world.another_owner()
    await world.wrong(moved)
    await audit()
    headers = await sign_in(make.subscriber_actor(moved, epoch=2))
    for path in ("/my/claims", "/my/refunds"):
        assert (await http.get(path, headers=headers)).json()["items"] == []
    body = {"msisdn": moved, "reason": "ticket 17"}
    found = await http.post("/refunds/search", json=body, headers=await sign_in(make.AGENT))
    assert found.json()["items"] == []
