"""Webhooks and the feed over HTTP: who may, what is shown, how it is refused."""

from datetime import timedelta
from uuid import uuid4

import pytest

from spms.core.settings import Settings
from tests import make
from tests.partners.webhook_world import WebhookWorld, receiving

URL = "https://sp.example.com/spms"


@pytest.fixture
def world(pool, clock):
    return WebhookWorld(pool, clock)


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=str(tmp_path), sandbox=True, webhook_loopback=True)


async def test_an_sp_registers_rotates_pauses_enables_and_closes(http, sign_in, world, pool):
    sp_id = await world.sp()
    headers = await sign_in(make.sp_actor(sp_id))
    made = await http.post("/webhook-endpoints", json={"url": URL}, headers=headers)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    secret, endpoint = made.json()["secret"], made.json()["endpoint"]
    assert secret.startswith("whsec_")
    assert (endpoint["state"], endpoint["types"], endpoint["waiting"]) == ("enabled", [], 0)
    path = f"/webhook-endpoints/{endpoint['id']}"
    rotated = await http.post(f"{path}/secrets", headers=headers)
    assert rotated.status_code == 201
    assert rotated.headers["cache-control"] == "no-store"
    assert rotated.json()["secret"] != secret
    for step, status, state in [
        ("pause", 200, "paused"), ("pause", 409, None), ("enabling", 200, "enabled"),
        ("enabling", 409, None), ("closure", 200, "closed"), ("enabling", 409, None),
    ]:  # fmt: skip
        answer = await http.post(f"{path}/{step}", json={"reason": "works"}, headers=headers)
        assert (answer.status_code, answer.json().get("state")) == (status, state)
    again = await http.post(f"{path}/secrets", headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "endpoint_silent")
    replayed = await http.post(
        f"{path}/replays", json={"from_position": 1, "reason": "was down"}, headers=headers
    )
    assert (replayed.status_code, replayed.json()["code"]) == (409, "endpoint_silent")
    shown = (await http.get("/webhook-endpoints", headers=headers)).text
    assert "whsec_" not in shown
    acts = [row["act"] for row in await pool.fetch("SELECT * FROM audit_log ORDER BY id")]
    assert acts == [
        "webhook endpoint registered", "webhook secret rotated", "webhook endpoint paused",
        "webhook endpoint enabled", "webhook endpoint closed",
    ]  # fmt: skip
    assert "whsec_" not in str(await pool.fetch("SELECT * FROM audit_log"))


async def test_addresses_ranges_and_numbers_of_endpoints_are_held(http, sign_in, world):
    headers = await sign_in(make.sp_actor(await world.sp()))
    for url in ("http://sp.example.com/", "https://10.0.0.1/", "https://user@sp.example.com/"):
        answer = await http.post("/webhook-endpoints", json={"url": url}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "url_refused")
    for _ in range(5):
        made = await http.post("/webhook-endpoints", json={"url": URL}, headers=headers)
        assert made.status_code == 201
    more = await http.post("/webhook-endpoints", json={"url": URL}, headers=headers)
    assert (more.status_code, more.json()["code"]) == (409, "endpoint_limit")
    path = f"/webhook-endpoints/{made.json()['endpoint']['id']}/replays"
    moment = "2026-03-02T04:00:00Z"
    for wrong in (
        {}, {"from_position": 1, "from_time": moment}, {"to_position": 4},
        {"from_position": 5, "to_position": 4}, {"from_position": 1, "to_time": moment},
        {"from_time": moment, "to_position": 4},
        {"from_time": moment, "to_time": "2026-03-02T03:00:00Z"},
    ):  # fmt: skip
        answer = await http.post(path, json={"reason": "was down"} | wrong, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "range_unclear")


async def test_an_sp_sees_its_own_only_and_an_administrator_may_replay(
    http, sign_in, world, pool, clock
):
    own, other = await world.sp(), await world.sp()
    headers, strange = [await sign_in(make.sp_actor(each)) for each in (own, other)]
    admin = await sign_in(make.ADMIN)
    async with receiving() as receiver:
        body = {"url": receiver.url, "types": ["subscription.ended"]}
        made = await http.post("/webhook-endpoints", json=body, headers=headers)
        path = f"/webhook-endpoints/{made.json()['endpoint']['id']}"
        for way, tail in [
            ("GET", ""), ("GET", "/attempts"), ("POST", "/secrets"), ("POST", "/pause"),
            ("POST", "/enabling"), ("POST", "/closure"), ("POST", "/replays"),
        ]:  # fmt: skip
            json = {"reason": "no", "from_position": 1} if tail == "/replays" else {}
            json = None if way == "GET" or tail == "/secrets" else json
            hidden = await http.request(way, path + tail, json=json, headers=strange)
            missing = await http.request(
                way, f"/webhook-endpoints/{uuid4()}{tail}", json=json, headers=strange
            )
            assert (hidden.status_code, hidden.content) == (404, missing.content)
        assert (await http.get("/webhook-endpoints", headers=strange)).json()["items"] == []
        assert (await http.get("/events", headers=admin)).status_code == 403
        await world.told(own, "a", "b")
        await world.sent()
        assert len(receiver.got) == 2
        first = clock.now().isoformat()
        clock.move(timedelta(hours=1))
        await world.told(own, "c")
        await world.sent()
        for asked, count in [
            ({"from_time": first, "to_time": first}, 2), ({"from_time": first}, 3),
            ({"from_position": 2, "to_position": 2}, 1), ({"from_position": 4}, 0),
        ]:  # fmt: skip
            receiver.got.clear()
            done = await http.post(
                f"{path}/replays", json={"reason": "asked by phone"} | asked, headers=admin
            )
            assert done.json() == {"queued": count, "next_position": None}
            await world.sent()
            assert len(receiver.got) == count
    attempts = (await http.get(f"{path}/attempts?limit=4", headers=headers)).json()
    rest = (await http.get(f"{path}/attempts?limit=100&after={attempts['next']}",
                           headers=headers)).json()  # fmt: skip
    assert len(attempts["items"]) + len(rest["items"]) == 9
    assert attempts["items"][0]["result"] == "delivered"
    noted = await pool.fetch("SELECT actor, reason FROM audit_log WHERE act = 'webhooks replayed'")
    assert {tuple(row) for row in noted} == {("staff:admin", "asked by phone")}


async def test_the_feed_is_read_to_its_end_and_goes_on_from_there(http, sign_in, world):
    own, other = await world.sp(), await world.sp()
    headers = await sign_in(make.sp_actor(own))
    await world.told(other, "x")
    await world.told(own, *"abcde")
    seen, cursor = [], ""
    for more in (True, True, False):
        page = (await http.get(f"/events?limit=2{cursor}", headers=headers)).json()
        assert page["more"] is more
        seen += [event["subject"] for event in page["items"]]
        cursor = f"&cursor={page['next']}"
    assert seen == list("abcde")
    empty = (await http.get(f"/events?limit=2{cursor}", headers=headers)).json()
    assert (empty["items"], empty["more"]) == ([], False)
    await world.told(own, "f")
    page = (await http.get(f"/events?limit=2&cursor={empty['next']}", headers=headers)).json()
    assert [(event["position"], event["subject"]) for event in page["items"]] == [(6, "f")]
    stolen = await http.get(
        f"/events?cursor={page['next']}", headers=await sign_in(make.sp_actor(other))
    )
    assert (stolen.status_code, stolen.json()["code"]) == (400, "cursor_invalid")
