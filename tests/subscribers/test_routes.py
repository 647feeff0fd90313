from datetime import timedelta

import pytest

from tests import make

MSISDN = "8613912340000"


def line(now, kind="activated", reason="opened", minutes=0, **values):
    at = now + timedelta(minutes=minutes)
    row = {"msisdn": MSISDN, "kind": kind, "reason": reason, "effective_at": at.isoformat()}
    return row | values


async def post(http, headers, path, body):
    return await http.post(path, json=body, headers=headers)


async def test_the_registry_reports_events_and_may_repeat_itself(http, sign_in, now):
    gateway = await sign_in(make.GATEWAY)
    body = {"events": [line(now, minutes=-5), line(now, "suspended", "lost")]}
    first = await post(http, gateway, "/number-events", body)
    assert (first.status_code, first.json()) == (200, {"recorded": 2, "repeated": 0})
    assert (await post(http, gateway, "/number-events", body)).json()["repeated"] == 2


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ({"minutes": 6}, (422, "event_not_possible")),
        ({"reason": "arrears"}, (422, "event_not_possible")),
        ({"msisdn": "8613912340001", "kind": "resumed", "reason": "paid"}, (422, "number_unknown")),
        ({"kind": "resumed", "reason": "paid"}, (409, "not_allowed")),
        ({"minutes": -5, "kind": "suspended", "reason": "lost"}, (409, "event_clash")),
        ({"effective_at": "0001-01-01T00:00:00+14:00"}, (422, "event_not_possible")),
        ({"effective_at": "9999-12-31T23:59:59-14:00"}, (422, "event_not_possible")),
        ({"effective_at": "2026-03-02T04:00:00"}, (400, "invalid")),
        ({"msisdn": "13912340000"}, (400, "invalid")),
        ({"kind": "exploded"}, (400, "invalid")),
        ({"extra": 1}, (400, "invalid")),
    ],
)
async def test_one_bad_event_refuses_the_batch_and_is_pointed_at(
    http, sign_in, tx, now, bad, expected
):
    gateway = await sign_in(make.GATEWAY)
    body = {"events": [line(now, minutes=-5), line(now) | line(now, **{"minutes": 0} | bad)]}
    answer = await post(http, gateway, "/number-events", body)
    assert (answer.status_code, answer.json()["code"]) == expected, answer.text
    if expected[0] != 400:
        assert answer.json()["errors"][0]["pointer"] == "/events/1"
    assert MSISDN not in answer.text
    assert await tx.fetchval("SELECT count(*) FROM number") == 0


async def test_nobody_but_the_gateway_reports_events(http, sign_in, tx, now):
    body = {"events": [line(now)]}
    assert (await http.post("/number-events", json=body)).status_code == 401
    sp = make.sp_actor(await make.sp(tx, now))
    for actor in (sp, make.AGENT, make.OFFICER, make.subscriber_actor(MSISDN)):
        answer = await post(http, await sign_in(actor), "/number-events", body)
        assert answer.status_code == 403


async def test_staff_look_a_number_up_and_it_is_recorded_why(http, sign_in, tx, now):
    await make.number(tx, now, msisdn=MSISDN)
    agent = await sign_in(make.AGENT)
    body = {"msisdn": MSISDN, "reason": "ticket 42"}
    answer = await post(http, agent, "/numbers/lookup", body)
    assert answer.status_code == 200
    assert answer.json()["number"]["number"] == "139****0000"
    assert [event["kind"] for event in answer.json()["history"]] == ["activated"]
    assert MSISDN[2:] not in answer.text
    row = await tx.fetchrow("SELECT * FROM audit_log WHERE act = 'number.looked_up'")
    assert (row["actor"], row["reason"]) == ("staff:agent", "ticket 42")
    assert MSISDN[2:] not in str(row)


async def test_a_lookup_without_a_reason_or_of_nobodys_number_gives_nothing(http, sign_in, tx, now):
    agent = await sign_in(make.AGENT)
    without = await post(http, agent, "/numbers/lookup", {"msisdn": MSISDN})
    assert without.status_code == 400
    nobodys = await post(http, agent, "/numbers/lookup", {"msisdn": MSISDN, "reason": "ticket"})
    assert nobodys.status_code == 404
    noted = await tx.fetch("SELECT actor, reason FROM audit_log WHERE act = 'number.looked_up'")
    assert [tuple(row) for row in noted] == [("staff:agent", "ticket")], "looking is on record"


async def test_the_holder_sees_her_number_until_another_holds_it(http, sign_in, tx, now):
    await make.number(tx, now, msisdn=MSISDN, language="en")
    mine = await sign_in(make.subscriber_actor(MSISDN))
    answer = await http.get("/my/number", headers=mine)
    assert (answer.status_code, answer.json()["language"]) == (200, "en")
    body = {"events": [line(now, "transferred", "owner_changed")]}
    await post(http, await sign_in(make.GATEWAY), "/number-events", body)
    assert (await http.get("/my/number", headers=mine)).status_code == 401
