"""The catalogue over HTTP: who may, what it looks like, how it refuses."""

from uuid import uuid4

import pytest

from spms.partners import actions as partners
from spms.partners.model import Measure
from tests import make

HOTLINES = ("4008123456", "02287654321")
SERVICE = {
    "code": "880100", "name": "天气早知道", "kind": "monthly", "category": "information",
    "access_number": "10690001", "keyword": "tq", "price_fen": 800, "hotline": HOTLINES[0],
}  # fmt: skip


async def an_sp(http, sign_in, tx, now):
    sp_id = await make.sp(tx, now, hotlines=HOTLINES)
    officer = await sign_in(make.OFFICER)
    answer = await http.post(
        "/access-numbers", json={"sp_id": str(sp_id), "number": "10690001"}, headers=officer
    )
    assert answer.status_code == 201
    return await sign_in(make.sp_actor(sp_id)), officer


async def test_from_registration_to_sale(http, sign_in, tx, now):
    headers, officer = await an_sp(http, sign_in, tx, now)
    made = await http.post("/services", json=SERVICE, headers=headers)
    assert (made.status_code, made.json()["service"]["keyword"]) == (201, "TQ")
    service_id = made.json()["service"]["id"]
    assert (await http.get("/services", headers=headers)).json()["items"] == []
    waiting = (await http.get("/notices", headers=officer)).json()["items"]
    assert [notice["service_id"] for notice in waiting] == [service_id]
    path = f"/notices/{waiting[0]['id']}/decision"
    decided = await http.post(path, json={"approve": True}, headers=officer)
    assert (decided.status_code, decided.json()["state"]) == (200, "approved")
    again = await http.post(path, json={"approve": True}, headers=officer)
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")
    on_sale = (await http.get("/services", headers=headers)).json()["items"]
    assert [(offer["service_id"], offer["price_fen"]) for offer in on_sale] == [(service_id, 800)]
    priced = await http.post(
        f"/services/{service_id}/tariffs", json={"price_fen": 900,
        "effective_from": "2026-04-01T00:00:00+08:00"}, headers=headers,
    )  # fmt: skip
    assert priced.status_code == 201
    versions = (await http.get(f"/services/{service_id}/tariffs", headers=headers)).json()
    assert [tariff["version"] for tariff in versions["items"]] == [2, 1]


async def test_anyone_signed_in_sees_what_is_on_sale_page_by_page(http, sign_in, tx, now):
    sp_id = await make.sp(tx, now)
    made = {str(await make.service(tx, now, sp_id)) for _ in range(5)}
    headers, seen, after = await sign_in(make.subscriber_actor("8613800000001")), [], ""
    while True:
        page = (await http.get(f"/services?limit=2{after}", headers=headers)).json()
        seen += [offer["service_id"] for offer in page["items"]]
        if page.get("next") is None:
            break
        after = f"&after={page['next']}"
    assert len(seen) == 5
    assert set(seen) == made
    assert (await http.get("/services")).status_code == 401


async def test_what_a_restriction_keeps_from_being_sold_is_not_on_the_list(http, sign_in, tx, now):
    sp_id = await make.sp(tx, now)
    kept, shielded = [await make.service(tx, now, sp_id) for _ in range(2)]
    headers = await sign_in(make.subscriber_actor("8613800000001"))
    cause = {"cause_kind": "test", "reason": "a hotline that is dead", "actor": make.OFFICER}

    async def listed():
        items = (await http.get("/services", headers=headers)).json()["items"]
        return {item["service_id"] for item in items}

    assert await listed() == {str(kept), str(shielded)}
    await partners.restrict(
        tx,
        sp_id=sp_id,
        service_id=shielded,
        measure=Measure.SHIELDED,
        cause_id="1",
        now=now,
        **cause,
    )
    assert await listed() == {str(kept)}
    await partners.restrict(
        tx, sp_id=sp_id, service_id=None, measure=Measure.NO_NEW_SUBSCRIPTIONS, cause_id="2",
        now=now, **cause,
    )  # fmt: skip
    assert await listed() == set()


