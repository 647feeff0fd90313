"""The bill: complete, in order, explained, and nobody's but the present holder's."""

from datetime import timedelta
from uuid import uuid4

import pytest

from spms.core.phone import mask
from spms.subscribers.actions import pseudonym
from tests import make
from tests.charging.world import DAY, World, decided

HOUR = timedelta(hours=1)


@pytest.fixture
async def person(sign_in, world):
    return await sign_in(make.subscriber_actor(world.msisdn))


async def a_month(tx, world: World, games=12):
    """Land a month's charge and some games in three batches; return all charge ids."""
    await make.subscription(tx, world.now - 2 * DAY, world.msisdn, world.monthly_id)
    landings = [await world.land(world.record())]
    for hours in range(games):
        at = world.now - HOUR - timedelta(minutes=hours % 3)
        landings.append(
            await world.land(world.record(service_code=world.game, price_fen=200, charged_at=at))
        )
    return [outcome.charge_id for landing in landings for outcome in landing.outcomes]


async def pages(fetch):
    """Follow a list to its end."""
    items, after, answers = [], None, []
    while True:
        answer = await fetch(after)
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())
        items += answer.json()["items"]
        after = answer.json()["next"]
        if after is None:
            return items, answers


async def test_the_pages_of_a_bill_are_the_whole_month_newest_first(http, person, tx, world):
    await a_month(tx, world)

    async def fetch(after):
        query = {"month": "2026-03", "limit": "5"} | ({"after": after} if after else {})
        return await http.get("/my/bill", params=query, headers=person)

    items, answers = await pages(fetch)
    whole = await tx.fetch(
        "SELECT id FROM charge_record WHERE msisdn = $1 ORDER BY charged_at DESC, id DESC",
        world.msisdn,
    )
    assert [item["id"] for item in items] == [str(row["id"]) for row in whole]
    assert len(answers) == 3
    expected = {
        "lines": 13, "charged_fen": 800 + 12 * 200, "due_fen": 800, "refunded_fen": 0,
        "compensation_fen": 0, "points": 0,
    }  # fmt: skip
    assert all(answer["totals"] == expected for answer in answers)


async def test_a_line_says_who_took_what_for_whom(http, person, tx, world):
    relation = await make.subscription(tx, world.now - 2 * DAY, world.msisdn, world.monthly_id)
    await world.land(world.record(price_fen=900))
    bill = (await http.get("/my/bill?month=2026-03", headers=person)).json()
    assert bill["number"] == mask(world.msisdn)
    (line,) = bill["items"]
    service = await tx.fetchrow(
        """SELECT s.name, s.access_number, p.code, p.name AS sp_name FROM service s
             JOIN sp p ON p.id = s.sp_id WHERE s.id = $1""",
        world.monthly_id,
    )
    assert line["label"] == "代收费"
    assert (line["sp_code"], line["sp_name"]) == (service["code"], service["sp_name"])
    assert (line["service_code"], line["service_name"]) == (world.monthly, service["name"])
    assert line["access_number"] == service["access_number"]
    assert (line["price_fen"], line["due_fen"]) == (900, 800)
    assert line["findings"] == ["price_mismatch"]
    assert line["consent_id"] == str(relation)
    assert world.msisdn not in str(bill)


async def test_other_months_and_other_numbers_are_not_on_the_bill(http, person, tx, world):
    await a_month(tx, world, games=1)
    await world.land(world.record(msisdn=await make.number(tx, world.now)))
    for month, lines in (("2026-02", 0), ("2026-03", 2), ("2026-04", 0)):
        bill = (await http.get(f"/my/bill?month={month}", headers=person)).json()
        assert (len(bill["items"]), bill["totals"]["lines"]) == (lines, lines)


async def test_a_new_holder_sees_nothing_of_the_former_one(http, sign_in, tx, world):
    (old, *_) = await a_month(tx, world, games=1)
    await tx.execute(
        "UPDATE number SET epoch = 2, epoch_since = $2 WHERE msisdn = $1", world.msisdn, world.now
    )
    former = await sign_in(make.subscriber_actor(world.msisdn, epoch=1))
    present = await sign_in(make.subscriber_actor(world.msisdn, epoch=2))
    agent = await sign_in(make.AGENT)
    assert (await http.get("/my/bill?month=2026-03", headers=former)).status_code == 403
    bill = (await http.get("/my/bill?month=2026-03", headers=present)).json()
    assert (bill["items"], bill["totals"]["lines"]) == ([], 0)
    assert (await http.get(f"/my/bill/lines/{old}", headers=present)).status_code == 404
    search = {"msisdn": world.msisdn, "month": "2026-03", "reason": "call 1"}
    assert (await http.post("/bills/search", json=search, headers=agent)).json()["items"] == []


