"""SPs over HTTP: who may, what it looks like, how it refuses."""

from uuid import uuid4

import pytest

from spms.core import access
from tests import make

APPLICATION = {
    "name": "华北信息", "licence_no": "B2-20060189", "responsible_name": "负责人",
    "responsible_mobile": "8613900000001", "hotlines": ["4008123456", "02287654321"],
}  # fmt: skip
CONTACTS = {
    "hotlines": ["4008999999", "02287654321"], "responsible_name": "新负责人",
    "responsible_mobile": "8613911112222",
}  # fmt: skip


async def test_an_applicant_gets_a_secret_once_and_goes_live_after_review(http, sign_in, tx):
    answer = await http.post("/sps", json=APPLICATION)
    assert answer.status_code == 201
    body = answer.json()
    client = body["client"]
    stored = await tx.fetchval("SELECT secret_hash FROM credential WHERE id = $1",
                               client["client_id"])  # fmt: skip
    assert access.secret_matches(client["client_secret"], stored)
    assert answer.headers["cache-control"] == "no-store"
    officer = await sign_in(make.OFFICER)
    path = f"/sps/{body['sp']['id']}"
    for step, status in [("review", "in_review"), ("activation", "active")]:
        answer = await http.post(f"{path}/{step}", headers=officer)
        assert (answer.status_code, answer.json()["status"]) == (200, status)
    again = await http.post(f"{path}/activation", headers=officer)
    assert (again.status_code, again.json()["code"]) == (409, "not_allowed")


async def test_no_answer_shows_the_responsible_persons_number(http, sign_in, tx, now):
    applied = (await http.post("/sps", json=APPLICATION)).json()["sp"]
    officer = await sign_in(make.OFFICER)
    asked = await http.post(
        f"/sps/{applied['id']}/contact-changes", json=CONTACTS,
        headers=await sign_in(make.sp_actor(applied["id"])),
    )  # fmt: skip
    assert asked.status_code == 201
    answers = [
        await http.get(f"/sps/{applied['id']}", headers=officer),
        await http.get("/sps", headers=officer),
        await http.post(f"/contact-changes/{asked.json()['id']}/decision",
                        json={"approve": True}, headers=officer),
        await http.get(f"/sps/{applied['id']}", headers=officer),
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [200] * 4
    for answer in [asked, *answers]:
        assert "13900000001" not in answer.text
        assert "13911112222" not in answer.text
    assert applied["responsible_mobile"] == "139****0001"
    assert answers[-1].json()["responsible_mobile"] == "139****2222"


async def test_an_sp_never_sees_another_and_the_answer_is_that_of_a_missing_one(
    http, sign_in, tx, now
):
    own, other = await make.sp(tx, now), await make.sp(tx, now)
    headers = await sign_in(make.sp_actor(own))
    assert (await http.get(f"/sps/{own}", headers=headers)).status_code == 200
    for path in ("", "/restrictions"):
        hidden = await http.get(f"/sps/{other}{path}", headers=headers)
        missing = await http.get(f"/sps/{uuid4()}{path}", headers=headers)
        assert (hidden.status_code, hidden.content) == (404, missing.content)
    for path, body in (("contact-changes", CONTACTS), ("client-secrets", None)):
        hidden = await http.post(f"/sps/{other}/{path}", json=body, headers=headers)
        missing = await http.post(f"/sps/{uuid4()}/{path}", json=body, headers=headers)
        assert (hidden.status_code, hidden.content) == (404, missing.content)


@pytest.mark.parametrize("actor", [make.AGENT, make.ADMIN, make.GATEWAY, make.sp_actor(uuid4())])
async def test_only_compliance_reviews_and_restricts(http, sign_in, tx, now, actor):
    sp_id = await make.sp(tx, now)
    headers = await sign_in(actor)
    for path, body in [
        ("review", None), ("activation", None), ("rejection", {"reason": "no"}),
        ("closure", {"reason": "no"}), ("restrictions", {"measure": "shielded", "reason": "no"}),
    ]:  # fmt: skip
        answer = await http.post(f"/sps/{sp_id}/{path}", json=body, headers=headers)
        assert answer.status_code == 403
        assert (await http.post(f"/sps/{sp_id}/{path}", json=body)).status_code == 401


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("licence_no", "b2-20060189"),
        ("licence_no", "B2-20060189\n"),
        ("name", ""),
        ("name", "两行\n名字"),
        ("name", "长" * 61),
        ("responsible_mobile", "13900000001"),
        ("hotlines", ["8613900000001"]),
        ("hotlines", ["4008123456"] * 11),
        ("unknown", 1),
    ],
)
async def test_a_malformed_application_is_refused_whole(http, tx, field, value):
    answer = await http.post("/sps", json=APPLICATION | {field: value})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert await tx.fetchval("SELECT count(*) FROM sp") == 0


async def test_staff_page_through_all_sps(http, sign_in, tx, now):
    made = {str(await make.sp(tx, now)) for _ in range(5)}
    headers, seen, after = await sign_in(make.AGENT), [], ""
    while True:
        page = (await http.get(f"/sps?limit=2{after}", headers=headers)).json()
        seen += [sp["id"] for sp in page["items"]]
        if page.get("next") is None:
            break
        after = f"&after={page['next']}"
    assert len(seen) == 5
    assert set(seen) == made
    wrong = await http.get("/sps?status=nonsense", headers=headers)
    assert wrong.status_code == 400


async def test_an_officers_restriction_is_lifted_by_hand_a_breachs_is_not(http, sign_in, tx, now):
    from spms.partners import actions  # noqa: PLC0415 - arranges what a room above would do
    from spms.partners.model import Measure  # noqa: PLC0415 - see above

    sp_id = await make.sp(tx, now)
    officer = await sign_in(make.OFFICER)
    made = await http.post(
        f"/sps/{sp_id}/restrictions", json={"measure": "shielded", "reason": "抽查"},
        headers=officer,
    )  # fmt: skip
    assert made.status_code == 201
    path = f"/restrictions/{made.json()['id']}/lift"
    lifted = await http.post(path, json={"reason": "已整改"}, headers=officer)
    assert (lifted.status_code, lifted.json()["lift_reason"]) == (200, "已整改")
    of_breach = await actions.restrict(
        tx, sp_id=sp_id, service_id=None, measure=Measure.OFFLINE, cause_kind="breach",
        cause_id="1", reason="test", actor=make.OFFICER, now=now,
    )  # fmt: skip
    refused = await http.post(
        f"/restrictions/{of_breach}/lift", json={"reason": "已整改"}, headers=officer
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "not_by_hand")
    own = await http.get(f"/sps/{sp_id}/restrictions", headers=await sign_in(make.sp_actor(sp_id)))
    assert len(own.json()["items"]) == 2


async def test_a_restriction_that_cannot_be_is_refused(http, sign_in, tx, now):
    sp_id, other = await make.sp(tx, now), await make.sp(tx, now)
    theirs = await make.service(tx, now, other)
    officer = await sign_in(make.OFFICER)
    order = {"measure": "shielded", "reason": "抽查"}
    for values, status in [
        ({"service_id": str(theirs)}, 404),
        ({"service_id": str(uuid4())}, 404),
        ({"ends_at": now.isoformat()}, 422),
        ({"ends_at": "2026-04-01T00:00:00"}, 400),
        ({"measure": "nonsense"}, 400),
    ]:
        answer = await http.post(f"/sps/{sp_id}/restrictions", json=order | values, headers=officer)
        assert answer.status_code == status
    assert await tx.fetchval("SELECT count(*) FROM restriction") == 0
