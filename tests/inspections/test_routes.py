"""Spot checks over HTTP: who may, and what each is shown."""

from datetime import timedelta

import pytest

from spms.inspections.calling import pump_calls
from spms.inspections.rules import commitment, faults_of
from tests import make

NOW = {"start": "now"}


async def drawn(http, officer, body=NOW):
    answer = await http.post("/inspection-plans", json=body, headers=officer)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def judge_all(pool, prober, clock):
    for _ in range(9):
        while await pump_calls(pool, prober, clock):
            pass
        clock.move(timedelta(minutes=30))


@pytest.mark.parametrize("actor", [make.AGENT, make.ADMIN, make.GATEWAY, None])
async def test_only_officers_draw_and_read_plans(http, sign_in, tx, now, actor):
    sp_id = await make.sp(tx, now)
    plan = await drawn(http, await sign_in(make.OFFICER))
    for who in (actor, make.sp_actor(sp_id)):
        headers = {} if who is None else await sign_in(who)
        expected = 401 if who is None else 403
        for path in ("/inspection-plans", f"/inspection-plans/{plan['id']}"):
            assert (await http.get(path, headers=headers)).status_code == expected
        answer = await http.post("/inspection-plans", json={}, headers=headers)
        assert answer.status_code == expected


async def test_an_officer_sees_the_seed_only_when_the_plan_is_finished(
    http, sign_in, tx, now, pool, prober, clock
):
    await make.sp(tx, now)
    order = {"seed": "lottery-2026", "start": "now"}
    plan = await drawn(http, await sign_in(make.OFFICER), order)
    assert plan["seed"] is None
    officer = await sign_in(make.OFFICER_2)
    path = f"/inspection-plans/{plan['id']}"
    before = (await http.get(path, headers=officer)).json()
    assert [len(item["calls"]) for item in before["items"]] == [1, 1]
    assert (before["plan"], {item["verdict"] for item in before["items"]}) == (plan, {None})
    await judge_all(pool, prober, clock)
    after = (await http.get(path, headers=officer)).json()
    assert after["plan"]["seed"].startswith("lottery-2026.")
    assert commitment(after["plan"]["seed"]) == plan["seed_sha256"]
    assert {item["verdict"] for item in after["items"]} == {"reachable"}
    assert all(item["calls"][0]["trace"] for item in after["items"])
    assert (await http.get("/inspection-plans", headers=officer)).json()["items"] == [after["plan"]]


async def test_plans_and_items_come_in_pages(http, sign_in, tx, now, clock):
    for _ in range(3):
        await make.sp(tx, now)
    officer = await sign_in(make.OFFICER)
    plans = [(await drawn(http, officer))["id"] for _ in range(3)]

    async def walk(path, pick):
        found, after = [], None
        while True:
            query = {"limit": "2"} | ({"after": after} if after else {})
            page = (await http.get(path, params=query, headers=officer)).json()
            assert len(page["items"]) <= 2
            found += [pick(row) for row in page["items"]]
            if (after := page["next"]) is None:
                return found

    assert await walk("/inspection-plans", lambda plan: plan["id"]) == plans[::-1]
    hotlines = await walk(f"/inspection-plans/{plans[0]}", lambda item: item["hotline"])
    assert len(hotlines) == len(set(hotlines)) == 6
    wrong = await http.get("/inspection-plans", params={"after": "AAAA"}, headers=officer)
    assert (wrong.status_code, wrong.json()["code"]) == (400, "cursor_invalid")


