"""The fee for unbalanced messages opens to the messages that were counted, a page at a time."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from spms.core.instance import instance_secret
from spms.settlement import message_queries, messages
from spms.subscribers import actions as subscribers
from tests import make
from tests.settlement.conftest import DAY, JANUARY
from tests.settlement.test_counting import message, permitted, permitted_in_a_pack


async def opened(http, path, headers, limit):
    """Return all pages of the step."""
    pages, after = [], None
    while not pages or after:
        params = {"step": "mt_fee", "limit": str(limit)} | ({"after": after} if after else {})
        answer = await http.get(f"{path}/records", params=params, headers=headers)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()["items"])
        after = answer.json()["next"]
    return pages


async def statement(world):
    await world.through(2)
    found = await world.state()
    return f"/settlements/{found['id']}", (await world.steps(found["id"]))["mt_fee"]["inputs"]


@pytest.fixture
async def month(world, tx):
    """A month of every kind of message; return the numbers that none went to or came from."""
    await world.charges(1)
    accesses = [await access_number(tx, world.service_id)]
    accesses.append(await access_number(tx, await make.service(tx, JANUARY, world.sp_id)))
    _, other_service = await world.another_sp()
    foreign = await access_number(tx, other_service)
    silent = []
    for allowed, denied in ((3, 2), (0, 4), (0, 1), (1, 0), (7, 3)):
        _, numbers = await permitted_in_a_pack(tx, JANUARY + DAY, world, allowed, denied)
        silent += numbers[:denied]
    await permitted_in_a_pack(tx, JANUARY + 40 * DAY, world, 2, 0)
    for n in range(3):
        await permitted(tx, JANUARY + n * DAY, world, await make.number(tx, JANUARY))
    for n in range(5):
        await message(tx, JANUARY + n * DAY, world.msisdn, accesses[n % 2])
        await message(tx, JANUARY + n * DAY, world.msisdn, foreign)
    await message(tx, JANUARY + 31 * DAY, world.msisdn, accesses[0])
    return silent


async def access_number(tx, service_id):
    return await tx.fetchval("SELECT access_number FROM service WHERE id = $1", service_id)


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
async def test_the_messages_come_to_what_was_counted(world, http, sign_in, tx, month, limit):
    path, inputs = await statement(world)
    assert (inputs["mt"], inputs["mo"]) == (14, 5)
    sp = await sign_in(make.sp_actor(world.sp_id))
    pages = await opened(http, path, sp, limit)
    assert all(len(page) <= limit for page in pages)
    found = [one for page in pages for one in page]
    counts = [one["messages"] for one in found]
    assert counts == [1] * 14 + [-1] * 5
    assert len({one["id"] for one in found}) == 19, "each once"
    assert {one["amount_fen"] for one in found} == {0}
    secret = await instance_secret(tx)
    asked = [subscribers.pseudonym(secret, world.sp_id, msisdn, 1) for msisdn in month]
    assert not {one["number"] for one in found} & set(asked), "what was denied did not go"
    assert {one["number"] for one in found[14:]} == {
        subscribers.pseudonym(secret, world.sp_id, world.msisdn, 1)
    }
    assert [one["at"] for one in found[14:]] == sorted(one["at"] for one in found[14:])


async def test_only_the_sp_and_officers_open_it(world, http, sign_in, month):
    path, _ = await statement(world)
    officer = await sign_in(make.OFFICER)
    mine = await sign_in(make.sp_actor(world.sp_id))
    assert await opened(http, path, officer, 50) == await opened(http, path, mine, 50)
    other_id, _ = await world.another_sp()
    step = {"step": "mt_fee", "limit": "5"}
    other = await sign_in(make.sp_actor(other_id, "900001"))
    assert (await http.get(f"{path}/records", params=step, headers=other)).status_code == 404
    first = (await http.get(f"{path}/records", params=step, headers=mine)).json()
    wrong = step | {"after": first["next"]}
    assert (await http.get(f"{path}/records", params=wrong, headers=officer)).status_code == 400
    elsewhere = wrong | {"step": "gross"}
    answer = await http.get(f"{path}/records", params=elsewhere, headers=mine)
    assert answer.json()["code"] == "cursor_invalid"


async def test_a_message_opens_to_the_decision_that_let_it_go(world, http, sign_in, tx, clock):
    clock.at = JANUARY + 3 * DAY
    await make.subscription(tx, JANUARY, world.msisdn, world.service_id)
    code = await tx.fetchval("SELECT code FROM service WHERE id = $1", world.service_id)
    sp = await sign_in(make.sp_actor(world.sp_id))
    unordered = await make.number(tx, JANUARY)
    items = [
        {"purpose": "message", "msisdn": msisdn, "service_code": code}
        for msisdn in (unordered, world.msisdn, world.msisdn)
    ]
    answer = await http.post("/authorisations/batch", json={"items": items}, headers=sp)
    assert [one["allowed"] for one in answer.json()["items"]] == [False, True, True]
    path, inputs = await statement(world)
    assert inputs["mt"] == 2
    ((*_, one),) = await opened(http, path, sp, 50)
    assert one["id"] == answer.json()["items"][2]["id"]
    explained = await http.get(f"/authorisations/{one['id']}/explanation", headers=sp)
    assert explained.json()["decision"]["subscriber"] == one["number"]


async def test_packs_that_let_nothing_go_are_passed_a_bounded_part_at_a_time(
    world, tx, http, sign_in, monkeypatch
):
    await world.charges(1)
    for allowed in (0, 0, 0, 0, 0, 1, 0, 0, 0, 2):
        await permitted_in_a_pack(tx, JANUARY + DAY, world, allowed, 2)
    path, _ = await statement(world)
    sp = await sign_in(make.sp_actor(world.sp_id))
    whole = await opened(http, path, sp, 50)
    assert [len(page) for page in whole] == [3]
    monkeypatch.setattr(message_queries, "PACKS_LOOKED", 2)
    monkeypatch.setattr(messages, "ROUNDS", 1)
    pages = await opened(http, path, sp, 50)
    assert [len(page) for page in pages] == [0, 0, 1, 0, 2, 0]
    assert [one for page in pages for one in page] == whole[0]
    monkeypatch.setattr(message_queries, "PACKS_LOOKED", 200)
    monkeypatch.setattr(message_queries, "DECISIONS_LOOKED", 1)
    pages = await opened(http, path, sp, 50)
    assert [len(page) for page in pages] == [1, 2, 0], "one pack is opened at a time"


# Planted beside much of other SPs, as the application's tables have it: in the order of time.
PACKS = """
    INSERT INTO decision_pack (sp_id, id, decided_at, decisions, numbers, denied, body, requested_by)
    SELECT CASE WHEN i % 4 = 0 THEN $1::uuid ELSE gen_random_uuid() END,
           (lpad(to_hex(i), 28, '0') || '0000')::uuid, $2::timestamptz + i * interval '1 minute', 2,
           '8613900000001,8613900000002', '{1}', '', 'x'
      FROM generate_series(1, 20000) i
