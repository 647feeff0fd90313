"""The bill with what corrects it: filters, totals, files; and how often an agent may look."""

import asyncio
import csv
import io
import zipfile
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from spms.charging import bill_file, bill_pdf, bill_sheet
from spms.charging.bill_model import Bill, BillLine, Correction, HolderTotals, evidence_of
from spms.charging.bill_words import Lang
from spms.charging.finding_words import NAMES, in_words
from spms.charging.model import Delivery, Finding, Kind
from spms.compensation import actions as compensation
from spms.core.db import transaction
from spms.core.phone import mask
from spms.subscribers import looks
from spms.subscribers.looks import LooksUsedUp
from tests import make
from tests.charging.world import DAY

MONTH = "2026-03"
EMPTY = Bill(
    month=MONTH, number="", items=[],
    totals=HolderTotals(
        lines=0, charged_fen=0, due_fen=0, refunded_fen=0, compensation_fen=0, points=0
    ),
)  # fmt: skip


@pytest.fixture
async def person(sign_in, world):
    return await sign_in(make.subscriber_actor(world.msisdn))


@pytest.fixture
async def agent(sign_in):
    return await sign_in(make.AGENT)


@pytest.fixture
async def charges(tx, pool, world):
    """Two charges of the same SP; of the monthly one 4 yuan too many were given back double."""
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    await make.subscription(tx, world.now - DAY / 2, world.msisdn, world.game_id)
    landing = await world.land(
        world.record(price_fen=1200), world.record(service_code=world.game, price_fen=200)
    )
    async with transaction(pool) as work:
        await compensation.refund_findings(work, now=world.now)
    monthly, game = (outcome.charge_id for outcome in landing.outcomes)
    return monthly, game


async def lines(http, person, **wanted):
    answer = await http.get("/my/bill", params={"month": MONTH} | wanted, headers=person)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_refunds_stand_beside_what_they_correct_and_in_the_totals(http, person, charges):
    bill = await lines(http, person)
    found = {line["id"]: line for line in bill["items"]}
    first, second = found[str(charges[0])]["corrections"]
    assert (first["kind"], second["kind"]) == ("principal", "compensation")
    assert first["amount_fen"] == second["amount_fen"] == 400
    assert found[str(charges[1])]["corrections"] == []
    assert {line["label"] for line in bill["items"]} == {"代收费"}
    assert bill["totals"] == {
        "lines": 2, "charged_fen": 1400, "due_fen": 1000, "refunded_fen": 400,
        "compensation_fen": 400, "points": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "prices"),
    [
        ({"kind": "monthly"}, [1200]),
        ({"kind": "on_demand"}, [200]),
        ({"refunded": "true"}, [1200]),
        ({"refunded": "true", "kind": "on_demand"}, []),
        ({"sp_code": "000000"}, []),
        ({"service_code": "GAME"}, [200]),
        ({"sp_code": "SP"}, [1200, 200]),
    ],
)
async def test_a_filter_counts_for_lines_and_totals_alike(
    http, person, tx, world, charges, wanted, prices
):
    known = {
        "GAME": world.game,
        "SP": await tx.fetchval("SELECT code FROM sp WHERE id = $1", world.sp_id),
    }
    bill = await lines(http, person, **{name: known.get(v, v) for name, v in wanted.items()})
    assert sorted(line["price_fen"] for line in bill["items"]) == sorted(prices)
    assert (bill["totals"]["lines"], bill["totals"]["charged_fen"]) == (len(prices), sum(prices))


async def test_a_cursor_of_one_filter_is_none_of_another(http, person, charges):
    page = await lines(http, person, limit=1)
    params = {"month": MONTH, "kind": "monthly", "after": page["next"]}
    answer = await http.get("/my/bill", params=params, headers=person)
    assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


async def exported(http, person, form, **wanted):
    params = {"month": MONTH, "form": form} | wanted
    return await http.get("/my/bill/file", params=params, headers=person)


