"""A report's hold opens to the numbers it is about: masked, page by page, each look on record."""

import json
from types import SimpleNamespace
from uuid import uuid4

import pytest

from jobs import settle_months
from spms.core.instance import instance_secret
from spms.settlement import held_queries
from spms.subscribers import actions as subscribers
from tests import make
from tests.settlement.conftest import DAY, JANUARY, MONTH, PRICE
from tests.settlement.test_counting import barred, message, permitted, permitted_in_a_pack

RULES = {"settlement": {"report_least": 10, "self_consumption_bp": 1000}}
WHY = "who pays for nothing"


async def listed(world):
    """Let the job do all that is due; return how much that was."""
    house = SimpleNamespace(pool=world.pool, clock=world.clock)
    done = 0
    while await settle_months.pump(house):
        done += 1
    return done


@pytest.fixture
async def held(world, tx):
    """Payers of one SP, three of whom use it, twelve of whom are barred; an honest SP beside."""
    await tx.execute(
        "INSERT INTO rulebook VALUES (2, '2020-01-01', $1, 'test', now(), 'test')", RULES
    )
    barred_ones = [await barred(tx, JANUARY + 20 * DAY) for _ in range(12)]
    await permitted_in_a_pack(tx, JANUARY + DAY, world, 1, 1)
    _, (denied, written_to) = await permitted_in_a_pack(tx, JANUARY + DAY, world, 1, 1)
    others = [await make.number(tx, JANUARY) for _ in range(10)]
    own = await tx.fetchval("SELECT responsible_mobile FROM sp WHERE id = $1", world.sp_id)
    await make.number(tx, JANUARY, msisdn=own)
    payers = [*barred_ones, denied, written_to, own, *others]
    for place, msisdn in enumerate(payers):
        await world.charge(2 + place / 100, msisdn)
    access = await tx.fetchval("SELECT number FROM access_number WHERE sp_id = $1", world.sp_id)
    await message(tx, JANUARY + DAY, others[0], access)
    await permitted(tx, JANUARY + DAY, world, others[1])
    for n in range(9):
        await world.charge(3 + n / 10, others[2], kind="on_demand")
    honest_id, honest_service = await world.another_sp()
    for msisdn in payers[12:]:
        await world.charge(2, msisdn, service_id=honest_service, kind="on_demand")
        await message(tx, JANUARY + DAY, msisdn, "10690000")
    await world.on(2, 10)
    assert await listed(world) == 3
    holds = await tx.fetch(
        "SELECT h.id, h.cause FROM settlement_hold h JOIN settlement s ON s.id = h.settlement_id"
        " WHERE s.sp_id = $1", world.sp_id,
    )  # fmt: skip
    return {
        "holds": {row["cause"]: row["id"] for row in holds}, "honest_id": honest_id,
        "silent_users": {*barred_ones, denied, own, *others[2:]},
        "self_consumption": {own, others[2]}, "arrears": set(barred_ones),
    }  # fmt: skip


async def opened(http, hold_id, headers, limit=50):
    """Return all pages of a hold's numbers."""
    pages, after = [], None
    while not pages or after:
        body = {"reason": WHY, "limit": limit} | ({"after": after} if after else {})
        answer = await http.post(f"/settlement-holds/{hold_id}/numbers", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()["items"])
        after = answer.json()["next"]
    return pages


async def test_a_hold_opens_to_the_numbers_that_its_report_found(world, http, sign_in, tx, held):
    officer = await sign_in(make.OFFICER)
    secret = await instance_secret(tx)
    reports = {
        row["kind"]: row
        for row in await tx.fetch("SELECT * FROM settlement_report WHERE sp_id = $1", world.sp_id)
    }
    path = f"/settlements/{(await world.state())['id']}/records"
    gross = await http.get(path, params={"step": "gross", "limit": "100"}, headers=officer)
    known = {one["number"] for one in gross.json()["items"]}
    assert set(held["holds"]) == set(reports)
    for kind, hold_id in held["holds"].items():
        found = [one for page in await opened(http, hold_id, officer) for one in page]
        expected = held[kind]
        assert {one["name"] for one in found} == {
            subscribers.pseudonym(secret, world.sp_id, msisdn, 1) for msisdn in expected
        }, kind
        assert {one["name"] for one in found} <= known, "as in the records of the settlement"
        assert not [msisdn for msisdn in expected if msisdn in json.dumps(found)]
        assert all("****" in one["number"] for one in found)
        paid = [one["amount_fen"] for one in found]
        assert paid == sorted(paid, reverse=True)
        whole = len(found) if kind == "silent_users" else sum(paid)
        assert whole == reports[kind]["part"], "they come to what the report says"
    (first, *_) = (await opened(http, held["holds"]["silent_users"], officer))[0]
    assert (first["charges"], first["amount_fen"]) == (10, 10 * PRICE)
    honest = "SELECT count(*) FROM settlement_report_number WHERE sp_id = $1"
    assert await tx.fetchval(honest, held["honest_id"]) == 0, "what holds nothing keeps nobody"