@pytest.mark.parametrize(
    "month", ["2026-13", "2026-3", "202603", "2026-03-01", "1026-03", "２０２６-03"]
)
async def test_a_month_is_written_one_way_only(http, person, month):
    answer = await http.get("/my/bill", params={"month": month}, headers=person)
    assert answer.status_code == 400


async def test_a_cursor_belongs_to_its_month_and_its_holder(http, person, sign_in, tx, world):
    await a_month(tx, world, games=2)
    page = await http.get("/my/bill?month=2026-03&limit=1", headers=person)
    after = page.json()["next"]
    other = await sign_in(make.subscriber_actor(await make.number(tx, world.now)))
    for query, headers in (("2026-02", person), ("2026-03", other)):
        answer = await http.get(
            "/my/bill", params={"month": query, "after": after}, headers=headers
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


async def test_an_agent_sees_the_bill_and_the_look_up_is_on_record(http, sign_in, tx, world):
    await a_month(tx, world, games=3)
    agent = await sign_in(make.AGENT)

    async def fetch(after):
        body = {"msisdn": world.msisdn, "month": "2026-03", "reason": "ticket 7", "limit": 3}
        return await http.post("/bills/search", json=body | {"after": after}, headers=agent)

    items, answers = await pages(fetch)
    assert len(items) == 4
    log = await tx.fetch("SELECT * FROM audit_log WHERE act = 'bill.looked_up'")
    assert [(row["actor"], row["reason"]) for row in log] == [("staff:agent", "ticket 7")] * 2
    assert world.msisdn not in str([dict(row) for row in log]) + str(answers)


async def test_a_look_up_of_a_number_nobody_holds_is_empty_and_on_record(http, sign_in, tx):
    body = {"msisdn": "8619900000000", "month": "2026-03", "reason": "ticket 8"}
    answer = await http.post("/bills/search", json=body, headers=await sign_in(make.AGENT))
    assert (answer.status_code, answer.json()["items"]) == (200, [])
    assert await tx.fetchval("SELECT count(*) FROM audit_log WHERE act = 'bill.looked_up'") == 1


async def test_a_right_line_is_explained_by_decision_tariff_and_both_consents(
    http, person, sign_in, tx, world
):
    relation = await make.subscription(tx, world.now - 2 * DAY, world.msisdn, world.monthly_id)
    decisions = [
        await decided(tx, world, timedelta(minutes=75 - 10 * n), relation, allowed=allowed)
        for n, allowed in enumerate((True, True, False, True))
    ]
    landing = await world.land(world.record(charged_at=world.now - timedelta(minutes=50)))
    charge_id = landing.outcomes[0].charge_id
    mine = (await http.get(f"/my/bill/lines/{charge_id}", headers=person)).json()
    assert mine["right"] is True
    assert mine["findings"] == []
    assert [(d["id"], d["allowed"], d["cited"]) for d in mine["decisions"]] == [
        (str(decisions[2]), False, False),
        (str(decisions[1]), True, True),
        (str(decisions[0]), True, False),
    ]
    assert mine["tariff"]["price_fen"] == 800
    shown = mine["relation"]
    assert shown["id"] == str(relation)
    assert shown["request"]["text"] == "TQ"
    assert (shown["consent"]["prompt_text"], shown["consent"]["reply_text"]) == ("回复Y确认", "Y")
    assert shown["consent"]["called"] == "10010"
    assert shown["notice"]["leave_command"] == f"TD {world.monthly}"
    body = {"msisdn": world.msisdn, "charge_id": str(charge_id), "reason": "ticket 9"}
    agents = await http.post("/bills/lines/search", json=body, headers=await sign_in(make.AGENT))
    assert agents.json() == mine
    assert await tx.fetchval("SELECT count(*) FROM audit_log WHERE reason = 'ticket 9'") == 1


async def test_a_wrong_line_shows_the_relation_that_had_ended(http, person, tx, world):
    relation = await make.subscription(
        tx, world.now - 2 * DAY, world.msisdn, world.monthly_id, status="ended",
        ended_at=world.now - 2 * HOUR, end_reason="subscriber",
    )  # fmt: skip
    landing = await world.land(world.record())
    line = (
        await http.get(f"/my/bill/lines/{landing.outcomes[0].charge_id}", headers=person)
    ).json()
    assert line["right"] is False
    assert [(f["kind"], f["due_fen"]) for f in line["findings"]] == [("after_unsubscribe", 0)]
    assert (line["relation"]["id"], line["relation"]["end_reason"]) == (str(relation), "subscriber")


@pytest.mark.parametrize(
    ("found_by", "shown"),
    [
        ("staff:wang.f", "staff"),
        ("subscriber:0c9a7d", "subscriber"),
        ("job:reaudit", "job:reaudit"),
    ],
)
async def test_which_person_found_it_is_not_told(http, person, tx, world, found_by, shown):
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    landing = await world.land(world.record())
    charge_id = landing.outcomes[0].charge_id
    await tx.execute(
        "INSERT INTO charge_finding (msisdn, charge_id, charged_at, kind, due_fen, found_at, found_by)"
        " SELECT msisdn, id, charged_at, 'over_cap', 0, $2, $3 FROM charge_record WHERE id = $1",
        charge_id, world.now, found_by,
    )  # fmt: skip
    line = (await http.get(f"/my/bill/lines/{charge_id}", headers=person)).json()
    assert [one["found_by"] for one in line["findings"]] == [shown]


async def test_a_line_of_nobody_or_of_another_number_is_not_found(http, person, tx, world):
    landing = await world.land(world.record(msisdn=await make.number(tx, world.now)))
    for charge_id in (landing.outcomes[0].charge_id, uuid4()):
        assert (await http.get(f"/my/bill/lines/{charge_id}", headers=person)).status_code == 404


async def test_an_sp_sees_its_own_charges_under_a_pseudonym(http, sign_in, tx, world):
    charges = await a_month(tx, world, games=5)
    sp = await sign_in(make.sp_actor(world.sp_id))
    other = await sign_in(make.sp_actor(await make.sp(tx, world.now)))

    async def fetch(after):
        query = {"limit": "4"} | ({"after": after} if after else {})
        return await http.get("/charge-records", params=query, headers=sp)

    items, answers = await pages(fetch)
    assert {item["id"] for item in items} == {str(charge_id) for charge_id in charges}
    assert items == sorted(items, key=lambda i: (i["charged_at"], i["id"]), reverse=True)
    secret = await tx.fetchval("SELECT secret FROM instance")
    assert {item["pseudonym"] for item in items} == {
        pseudonym(secret, world.sp_id, world.msisdn, 1)
    }
    assert world.msisdn not in str(answers)
    assert (await http.get("/charge-records", headers=other)).json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/my/bill?month=2026-03"), ("POST", "/bills/search"), ("POST", "/charge-records"),
        ("POST", "/bills/lines/search"), ("GET", "/charge-records"), ("POST", "/charge-files"),
    ],
)  # fmt: skip
async def test_a_compliance_officer_and_a_stranger_read_nobodys_bill(http, sign_in, method, path):
    types = {"Content-Type": "text/csv" if path == "/charge-files" else "application/json"}
    officer = await sign_in(make.OFFICER)
    assert (await http.request(method, path, headers=types)).status_code == 401
    assert (await http.request(method, path, headers=officer | types)).status_code == 403