@pytest.mark.parametrize(
    ("lang", "words"),
    [("zh", ("代收费", "退费", "赔付", "高于约定资费")),
     ("en", ("代收费", "refund", "compensation", "more than was agreed"))],
)  # fmt: skip
async def test_a_bill_as_csv_has_each_line_with_its_corrections_below(
    http, person, owner, world, charges, lang, words
):
    await owner.execute("UPDATE service SET name = '=HYPERLINK(1)' WHERE id = $1", world.game_id)
    answer = await exported(http, person, "csv", lang=lang)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [(row[0], row[9]) for row in rows[1:]][-3:] == [
        (rows[-3][0], "14.00"), (rows[-2][0], "-4.00"), (rows[-1][0], "-4.00"),
    ]  # fmt: skip
    assert sorted(row[11] for row in rows[1:-3]) == ["", "", "", words[3]]
    body = {(row[0], row[9]) for row in rows[1:-3]}
    assert body == {
        (words[0], "12.00"), (words[0], "2.00"), (words[1], "-4.00"), (words[2], "-4.00"),
    }  # fmt: skip
    assert not any(cell.startswith("=") for row in rows for cell in row)
    assert world.msisdn not in answer.text


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("zh", "本文件只含：服务商 {sp}、业务 {service}、点播、有退费或赔付的"),
        (
            "en",
            "this file has only: SP {sp}, service {service}, on_demand, with something given back",
        ),
    ],
)
async def test_a_file_that_a_filter_left_lines_out_of_says_so(
    http, person, agent, tx, world, charges, monkeypatch, lang, said
):
    """Or its totals would be taken for the month's."""
    sp = await tx.fetchval("SELECT code FROM sp WHERE id = $1", world.sp_id)
    said = said.format(sp=sp, service=world.game).replace("on_demand", "on demand")
    wanted = {"sp_code": sp, "service_code": world.game, "kind": "on_demand"}
    answer = await exported(http, person, "csv", lang=lang, refunded="true", **wanted)
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[-1][0] == said
    assert said not in (await exported(http, person, "csv", lang=lang)).text
    body = look(world, form="csv", lang=lang, refunded=True) | wanted
    assert said in (await http.post("/bills/file", json=body, headers=agent)).text
    drawn = []
    monkeypatch.setattr(bill_pdf, "_text", lambda _canvas, text, *_, **__: drawn.append(text))
    assert (await exported(http, person, "pdf", lang=lang, refunded="true", **wanted)).is_success
    assert sum(said in text and MONTH in text for text in drawn) == 1, "on top of its one page"


async def test_a_bill_as_a_spreadsheet_holds_no_formula(http, person, charges):
    answer = await exported(http, person, "xlsx")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        strings = book.read("xl/sharedStrings.xml").decode()
    assert "代收费" in strings
    assert "<f>" not in sheet


def look(world, **values):
    return {"msisdn": world.msisdn, "month": MONTH, "reason": "call 12"} | values


async def test_a_further_page_of_a_bill_is_no_further_look(http, agent, tx, world, charges):
    page = (await http.post("/bills/search", json=look(world, limit=1), headers=agent)).json()
    body = look(world, limit=1, after=page["next"])
    assert (await http.post("/bills/search", json=body, headers=agent)).status_code == 200
    assert await tx.fetchval("SELECT used FROM bill_quota WHERE span = 'hour'") == 1


@pytest.mark.parametrize("span", ["hour", "day"])
async def test_of_many_looks_at_once_no_more_than_the_limit_get_through(
    http, agent, pool, tx, world, span
):
    limit = looks.LooksRules().hour if span == "hour" else looks.LooksRules().day
    await http.post("/bills/search", json=look(world), headers=agent)
    await tx.execute("UPDATE bill_quota SET used = $1 WHERE span = $2", limit - 3, span)

    async def one():
        try:
            async with transaction(pool) as work:
                await looks.count(
                    work, world.msisdn, reason="call", actor=make.AGENT, now=world.now
                )
        except LooksUsedUp:
            return 0
        return 1

    assert sum(await asyncio.gather(*[one() for _ in range(8)])) == 3
    answer = await http.post("/bills/search", json=look(world), headers=agent)
    assert (answer.status_code, answer.json()["code"]) == (429, "looks_used_up")
    assert int(answer.headers["retry-after"]) > 0