async def test_an_sp_sees_its_own_judged_items_with_the_evidence_and_nothing_before(
    http, sign_in, tx, now, pool, prober, clock
):
    mine, other = await make.sp(tx, now), await make.sp(tx, now)
    sp, officer = await sign_in(make.sp_actor(mine)), await sign_in(make.OFFICER)
    plan = await drawn(http, officer)
    ids = await tx.fetch("SELECT id, sp_id FROM inspection_item")
    assert (await http.get("/inspection-items", headers=sp)).json()["items"] == []
    for row in ids:
        assert (await http.get(f"/inspection-items/{row['id']}", headers=sp)).status_code == 404
    await judge_all(pool, prober, clock)
    shown = (await http.get("/inspection-items", headers=sp)).json()["items"]
    assert {item["id"] for item in shown} == {str(r["id"]) for r in ids if r["sp_id"] == mine}
    assert {item["plan_id"] for item in shown} == {plan["id"]}
    assert all(item["calls"][0]["outcome"] == "answered" for item in shown)
    for row in ids:
        own = row["sp_id"] == mine
        path = f"/inspection-items/{row['id']}"
        assert (await http.get(path, headers=sp)).status_code == (200 if own else 404)
        assert (await http.get(path, headers=officer)).status_code == 200
    assert (await http.get("/inspection-items", headers=officer)).status_code == 403
    first = (await http.get("/inspection-items?limit=1", headers=sp)).json()
    query = {"limit": "1", "after": first["next"]}
    second = (await http.get("/inspection-items", params=query, headers=sp)).json()
    assert first["items"] + second["items"] == shown
    assert second["next"] is None
    theirs = await sign_in(make.sp_actor(other))
    assert (await http.get("/inspection-items", params=query, headers=theirs)).status_code == 400


@pytest.mark.parametrize(
    "body", [{"seed": ""}, {"seed": "a b"}, {"seed": "x" * 65}, {"start": "later"}, {"day": 1}, []]
)
async def test_an_order_that_cannot_be_read_draws_nothing(http, sign_in, tx, now, body):
    await make.sp(tx, now)
    headers = await sign_in(make.OFFICER)
    answer = await http.post("/inspection-plans", json=body, headers=headers)
    assert answer.status_code == 400
    assert await tx.fetchval("SELECT count(*) FROM inspection_plan") == 0