@pytest.mark.parametrize("limit", [1, 4, 12])
async def test_each_number_that_is_shown_is_on_record_with_the_reason(
    http, sign_in, tx, held, limit
):
    officer, hold_id = await sign_in(make.OFFICER), held["holds"]["arrears"]
    pages = await opened(http, hold_id, officer, limit)
    assert [len(page) for page in pages] == [limit] * (12 // limit)
    assert len({one["name"] for page in pages for one in page}) == 12
    looks = await tx.fetch(
        "SELECT actor, reason FROM audit_log WHERE about_kind = 'settlement_hold'"
        " AND about_id = $1", str(hold_id),
    )  # fmt: skip
    assert {tuple(row) for row in looks} == {(make.OFFICER.label, WHY)}
    assert len(looks) == len(pages)
    secret = await instance_secret(tx)
    for msisdn in held["arrears"]:
        name = subscribers.audit_name(secret, msisdn)
        seen = await tx.fetch(
            "SELECT actor, reason, detail FROM audit_log WHERE about_kind = 'number'"
            " AND about_id = $1", name,
        )  # fmt: skip
        assert [tuple(row)[:2] for row in seen] == [(make.OFFICER.label, WHY)]
        assert seen[0]["detail"] == {"hold": str(hold_id)}
    for msisdn in held["silent_users"] - held["arrears"]:
        name = subscribers.audit_name(secret, msisdn)
        assert not await tx.fetchval("SELECT count(*) FROM audit_log WHERE about_id = $1", name)


async def test_who_may_not_look_and_where_there_is_nothing_to_see(
    world, http, sign_in, tx, owner, held
):
    hold_id = held["holds"]["arrears"]
    officer = await sign_in(make.OFFICER)

    async def asked(hold_id, headers=officer, **body):
        return await http.post(
            f"/settlement-holds/{hold_id}/numbers", json={"reason": WHY} | body, headers=headers
        )

    for actor in (make.sp_actor(world.sp_id), make.AGENT):
        assert (await asked(hold_id, await sign_in(actor))).status_code == 403
    assert (await asked(hold_id, reason=" ")).status_code == 400
    assert (await asked(uuid4())).status_code == 404
    first = (await asked(hold_id, limit=2)).json()
    elsewhere = await asked(held["holds"]["silent_users"], after=first["next"])
    assert elsewhere.json()["code"] == "cursor_invalid"
    another = await asked(hold_id, await sign_in(make.OFFICER_2), after=first["next"])
    assert another.json()["code"] == "cursor_invalid"
    settlement_id = (await world.state())["id"]
    own = await http.post(
        f"/settlements/{settlement_id}/holds", json={"reason": "a question"}, headers=officer
    )
    assert (await asked(own.json()["id"])).json() == {"items": [], "next": None}
    await owner.execute("DELETE FROM settlement_report_number")
    assert (await asked(hold_id)).json()["code"] == "numbers_not_listed"
    await owner.execute("UPDATE settlement_hold SET listed_at = NULL")
    silent = held["holds"]["silent_users"]
    clear = f"/settlement-holds/{silent}/clearance"
    assert (await http.post(clear, json={"reason": "known"}, headers=officer)).status_code == 200
    assert await listed(world) == 2
    assert (await asked(hold_id)).status_code == 200
    assert (await asked(silent)).json()["code"] == "numbers_not_listed", "nobody waits for it"


async def test_a_page_is_a_range_of_an_index(tx, owner, world):
    await owner.execute(
        "INSERT INTO settlement_report_number SELECT '86139' || lpad(i::text, 8, '0'), $1,"
        " CASE WHEN i % 2 = 0 THEN $2::uuid ELSE gen_random_uuid() END, 'arrears', i, 1, 1, now()"
        " FROM generate_series(1, 20000) i", MONTH, world.sp_id,
    )  # fmt: skip
    await owner.execute("VACUUM ANALYZE settlement_report_number")
    for kind in ("force_generic_plan", "force_custom_plan"):
        await tx.execute(f"SET plan_cache_mode = {kind}")
        plan = await tx.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {held_queries.NUMBERS}", MONTH, world.sp_id,
            "arrears", 4000, 21, JANUARY + 40 * DAY,
        )  # fmt: skip
        top = json.loads(plan)[0]["Plan"]
        (scan,) = top["Plans"]
        assert (scan["Node Type"], scan["Actual Rows"]) == ("Index Scan", 21)