async def test_an_sp_never_sees_anothers_service_and_the_answer_is_that_of_a_missing_one(
    http, sign_in, tx, now
):
    own, other = await make.sp(tx, now), await make.sp(tx, now)
    theirs = await make.service(tx, now, other, status="draft")
    headers = await sign_in(make.sp_actor(own))
    for path in ("", "/tariffs"):
        hidden = await http.get(f"/services/{theirs}{path}", headers=headers)
        missing = await http.get(f"/services/{uuid4()}{path}", headers=headers)
        assert (hidden.status_code, hidden.content) == (404, missing.content)
    for path, body in [
        ("tariffs", {"price_fen": 1}), ("offline", {"reason": "no"}), ("withdrawal", {"reason": "no"}),
    ]:  # fmt: skip
        hidden = await http.post(f"/services/{theirs}/{path}", json=body, headers=headers)
        missing = await http.post(f"/services/{uuid4()}/{path}", json=body, headers=headers)
        assert (hidden.status_code, hidden.content) == (404, missing.content)
    assert (await http.get("/my/services", headers=headers)).json()["items"] == []


@pytest.mark.parametrize("actor", [make.AGENT, make.ADMIN, make.GATEWAY, make.sp_actor(uuid4())])
async def test_only_compliance_assigns_and_approves(http, sign_in, actor):
    headers = await sign_in(actor)
    for path, body in [
        ("/access-numbers", {"sp_id": str(uuid4()), "number": "10690001"}),
        (f"/notices/{uuid4()}/decision", {"approve": True}),
        (f"/services/{uuid4()}/online", {"reason": "no"}),
    ]:
        assert (await http.post(path, json=body, headers=headers)).status_code == 403
        assert (await http.post(path, json=body)).status_code == 401


@pytest.mark.parametrize("actor", [make.OFFICER, make.AGENT, make.GATEWAY])
async def test_only_sps_register(http, sign_in, actor):
    answer = await http.post("/services", json=SERVICE, headers=await sign_in(actor))
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"code": "88010a"},
        {"code": "８８０１００"},
        {"name": "天气\n回复是免费"},
        {"name": " 天气"},
        {"price_fen": 0},
        {"price_fen": 1_000_001},
        {"price_fen": 8.5},
        {"access_number": "95588"},
        {"keyword": "两 个"},
        {"hotline": "13900000001"},
        {"kind": "weekly"},
        {"sp_id": str(uuid4())},
    ],
)
async def test_a_malformed_service_is_refused_whole(http, sign_in, tx, now, change):
    headers, _ = await an_sp(http, sign_in, tx, now)
    answer = await http.post("/services", json=SERVICE | change, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert await tx.fetchval("SELECT count(*) FROM service") == 0


async def test_refusals_have_stable_codes(http, sign_in, tx, now):
    headers, officer = await an_sp(http, sign_in, tx, now)
    made = (await http.post("/services", json=SERVICE, headers=headers)).json()
    service_id = made["service"]["id"]
    tariffs = f"/services/{service_id}/tariffs"
    number = {"sp_id": made["service"]["sp_id"], "number": "10690001"}
    for path, body, who, expected in [
        ("/services", SERVICE, headers, (409, "service_taken")),
        ("/services", SERVICE | {"keyword": "0000"}, headers, (422, "keyword_reserved")),
        (tariffs, {"price_fen": 9, "effective_from": now.isoformat()}, headers,
         (409, "tariff_clash")),
        (tariffs, {"price_fen": 9, "effective_from": "2026-01-01T00:00:00Z"}, headers,
         (422, "backdated")),
        (f"/services/{service_id}/offline", {"reason": "no"}, officer, (409, "not_allowed")),
        ("/access-numbers", number, officer, (409, "access_number_taken")),
        ("/access-numbers", number | {"sp_id": str(uuid4())}, officer, (404, "not_found")),
    ]:  # fmt: skip
        answer = await http.post(path, json=body, headers=who)
        assert (answer.status_code, answer.json()["code"]) == expected