async def test_nothing_to_draw_is_a_conflict(http, sign_in):
    headers = await sign_in(make.OFFICER)
    answer = await http.post("/inspection-plans", json={}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_inspect")


async def test_an_order_repeated_with_its_key_draws_once(http, sign_in, tx, now):
    await make.sp(tx, now)
    headers = await sign_in(make.OFFICER) | {"Idempotency-Key": "k1"}
    answers = [await http.post("/inspection-plans", json={}, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert await tx.fetchval("SELECT count(*) FROM inspection_plan") == 1


async def test_what_does_not_exist_is_not_found(http, sign_in):
    headers = await sign_in(make.OFFICER)
    nothing = "00000000-0000-7000-8000-000000000000"
    for path in (f"/inspection-plans/{nothing}", f"/inspection-items/{nothing}"):
        assert (await http.get(path, headers=headers)).status_code == 404


async def test_a_sandbox_line_is_set_by_an_administrator_and_can_be_changed(http, sign_in, tx):
    admin = await sign_in(make.ADMIN)
    for kind in ("busy", "changed", "no_answer", "unallocated", "congestion", "flaky", "answer"):
        body = {"number": "4008123456", "behaviour": kind}
        answer = await http.post("/sandbox/lines", json=body, headers=admin)
        assert answer.status_code == 200
        assert answer.json()["behaviour"] == kind
    rows = await tx.fetch("SELECT number, behaviour FROM sandbox_line")
    assert [tuple(row) for row in rows] == [("4008123456", "answer")]
    for wrong in ({"number": "13800138000"}, {"behaviour": "explodes"}, {"connect_percent": 101}):
        body = {"number": "4008123456", "behaviour": "busy"} | wrong
        assert (await http.post("/sandbox/lines", json=body, headers=admin)).status_code == 400
    officer = await sign_in(make.OFFICER)
    body = {"number": "4008123456", "behaviour": "busy"}
    assert (await http.post("/sandbox/lines", json=body, headers=officer)).status_code == 403


async def test_a_commitment_is_public_at_once_and_the_plan_only_when_it_is_finished(
    http, sign_in, tx, now, pool, prober, clock
):
    mine = await make.sp(tx, now)
    await make.sp(tx, now)
    sp, officer = await sign_in(make.sp_actor(mine)), await sign_in(make.OFFICER)
    plan = await drawn(http, officer)
    (bound,) = (await http.get("/inspection-commitments", headers=sp)).json()["items"]
    assert (bound["plan_sha256"], bound["finished_at"]) == (plan["plan_sha256"], None)
    assert "seed" not in bound
    path = f"/inspection-plans/{plan['id']}/document"
    early = await http.get(path, headers=sp)
    assert (early.status_code, early.json()["code"]) == (409, "plan_not_finished")
    await judge_all(pool, prober, clock)
    text = (await http.get(path, headers=sp)).json()["document"]
    assert faults_of(text, bound["plan_sha256"]) == []
    assert faults_of(text.replace("candidates", "candidatez"), bound["plan_sha256"]) != []


async def test_an_sp_objects_once_and_another_officer_decides(http, sign_in, tx, now):
    mine, other = await make.sp(tx, now), await make.sp(tx, now)
    ids = await make.hotline_finding(tx, now, mine, "4008123456")
    await tx.execute("UPDATE hotline_finding SET closed_at = NULL, closed_because = NULL")
    sp, stranger = await sign_in(make.sp_actor(mine)), await sign_in(make.sp_actor(other))
    path = f"/inspection-items/{ids['item_id']}/objection"
    order = {"name": "工单.pdf", "sha256": "ab" * 32}
    words = {"statement": "线路检修,附运营商工单", "documents": [order]}
    assert (await http.post(path, json=words, headers=stranger)).status_code == 404
    vague = {"statement": "x", "documents": [order | {"sha256": "ab"}]}
    assert (await http.post(path, json=vague, headers=sp)).status_code == 400
    assert (await http.get(path, headers=sp)).status_code == 404
    opened = await http.post(path, json=words, headers=sp)
    assert (opened.status_code, opened.json()["sustained"]) == (201, None)
    again = await http.post(path, json=words, headers=sp)
    assert (again.status_code, again.json()["code"]) == (409, "objected_already")
    assert (await http.get(path, headers=stranger)).status_code == 404
    decision = {"sustain": True, "reason": "工单属实"}
    officer = await sign_in(make.OFFICER)
    waiting = await http.get("/inspection-objections", headers=officer)
    assert [one["documents"] for one in waiting.json()["items"]] == [[order]]
    assert (await http.get("/inspection-objections", headers=sp)).status_code == 403
    done = await http.post(f"{path}/decision", json=decision, headers=officer)
    assert (done.status_code, done.json()["sustained"]) == (200, True)
    assert (await http.get("/inspection-objections", headers=officer)).json()["items"] == []
    twice = await http.post(f"{path}/decision", json=decision, headers=officer)
    assert (twice.status_code, twice.json()["code"]) == (409, "already_decided")
    assert await tx.fetchval("SELECT closed_because FROM hotline_finding") == "objection"
    topic = "SELECT payload FROM outbox WHERE topic = 'inspection.set_aside'"
    assert await tx.fetchval(topic) == {"item_id": ids["item_id"]}


async def test_who_drew_the_plan_does_not_decide_on_it(http, sign_in, tx, now):
    mine = await make.sp(tx, now)
    officer = make.OFFICER.label
    ids = await make.hotline_finding(tx, now, mine, "4008123456", drawn_by=officer)
    path = f"/inspection-items/{ids['item_id']}/objection"
    sp = await sign_in(make.sp_actor(mine))
    await http.post(path, json={"statement": "x"}, headers=sp)
    officer = await sign_in(make.OFFICER)
    decision = {"sustain": False, "reason": "x"}
    refused = await http.post(f"{path}/decision", json=decision, headers=officer)
    assert (refused.status_code, refused.json()["code"]) == (409, "same_person")


async def test_a_good_verdict_is_nothing_to_object_to(http, sign_in, tx, now):
    mine = await make.sp(tx, now)
    ids = await make.hotline_finding(tx, now, mine, "4008123456")
    await tx.execute("UPDATE inspection_item SET verdict = 'reachable', reason = 'answered'")
    headers = await sign_in(make.sp_actor(mine))
    path = f"/inspection-items/{ids['item_id']}/objection"
    refused = await http.post(path, json={"statement": "x"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_object_to")
