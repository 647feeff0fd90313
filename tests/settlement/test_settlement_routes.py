"""Both sides over HTTP: the SP sees its own and nothing else; three forms of one statement."""

import csv
from io import BytesIO, StringIO

import openpyxl
import pytest

from spms.core.pack import verify
from spms.core.signing import open_signer
from spms.settlement.statement_xlsx import plain
from tests import make
from tests.settlement.conftest import PRICE


@pytest.fixture(autouse=True)
def signer(sandbox_app, settings):
    sandbox_app.app.state["signer"] = open_signer(settings)


async def test_the_life_of_a_statement_over_http(world, http, sign_in, clock):
    officer, officer_2 = await sign_in(make.OFFICER), await sign_in(make.OFFICER_2)
    sp = await sign_in(make.sp_actor(world.sp_id))
    other_id, _ = await world.another_sp(name="=HYPERLINK(1)")
    other = await sign_in(make.sp_actor(other_id, "900001"))
    await world.charges(60)
    await world.on(2, 10)
    path = f"/settlements/{(await world.state())['id']}"
    assert (await http.get(path, headers=sp)).status_code == 404, "a draft is the operator's"
    assert (await http.get(path, headers=officer)).json()["settlement"]["state"] == "draft"
    await world.on(2, 15)
    assert (await http.get(path, headers=other)).status_code == 404
    listed = (await http.get("/settlements", params={"month": "2026-01"}, headers=sp)).json()
    assert [one["id"] for one in listed["items"]] == [path.rpartition("/")[2]]

    opened = (await http.get(path, headers=sp)).json()
    steps = {step["kind"]: step for step in opened["statement"]["steps"]}
    assert steps["gross"]["arising_fen"] == 60 * PRICE
    under, after = [], None
    while True:
        params = {"step": "gross", "limit": "50"} | ({"after": after} if after else {})
        page = (await http.get(f"{path}/records", params=params, headers=sp)).json()
        under += page["items"]
        if (after := page["next"]) is None:
            break
    assert sum(one["amount_fen"] for one in under) == steps["gross"]["arising_fen"]
    assert len({one["id"] for one in under}) == 60
    assert world.msisdn not in str(under)
    nothing = await http.get(f"{path}/records", params={"step": "share"}, headers=sp)
    assert nothing.status_code == 404

    sealed = await http.get(f"{path}/statement.json", headers=sp)
    checked = verify(sealed.content)
    assert checked.fine
    assert checked.content is not None
    assert checked.content["statement"]["sha256"] == opened["settlement"]["sha256"]
    paper = await http.get(f"{path}/statement.pdf", headers=sp)
    assert paper.content.startswith(b"%PDF-")
    assert verify(paper.content).fine
    sheet = await http.get(f"{path}/statement.xlsx", headers=sp)
    book = openpyxl.load_workbook(BytesIO(sheet.content))
    rows = list(book["步骤 Steps"].iter_rows(min_row=2, values_only=True))
    assert [row[0] for row in rows] == list(range(1, len(steps) + 1))
    assert round(rows[-1][7] * 100) == opened["statement"]["payable_fen"]

    line = {"step": "gross", "expected_fen": 1, "reason": "own count"}
    body = {"statement": "too small", "lines": [line]}
    assert (await http.post(f"{path}/objection", json=body, headers=sp)).status_code == 201
    assert (await http.post(f"{path}/confirmation", headers=sp)).status_code == 409
    await corrected(world, http, officer, officer_2)
    again = await http.post(
        f"{path}/objection/decision", json={"redraw": True, "reason": "credited"}, headers=officer
    )
    assert (again.json()["state"], again.json()["revision"]) == ("sent", 2)
    more = again.json()["payable_fen"] - opened["statement"]["payable_fen"]
    assert more == 5_000
    assert (await http.post(f"{path}/confirmation", headers=sp)).json()["state"] == "confirmed"
    await paid(world, http, officer, officer_2, path)


async def corrected(world, http, officer, officer_2):
    credit = {"sp_id": str(world.sp_id), "kind": "credit", "amount_fen": 5_000, "about": "recount"}
    made = (await http.post("/settlement-adjustments", json=credit, headers=officer)).json()
    decision = f"/settlement-adjustments/{made['id']}/decision"
    yes = {"accept": True, "reason": "seen"}
    assert (await http.post(decision, json=yes, headers=officer)).status_code == 409, "two people"
    assert (await http.post(decision, json=yes, headers=officer_2)).json()["state"] == "approved"