async def test_a_look_at_a_canary_is_told_and_the_agent_sees_nothing_odd(
    http, agent, sign_in, tx, world
):
    officer = await sign_in(make.OFFICER)
    canary = await make.number(tx, world.now)
    added = await http.post("/canary-numbers", json={"msisdn": canary}, headers=officer)
    assert added.status_code == 204
    plain = await http.post("/bills/search", json=look(world), headers=agent)
    touched = await http.post("/bills/search", json=look(world, msisdn=canary), headers=agent)
    assert (plain.status_code, touched.status_code) == (200, 200)
    assert plain.json().keys() == touched.json().keys()
    (one,) = (await http.get("/canary-touches", headers=officer)).json()
    assert (one["touched_by"], one["reason"]) == (make.AGENT.label, "call 12")
    assert (await http.get("/canary-touches", headers=agent)).status_code == 403


async def test_a_bill_as_pdf_has_its_lines_and_the_same_bytes_again(http, person, charges):
    first, again, english = [
        (await exported(http, person, "pdf", **more)) for more in ({}, {}, {"lang": "en"})
    ]
    assert first.headers["content-type"] == "application/pdf"
    assert first.content.startswith(b"%PDF-")
    assert first.content == again.content
    assert first.content != english.content


def a_line(n, **values):
    charge_id = UUID(int=n)
    fields = {
        "id": charge_id, "charged_at": datetime(2026, 3, 1, tzinfo=UTC),
        "received_at": datetime(2026, 3, 1, tzinfo=UTC), "sp_code": "100001",
        "sp_name": "天津信息" * 9, "service_code": "600001", "service_name": f"天气{n}",
        "kind": Kind.MONTHLY, "access_number": "10660001", "price_fen": 800, "due_fen": 800,
        "findings": [], "delivery": Delivery.NONE, "consent_id": charge_id,
        "authorisation_id": charge_id, "corrections": [], "evidence": evidence_of(charge_id),
    }  # fmt: skip
    return BillLine(**(fields | values))


def test_paper_has_every_line_with_its_way_to_what_proves_it(monkeypatch):
    drawn = []
    monkeypatch.setattr(bill_pdf, "_text", lambda _canvas, text, *_, **__: drawn.append(text))
    back = Correction(kind="principal", amount_fen=800, at=datetime(2026, 3, 2, tzinfo=UTC))
    bill = Bill(
        month=MONTH, number="86138****0000", next="more",
        totals=HolderTotals(
            lines=2345, charged_fen=48_000, due_fen=48_000, refunded_fen=800, compensation_fen=0,
            points=47_201,
        ),
        items=[a_line(n, corrections=[back] if n == 7 else []) for n in range(60)],
    )  # fmt: skip
    bill_pdf.render(bill_sheet.of_bill(bill, Lang.EN))
    assert [f"600001 天气{n}" in drawn for n in range(60)] == [True] * 60
    proofs = [text for text in drawn if evidence_of(UUID(int=59)) in text]
    assert len(proofs) == 1
    assert proofs[0].count(str(UUID(int=59))) == 4
    at = drawn.index("600001 天气7", drawn.index("600001 天气7") + 1)
    assert "refund" in drawn[at - 4 : at]
    assert drawn[at + 3] == "-8.00"
    at = drawn.index("points")
    assert "47201" in drawn[at : at + 9]
    missing = "only the newest 60 of 2345 charges; CSV has up to 10000, the others are online"
    assert missing in drawn  # below the totals
    assert sum(missing in text and "2026-03" in text for text in drawn) >= 3  # on top of each page
    assert sum(text.startswith("page ") for text in drawn) >= 3


def test_every_finding_has_words():
    assert set(NAMES) == set(Finding)
    assert in_words([Finding.DUPLICATE, Finding.OVER_CAP], Lang.ZH) == "重复收费、超过限额"


def test_what_is_too_long_for_its_column_ends_in_an_ellipsis_within_it():
    bill_pdf.render(bill_sheet.of_bill(EMPTY, Lang.ZH))  # makes the font known
    text, taken = bill_pdf._fitted("天津信息" * 9, 10)
    assert text.endswith("…")
    assert taken <= 10
    assert bill_pdf._fitted("天津", 10) == ("天津", 2.0)


async def test_an_agents_file_is_one_look_on_record_and_hides_the_number(
    http, agent, tx, world, charges
):
    body = look(world, form="csv", reason="ticket 3", kind="monthly")
    answer = await http.post("/bills/file", json=body, headers=agent)
    assert answer.status_code == 200, answer.text
    assert answer.text.count("代收费") == 1
    assert world.msisdn not in answer.text
    assert await tx.fetchval("SELECT used FROM bill_quota WHERE span = 'hour'") == 1
    log = await tx.fetch("SELECT act, reason FROM audit_log WHERE act LIKE 'bill.%'")
    assert [tuple(row) for row in log] == [("bill.exported", "ticket 3")]
    await tx.execute("UPDATE bill_quota SET used = $1", looks.LooksRules().day)
    refused = await http.post("/bills/file", json=body, headers=agent)
    assert (refused.status_code, refused.json()["code"]) == (429, "looks_used_up")


