"""The bill with what corrects it: filters, totals, files; and how often an agent may look."""

import asyncio
import csv
import io
import zipfile

import pytest

from spms.charging import looks
from spms.charging.looks import LooksUsedUp
from spms.compensation import actions as compensation
from spms.core.db import transaction
from tests import make
from tests.charging.world import DAY

MONTH = "2026-03"


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
        "compensation_fen": 400,
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
    [("zh", ("代收费", "退费", "赔付")), ("en", ("代收费", "refund", "compensation"))],
)
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
    body = {(row[0], row[9]) for row in rows[1:-3]}
    assert body == {
        (words[0], "12.00"), (words[0], "2.00"), (words[1], "-4.00"), (words[2], "-4.00"),
    }  # fmt: skip
    assert not any(cell.startswith("=") for row in rows for cell in row)
    assert world.msisdn not in answer.text


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