async def paid(world, http, officer, officer_2, path):
    held = await http.post(f"{path}/holds", json={"reason": "a question"}, headers=officer)
    await world.on(2, 24)
    month = {"month": "2026-02"}
    lists = (await http.get("/settlement-payouts", params=month, headers=officer)).json()
    assert (lists["newly_payable"]["settlements"], lists["held"]["settlements"]) == (0, 1)
    refused = await http.get("/settlement-payouts/file", params=month, headers=officer)
    assert refused.status_code == 409, "not approved"
    approved = await http.post("/settlement-payouts/approval", params=month, headers=officer)
    assert approved.status_code == 200
    ids = {"reference": "B-1", "settlement_ids": [path.rpartition("/")[2]]}
    assert (await http.post("/settlement-payments", json=ids, headers=officer)).status_code == 409
    clear = f"/settlement-holds/{held.json()['id']}/clearance"
    because = {"reason": "answered"}
    assert (await http.post(clear, json=because, headers=officer)).status_code == 409
    assert (await http.post(clear, json=because, headers=officer_2)).status_code == 200
    march = {"month": "2026-03"}
    lists = (await http.get("/settlement-payouts", params=march, headers=officer)).json()
    assert lists["resumed"]["settlements"] == 1, "of February's payment, free in March"
    file = await http.get("/settlement-payouts/file", params=month, headers=officer)
    (line, total) = list(csv.DictReader(StringIO(file.content.decode("utf-8-sig"))))
    assert line["payable_fen"] == total["payable_fen"]
    done = await http.post("/settlement-payments", json=ids, headers=officer)
    assert done.json() == {"settlements": 1, "amount_fen": int(line["payable_fen"])}
    again = await http.post("/settlement-payments", json=ids, headers=officer)
    assert again.status_code == 409


async def test_what_if_shows_and_books_nothing(world, http, sign_in, tx):
    officer = await sign_in(make.OFFICER)
    await world.charges(100)
    await world.on(2, 10)
    before = await tx.fetchval("SELECT count(*) FROM settlement_statement")
    ask = {"sp_id": str(world.sp_id), "month": "2026-01"}

    async def asked(status=200, **values):
        answer = await http.post("/settlements/what-if", json=ask | values, headers=officer)
        assert answer.status_code == status, answer.text
        return answer.json()

    same = await asked()
    assert (same["counted"], same["difference_fen"]) == (True, 0)
    assert same["now"]["payable_fen"] == (await world.state())["payable_fen"]
    flat = await asked(rules={"sp_share": [{"up_to": None, "value": 8500}]})
    assert flat["difference_fen"] == 65_600 * 85 // 100 - 65_600 // 2
    assert (await asked(fine_fen=1_000))["difference_fen"] == -1_000
    assert (await asked(cut_breaches=["general"]))["difference_fen"] == -3_280
    assert (await asked(refund_fen=800))["then"]["steps"][1]["taken_fen"] == 800
    assert (await asked(422, rules={"nothing": 1}))["code"] == "rules_unreadable"
    refused = await asked(422, rules={"bad_debt_bp": -1})
    assert refused["code"] == "rules_unreadable"
    assert [one["pointer"] for one in refused["errors"]] == ["/rules/bad_debt_bp"]
    assert (await asked(422, rules={"before_share": []}))["code"] == "unsound_rules"
    assert (await asked(409, month="2030-01"))["code"] == "month_not_counted"
    running = await asked(month="2026-02")
    assert (running["counted"], running["now"]["payable_fen"]) == (False, 0)
    await world.charge(35)
    assert (await asked(month="2026-02"))["now"]["steps"][0]["arising_fen"] == PRICE
    assert before == await tx.fetchval("SELECT count(*) FROM settlement_statement")


def test_what_a_spreadsheet_would_calculate_is_text():
    assert [plain(text) for text in ("=1", "+1", "-1", "@A", "天津")] == [
        "'=1", "'+1", "'-1", "'@A", "天津",
    ]  # fmt: skip