"""
CHARGED = """
    INSERT INTO authorisation (msisdn, decided_at, id, purpose, sp_id, service_id, service_code,
           price_fen, allowed, reasons, subscription_id, rulebook_version, facts, requested_by)
    SELECT '86139' || lpad((i % 800)::text, 8, '0'), $2::timestamptz + i * interval '1 minute',
           lpad(to_hex(i), 32, '0')::uuid, CASE WHEN i % 100 = 0 THEN 'message' ELSE 'charge' END,
           CASE WHEN i % 2 = 0 THEN $1::uuid ELSE gen_random_uuid() END, gen_random_uuid(), 'x', 0,
           true, '{}', gen_random_uuid(), 1, '{}', 'x'
      FROM generate_series(1, 20000) i
"""
CAME = """
    INSERT INTO message_in (msisdn, received_at, id, called, text, raw, link, link_message_id,
           handled_at)
    SELECT '86139' || lpad((i % 800)::text, 8, '0'), at, lpad(to_hex(i), 32, '0')::uuid,
           CASE WHEN i % 50 = 0 THEN $1 ELSE '10010' END, '1', '1', 't', i::text, at
      FROM generate_series(1, 20000) i
      JOIN LATERAL (SELECT $2::timestamptz + i * interval '1 minute' AS at) t ON true
"""
LARGE = ("decision_pack", "authorisation", "message_in")


def nodes(plan):
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def test_a_page_is_a_range_of_an_index_however_it_is_planned(world, tx, owner):
    access = await access_number(tx, world.service_id)
    await owner.execute(PACKS, world.sp_id, JANUARY)
    await owner.execute(CHARGED, world.sp_id, JANUARY)
    await owner.execute(CAME, access, JANUARY)
    await owner.execute("VACUUM ANALYZE decision_pack, authorisation, message_in, access_number")
    until = JANUARY + timedelta(days=30)
    nowhere = UUID(int=0)
    asked = {
        message_queries.PACKED: (nowhere, 21, 200, 200_000),
        message_queries.SINGLE: (nowhere, 21),
        message_queries.CAME: (JANUARY, nowhere, 21),
    }
    for kind in ("force_generic_plan", "force_custom_plan"):
        await tx.execute(f"SET plan_cache_mode = {kind}")
        for sql, more in asked.items():
            plan = json.loads(
                await tx.fetchval(
                    f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", world.sp_id, JANUARY, until, *more
                )
            )[0]["Plan"]
            scans = [
                node for node in nodes(plan)
                if node.get("Relation Name", "").startswith(LARGE) and node["Actual Loops"]
            ]  # fmt: skip
            assert len(scans) == 1, "of one month"
            assert scans[0]["Node Type"] in {"Index Scan", "Index Only Scan"}
            assert scans[0]["Actual Rows"] <= 200
            assert scans[0].get("Rows Removed by Filter", 0) == 0
            assert plan["Actual Rows"] == 21
