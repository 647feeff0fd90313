"""HTTP: who may, what is seen, and that no call makes a confirmation."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx

from spms.core.access import Actor
from tests import make
from tests.subscriptions.world import Sold, World

SignIn = Callable[[Actor], Awaitable[dict[str, str]]]

REASON = {"reason": "call 4711"}
FOR_HER = REASON | {"ticket": "GD-17"}


async def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_an_sp_asks_under_a_pseudonym_and_sees_neither_number_nor_code(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    headers = await sign_in(sold.sp)
    body = {"service_id": str(sold.id), "msisdn": msisdn, "reference": "web order 17"}
    answer = await http.post("/subscriptions", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert (shown["status"], shown["price_fen"], shown["channel"]) == ("awaiting", 800, "sp")
    code = (await world.row(shown["id"]))["prompt_code"]
    listed = await http.get("/subscriptions", headers=headers)
    proof = await http.get(f"/subscriptions/{shown['id']}/evidence", headers=headers)
    assert listed.json()["items"] == [shown]
    assert proof.json()["prompt"]["text"] is None
    for text in (answer.text, listed.text, proof.text):
        assert msisdn not in text
        assert msisdn[2:] not in text
        assert f"Y {code}" not in text
    assert await world.say(msisdn, "Y") == "confirmed"
    proof = (await http.get(f"/subscriptions/{shown['id']}/evidence", headers=headers)).json()
    assert f"Y {code}" in proof["prompt"]["text"]
    assert proof["consent"]["reply_text"] == "Y"


async def test_the_same_request_again_with_its_key_gets_the_same_answer(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    headers = await sign_in(sold.sp) | {"Idempotency-Key": "k1"}
    body = {"service_id": str(sold.id), "msisdn": msisdn}
    answers = [await http.post("/subscriptions", json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert await world.kinds(msisdn) == ["prompt"]
    again = await http.post("/subscriptions", json=body, headers=await sign_in(sold.sp))
    await refused(again, 409, "already_pending")


async def test_an_sp_learns_nothing_about_another_sps_service_or_relation(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, other, msisdn = await world.sold(), await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    headers = await sign_in(other.sp)
    for service_id in (sold.id, uuid4()):
        body = {"service_id": str(service_id), "msisdn": msisdn}
        await refused(
            await http.post("/subscriptions", json=body, headers=headers), 404, "not_found"
        )
    foreign = await http.get(f"/subscriptions/{relation}/evidence", headers=headers)
    missing = await http.get(f"/subscriptions/{uuid4()}/evidence", headers=headers)
    assert foreign.status_code == missing.status_code == 404
    assert foreign.content == missing.content
    assert (await http.get("/subscriptions", headers=headers)).json() == {"items": [], "next": None}


async def test_a_subscriber_asks_for_herself_and_only_for_herself(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn, other = await world.sold(), await world.number(), await world.number()
    headers = await sign_in(make.subscriber_actor(msisdn))
    body = {"service_id": str(sold.id)}
    answer = await http.post("/subscriptions", json=body | {"msisdn": other}, headers=headers)
    await refused(answer, 422, "number_missing")
    answer = await http.post("/subscriptions", json=body, headers=headers)
    assert (answer.status_code, answer.json()["channel"]) == (201, "web")
    assert answer.json()["status"] == "awaiting"  # being signed in is not a second consent
    assert await world.kinds(msisdn) == ["prompt"]


async def test_an_agent_says_why(world: World, http: httpx.AsyncClient, sign_in: SignIn) -> None:
    sold, msisdn = await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    headers = await sign_in(make.AGENT)
    body = {"service_id": str(sold.id), "msisdn": msisdn}
    for answer in (
        await http.post("/subscriptions", json=body, headers=headers),
        await http.post(f"/subscriptions/{relation}/leave", json={}, headers=headers),
        await http.post("/subscriptions/leave-all", json={"msisdn": msisdn}, headers=headers),
    ):
        await refused(answer, 422, "reason_missing")
    blank = await http.post(
        f"/subscriptions/{relation}/leave", json={"reason": "  "}, headers=headers
    )
    await refused(blank, 400, "invalid")
    for path, said in ((f"{relation}/leave", REASON), ("leave-all", REASON | {"msisdn": msisdn})):
        answer = await http.post(f"/subscriptions/{path}", json=said, headers=headers)
        await refused(answer, 422, "ticket_missing")
    assert (await http.post(
        "/subscriptions/search", json={"msisdn": msisdn}, headers=headers
    )).status_code == 400  # fmt: skip
    assert await world.status(relation) == "active"


async def test_an_agent_looks_up_and_ends_a_relation_and_both_are_recorded(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    headers = await sign_in(make.AGENT)
    found = await http.post(
        "/subscriptions/search", json=REASON | {"msisdn": msisdn}, headers=headers
    )
    (shown,) = found.json()["items"]
    assert (shown["id"], shown["status"]) == (str(relation), "active")
    assert msisdn not in found.text
    assert shown["number"] == f"{msisdn[2:5]}****{msisdn[-4:]}"
    left = await http.post(f"/subscriptions/{relation}/leave", json=FOR_HER, headers=headers)
    assert (left.status_code, left.json()["status"]) == (200, "ended")
    assert left.json()["end_reason"] == "agent"
    await http.get(f"/subscriptions/{relation}/evidence", headers=headers)
    acts = await world.pool.fetch("SELECT act, reason, about_id FROM audit_log ORDER BY id")
    assert [(row["act"], row["reason"]) for row in acts if row["act"].startswith("subscr")] == [
        ("subscription.searched", "call 4711"),
        ("subscription.proxy_lookup", "call 4711"),
        ("subscription.left", "GD-17: call 4711"),
        ("subscription.evidence_seen", "what proves a relation"),
    ]
    assert not any(msisdn[2:] in row["about_id"] for row in acts)


async def test_a_subscriber_sees_and_ends_her_own(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn, other = await world.sold(), await world.number(), await world.number()
    relation, foreign = await world.running(msisdn, sold), await world.running(other, sold)
    headers = await sign_in(make.subscriber_actor(msisdn))
    items = (await http.get("/my/subscriptions", headers=headers)).json()["items"]
    assert [item["id"] for item in items] == [str(relation)]
    assert (await http.post(
        f"/subscriptions/{foreign}/leave", json={}, headers=headers
    )).status_code == 404  # fmt: skip
    assert (await http.get(
        f"/subscriptions/{foreign}/evidence", headers=headers
    )).status_code == 404  # fmt: skip
    assert (await http.get(
        f"/subscriptions/{relation}/evidence", headers=headers
    )).status_code == 200  # fmt: skip
    left = await http.post("/subscriptions/leave-all", json={}, headers=headers)
    assert left.json() == {"left": 1}
    assert (await world.status(relation), await world.status(foreign)) == ("ended", "active")


async def test_an_owner_sees_nothing_of_the_owner_before(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    world.clock.move(timedelta(hours=1))
    await world.happened(msisdn, "transferred", "owner_changed", world.clock.now())
    headers = await sign_in(make.subscriber_actor(msisdn, 2))
    assert (await http.get("/my/subscriptions", headers=headers)).json()["items"] == []
    for answer in (
        await http.get(f"/subscriptions/{relation}/evidence", headers=headers),
        await http.post(f"/subscriptions/{relation}/leave", json={}, headers=headers),
    ):
        assert answer.status_code == 404
    left = await http.post("/subscriptions/leave-all", json={}, headers=headers)
    assert left.json() == {"left": 0}


async def test_lists_come_in_pages_that_belong_to_one_list(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    msisdn, other = await world.number(), await world.number()
    sp_id = (await world.sold()).sp_id
    relations = []
    for _ in range(5):
        sold = await world.sold(sp_id=sp_id)
        relations.append(str(await world.running(msisdn, sold)))
        world.clock.move(timedelta(minutes=1))
    agent, sp = await sign_in(make.AGENT), await sign_in(make.sp_actor(sp_id))
    body = REASON | {"msisdn": msisdn}
    seen: list[str] = []
    after = None
    while True:
        params = {"limit": 2} | ({"after": after} if after else {})
        page = (await http.post(
            "/subscriptions/search", json=body, params=params, headers=agent
        )).json()  # fmt: skip
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == relations[::-1]
    stolen = await http.post(
        "/subscriptions/search", json=body | {"msisdn": other}, params={"after": after},
        headers=agent,
    )  # fmt: skip
    await refused(stolen, 400, "cursor_invalid")
    first = (await http.get("/subscriptions", params={"limit": 3}, headers=sp)).json()
    rest = (await http.get("/subscriptions", params={"after": first["next"]}, headers=sp)).json()
    assert {item["id"] for item in first["items"] + rest["items"]} == set(relations)
    assert len(first["items"]) == 3


async def test_nobody_gets_in_without_the_right_role(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    ask = {"service_id": str(sold.id), "msisdn": msisdn}
    calls: dict[tuple[str, str], tuple[dict[str, str] | None, set[str]]] = {
        ("POST", "/subscriptions"): (ask, {"sp", "agent", "subscriber"}),
        ("GET", "/my/subscriptions"): (None, {"subscriber"}),
        ("POST", "/subscriptions/search"): (REASON | {"msisdn": msisdn}, {"agent", "officer"}),
        ("GET", "/subscriptions"): (None, {"sp"}),
        ("POST", f"/subscriptions/{relation}/leave"): (FOR_HER, {"agent", "subscriber"}),
        ("POST", "/subscriptions/leave-all"): (
            FOR_HER | {"msisdn": msisdn}, {"agent", "subscriber"},
        ),
        ("GET", f"/subscriptions/{relation}/evidence"): (
            None, {"sp", "agent", "officer", "subscriber"},
        ),
    }  # fmt: skip
    actors = {
        "sp": sold.sp, "agent": make.AGENT, "officer": make.OFFICER, "gateway": make.GATEWAY,
        "admin": make.ADMIN, "subscriber": make.subscriber_actor(msisdn),
    }  # fmt: skip
    for name, actor in actors.items():
        headers = await sign_in(actor)
        for (method, path), (body, allowed) in calls.items():
            answer = await http.request(method, path, json=body, headers=headers)
            assert (answer.status_code == 403) is (name not in allowed), (name, method, path)
    for (method, path), (body, _) in calls.items():
        assert (await http.request(method, path, json=body)).status_code == 401


async def test_no_field_of_any_body_makes_a_confirmation(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    actors = (sold.sp, make.AGENT, make.OFFICER, make.GATEWAY, make.subscriber_actor(msisdn))
    forged: dict[str, Any] = {
        "confirmed": True, "status": "active", "consent": {"kind": "confirmation"},
        "consent_id": str(uuid4()), "active_from": "2026-03-01T00:00:00Z", "state": "active",
        "prompt_code": asked.prompt_code, "reply_text": "Y", "channel": "sms", "given_at": None,
    }  # fmt: skip
    other = await world.sold(sp_id=sold.sp_id)
    for actor in actors:
        headers = await sign_in(actor)
        for field, value in forged.items():
            body = {"service_id": str(other.id), "msisdn": msisdn, "reason": "x x", field: value}
            answer = await http.post("/subscriptions", json=body, headers=headers)
            assert answer.status_code in {400, 403}, (actor.kind, field)
        for path in ("confirmation", "confirm", "consent", "activate", "status"):
            for method in ("POST", "PUT", "PATCH"):
                answer = await http.request(
                    method, f"/subscriptions/{asked.id}/{path}", json={}, headers=headers
                )
                assert answer.status_code in {404, 405}
    assert await world.consents(msisdn) == []
    assert await world.status(asked.id) == "awaiting"


async def test_refusals_are_answered_with_their_codes(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    headers = await sign_in(sold.sp)

    async def ask(number: str = msisdn, service: Sold = sold) -> httpx.Response:
        body = {"service_id": str(service.id), "msisdn": number}
        return await http.post("/subscriptions", json=body, headers=headers)

    await refused(await ask("8613999999999"), 422, "number_not_active")
    await refused(await ask("13800138000"), 400, "invalid")
    assert (await ask()).status_code == 201
    await refused(await ask(), 409, "already_pending")
    await world.say(msisdn, "Y")
    await refused(await ask(), 409, "already_subscribed")
    offline = await world.sold(sp_id=sold.sp_id, status="offline")
    await refused(await ask(service=offline), 409, "not_on_sale")
    resting = await world.sold(sp_id=sold.sp_id)
    await ask(service=resting)
    await world.say(msisdn, "N")
    await refused(await ask(service=resting), 422, "resting")
    await ask(service=await world.sold(sp_id=sold.sp_id))
    limited = await ask(service=await world.sold(sp_id=sold.sp_id))
    await refused(limited, 429, "prompt_limit")
    assert int(limited.headers["Retry-After"]) > 0


async def test_the_evidence_is_whole(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    world.clock.move(timedelta(minutes=1))
    first = await world.received(msisdn, sold.keyword, to=sold.access_number)
    await world.handled(first)
    await world.pool.execute("UPDATE message_out SET state = 'sent'")
    world.clock.move(timedelta(minutes=2))
    second = await world.received(msisdn, "Ｙ")
    await world.handled(second)
    world.clock.move(timedelta(minutes=3))
    await world.say(msisdn, "TD")
    headers = await sign_in(make.subscriber_actor(msisdn))
    (item,) = (await http.get("/my/subscriptions", headers=headers)).json()["items"]
    proof = (await http.get(f"/subscriptions/{item['id']}/evidence", headers=headers)).json()
    request, consent, prompt = proof["request"], proof["consent"], proof["prompt"]
    assert proof["subscription"] == item
    assert (request["channel"], request["text"]) == ("sms", sold.keyword)
    assert (request["message_id"], request["called"]) == (str(first.id), sold.access_number)
    assert request["link_message_id"] == first.link_message_id
    assert (consent["kind"], consent["reply_text"]) == ("confirmation", "Ｙ")
    assert (consent["message_id"], consent["called"]) == (str(second.id), "10010")
    assert consent["link_message_id"] == second.link_message_id
    assert consent["prompt_text"] == prompt["text"] == (await world.inbox(msisdn))[0]
    assert (prompt["sender"], prompt["state"]) == ("10010", "sent")
    assert proof["terms"]["price_fen"] == consent["price_fen"] == 800
    assert (proof["terms"]["approved_by"], request["requested_by"]) == ("staff", "subscriber")
    assert proof["terms"]["tariff_version"] == 1
    assert [line["action"] for line in proof["history"]] == ["request", "confirm", "leave"]


async def test_the_evidence_of_what_was_never_confirmed_shows_that_there_is_no_consent(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    headers = await sign_in(make.AGENT)
    proof = (await http.get(f"/subscriptions/{asked.id}/evidence", headers=headers)).json()
    assert proof["consent"] is None
    assert proof["prompt"]["text"] == asked.prompt_text


async def test_what_an_agent_noted_is_not_for_the_sp_and_names_stay_in_the_house(
    world: World, http: httpx.AsyncClient, sign_in: SignIn
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    relation = await world.running(msisdn, sold)
    agent = await sign_in(make.AGENT)
    body = {"reason": "she cried on the phone", "ticket": "GD-17"}
    await http.post(f"/subscriptions/{relation}/leave", json=body, headers=agent)
    sp, subscriber = await sign_in(sold.sp), await sign_in(make.subscriber_actor(msisdn))
    seen = {}
    for kind, headers in (("staff", agent), ("sp", sp), ("subscriber", subscriber)):
        proof = (await http.get(f"/subscriptions/{relation}/evidence", headers=headers)).json()
        seen[kind] = (proof["history"][-1]["actor"], proof["history"][-1]["reason"])
    assert seen == {
        "staff": ("staff:agent", "GD-17: she cried on the phone"),
        "sp": ("staff", None),
        "subscriber": ("staff", "GD-17: she cried on the phone"),
    }