async def test_no_file_shows_a_new_holder_what_the_former_one_had(
    http, sign_in, agent, tx, world, charges
):
    def shown(answer, form):
        assert answer.status_code == 200, answer.text
        return read(answer.content, form)

    def read(content, form):
        if form == "xlsx":
            with zipfile.ZipFile(io.BytesIO(content)) as book:
                return book.read("xl/sharedStrings.xml")
        return content

    old = await sign_in(make.subscriber_actor(world.msisdn))
    empty = {}
    for form in ("csv", "xlsx", "pdf"):
        nothing = msgspec.structs.replace(EMPTY, number=mask(world.msisdn))
        sheet = bill_sheet.of_bill(nothing, Lang.ZH)
        empty[form] = read(bill_file.write(sheet, bill_file.FileKind(form)), form)
        assert shown(await exported(http, old, form), form) != empty[form]
    await tx.execute(
        "UPDATE number SET epoch = 2, epoch_since = $2 WHERE msisdn = $1", world.msisdn, world.now
    )
    new = await sign_in(make.subscriber_actor(world.msisdn, epoch=2))
    for form, nothing in empty.items():
        assert (await exported(http, old, form)).status_code == 403
        assert shown(await exported(http, new, form), form) == nothing
        looked = await http.post("/bills/file", json=look(world, form=form), headers=agent)
        assert shown(looked, form) == nothing


async def test_what_a_charge_rests_on_and_what_was_given_back_are_looks_too(
    http, agent, sign_in, tx, world, charges
):
    """A canary's are told as well; an officer's are on record and not counted."""
    charge_id = await tx.fetchval(
        "SELECT id FROM charge_record WHERE msisdn = $1 LIMIT 1", world.msisdn
    )
    officer, path = await sign_in(make.OFFICER), f"/charge-records/{charge_id}/evidence-pack"
    await http.post("/canary-numbers", json={"msisdn": world.msisdn}, headers=officer)
    why = {"reason": "call 12"}
    calls = [
        (f"{path}.json", why), (f"{path}.pdf", why),
        ("/refunds/search", why | {"msisdn": world.msisdn}),
    ]  # fmt: skip
    for n, (url, body) in enumerate(calls, start=1):
        assert (await http.post(url, json=body, headers=agent)).status_code == 200
        assert await tx.fetchval("SELECT used FROM bill_quota WHERE span = 'hour'") == n
    assert (await http.post(f"{path}.json", json=why, headers=officer)).status_code == 200
    assert len((await http.get("/canary-touches", headers=officer)).json()) == 3
    await tx.execute("UPDATE bill_quota SET used = $1 WHERE span = 'hour'", looks.LooksRules().hour)
    for url, body in calls:
        answer = await http.post(url, json=body, headers=agent)
        assert (answer.status_code, answer.json()["code"]) == (429, "looks_used_up")


async def test_a_look_without_a_reason_is_none(http, agent, sign_in, tx, world, charges):
    charge_id = await tx.fetchval("SELECT id FROM charge_record LIMIT 1")
    officer, number = await sign_in(make.OFFICER), {"msisdn": world.msisdn}
    month = number | {"month": MONTH}
    for who, path, body in (
        (agent, "/bills/search", month), (agent, "/bills/file", month | {"form": "csv"}),
        (agent, "/bills/lines/search", number | {"charge_id": str(charge_id)}),
        (agent, "/refunds/search", number),
        (agent, f"/charge-records/{charge_id}/evidence-pack.json", {}),
        (officer, "/authorisations/search", month),
    ):  # fmt: skip
        for reason in ("", "  \t ", "\u3000\u3000"):
            answer = await http.post(path, json=body | {"reason": reason}, headers=who)
            assert answer.status_code == 400, path
            assert answer.json()["errors"][0]["pointer"] == "/reason"
    assert await tx.fetchval("SELECT count(*) FROM bill_quota") == 0