async def test_records_by_the_api_land_or_say_why_not(http, sign_in, tx, world):
    await make.subscription(tx, world.now - 2 * DAY, world.msisdn, world.monthly_id)
    sp = await sign_in(make.sp_actor(world.sp_id))
    good = {
        "record_id": "a-1", "service_code": world.monthly, "msisdn": world.msisdn,
        "charged_at": (world.now - HOUR).isoformat(), "price_fen": 800,
    }  # fmt: skip
    records = [good, good, good | {"price_fen": 0}, good | {"record_id": "a-2", "msisdn": "1"}]
    answer = await http.post("/charge-records", json={"records": records}, headers=sp)
    assert answer.status_code == 200
    landing = answer.json()
    assert [o["result"] for o in landing["outcomes"]] == [
        "landed", "seen", "quarantined", "quarantined",
    ]  # fmt: skip
    assert [o.get("reason") for o in landing["outcomes"]] == [
        None, None, "amount_range", "msisdn_length",
    ]  # fmt: skip
    assert (landing["lines"], landing["landed"], landing["quarantined"]) == (4, 1, 2)
    assert landing["outcomes"][0]["due_fen"] == 800
    kept = await tx.fetch("SELECT line_no, file_id, reason FROM charge_quarantine ORDER BY line_no")
    assert [tuple(row) for row in kept] == [(3, None, "amount_range"), (4, None, "msisdn_length")]


@pytest.mark.parametrize(
    "body",
    [{}, {"records": []}, {"records": [{}]}, {"records": [None]}, {"records": [{"record_id": 1}]}],
)
async def test_a_body_of_another_shape_is_refused_whole(http, sign_in, tx, world, body):
    sp = await sign_in(make.sp_actor(world.sp_id))
    answer = await http.post("/charge-records", json=body, headers=sp)
    assert answer.status_code == 400
    assert await tx.fetchval("SELECT count(*) FROM charge_quarantine") == 0
