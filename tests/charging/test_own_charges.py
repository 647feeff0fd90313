"""What an SP reads of its own charges: filters, pages, totals and files, never a number."""

import csv
import io
import zipfile
from datetime import timedelta

import pytest

from spms.charging import own_charge_queries, own_charges
from spms.compensation import actions as compensation
from spms.core.clock import month_range, start_of_day
from spms.core.db import transaction
from spms.subscribers.actions import pseudonym
from tests import make
from tests.charging.world import DAY

MONTH = "2026-03"
TICK = timedelta(microseconds=1)


@pytest.fixture
async def sp(sign_in, world):
    return await sign_in(make.sp_actor(world.sp_id))


@pytest.fixture
async def charges(tx, pool, world):
    """A charge 4 yuan too high, given back double, and four games; another SP's charge beside."""
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    await world.land(world.record(price_fen=1200))
    order = await make.subscription(tx, world.now - DAY / 2, world.msisdn, world.game_id)
    for n in range(4):
        at = world.now - DAY / (3 + n)
        await make.charge(tx, at, world.msisdn, world.game_id, consent_id=order)
    other = await make.sp(tx, world.now)
    await make.charge(tx, world.now - DAY / 9, world.msisdn,
                      await make.service(tx, world.now, other), findings=["no_consent"], due_fen=0)  # fmt: skip
    async with transaction(pool) as work:
        await compensation.refund_findings(work, now=world.now)


async def pages(http, sp, **wanted):
    items, after = [], None
    while True:
        more = {"after": after} if after else {}
        answer = await http.get("/charge-records", params=wanted | more, headers=sp)
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        after = answer.json()["next"]
        if after is None:
            return items


async def test_a_filter_counts_for_pages_and_totals_alike(http, sp, world, charges):
    for wanted, prices in (
        ({}, [1200, 200, 200, 200, 200]),
        ({"kind": "monthly"}, [1200]),
        ({"service_code": world.game}, [200, 200, 200, 200]),
        ({"refunded": "true"}, [1200]),
        ({"refunded": "true", "kind": "on_demand"}, []),
        ({"month": "2026-02"}, []),
    ):
        asked = {"month": MONTH} | wanted
        items = await pages(http, sp, **asked, limit=2)
        assert sorted((item["price_fen"] for item in items), reverse=True) == prices
        assert items == sorted(items, key=lambda i: (i["charged_at"], i["id"]), reverse=True)
        totals = (await http.get("/charge-records/totals", params=asked, headers=sp)).json()
        wrong = 400 * (1200 in prices)
        assert totals == {
            "lines": len(prices), "charged_fen": sum(prices), "due_fen": sum(prices) - wrong,
            "refunded_fen": wrong, "compensation_fen": wrong,
        }  # fmt: skip


async def test_a_line_has_what_corrects_it_and_the_way_to_its_proof(http, sp, world, charges):
    (wrong,) = await pages(http, sp, month=MONTH, refunded="true")
    assert [(one["kind"], one["amount_fen"]) for one in wrong["corrections"]] == [
        ("principal", 400), ("compensation", 400),
    ]  # fmt: skip
    assert wrong["consent_id"] is not None
    proof = await http.get(wrong["evidence"], headers=sp)
    assert proof.status_code == 200
    assert wrong["consent_id"] in proof.text
    assert world.msisdn not in proof.text


async def test_a_filter_without_a_month_is_refused_and_a_cursor_is_one_lists(http, sp, charges):
    answer = await http.get("/charge-records", params={"kind": "monthly"}, headers=sp)
    assert (answer.status_code, answer.json()["code"]) == (422, "month_needed")
    page = await http.get("/charge-records", params={"limit": 1, "month": MONTH}, headers=sp)
    for other in ({}, {"month": "2026-02"}, {"month": MONTH, "kind": "on_demand"}):
        answer = await http.get(
            "/charge-records", params=other | {"after": page.json()["next"]}, headers=sp
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


async def exported(http, sp, form, **wanted):
    params = {"month": MONTH, "form": form} | wanted
    answer = await http.get("/charge-records/file", params=params, headers=sp)
    assert answer.status_code == 200, answer.text
    return answer


async def test_a_csv_has_all_its_own_lines_in_pieces_and_no_number(
    http, sp, tx, world, charges, monkeypatch
):
    monkeypatch.setattr(own_charges, "PIECE", 2)
    answer = await exported(http, sp, "csv", lang="en")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    secret = await tx.fetchval("SELECT secret FROM instance")
    assert {row[2] for row in rows[1:-3]} == {pseudonym(secret, world.sp_id, world.msisdn, 1)}
    records = await tx.fetch("SELECT record_id FROM charge_record WHERE sp_id = $1", world.sp_id)
    own = [row[12] for row in rows[1:-3] if row[0] == "代收费"]
    assert sorted(own) == sorted(row["record_id"] for row in records)
    assert [(row[0], row[9]) for row in rows[-3:]] == [
        ("total", "20.00"), ("total refund", "-4.00"), ("total compensation", "-4.00"),
    ]  # fmt: skip
    assert [row[9] for row in rows if row[0] in {"refund", "compensation"}] == ["-4.00", "-4.00"]
    assert world.msisdn not in answer.text


async def test_a_file_that_a_filter_left_lines_out_of_says_so(http, sp, world, charges):
    only = f"this file has only: service {world.game}"
    for form in ("csv", "xlsx"):
        content = (await exported(http, sp, form, lang="en", service_code=world.game)).content
        if form == "xlsx":
            with zipfile.ZipFile(io.BytesIO(content)) as book:
                content = b"".join(book.read(name) for name in book.namelist())
        assert only in content.decode(errors="replace")
    assert "only" not in (await exported(http, sp, "csv", lang="en")).text


async def test_other_files_hide_the_number_too(http, sp, world, charges):
    for form in ("xlsx", "pdf"):
        content = (await exported(http, sp, form)).content
        if form == "xlsx":
            with zipfile.ZipFile(io.BytesIO(content)) as book:
                content = b"".join(book.read(name) for name in book.namelist())
        assert world.msisdn.encode() not in content
        assert len(content) > 1000


async def test_only_an_sp_has_charges_of_its_own(http, sign_in, world):
    for actor in (make.AGENT, make.OFFICER, make.subscriber_actor(world.msisdn)):
        headers = await sign_in(actor)
        for path in ("/charge-records/totals", "/charge-records/file"):
            answer = await http.get(path, params={"month": MONTH, "form": "csv"}, headers=headers)
            assert answer.status_code == 403


async def test_totals_are_read_day_by_day_and_lose_nothing_between_two(
    http, sp, tx, world, charges, monkeypatch
):
    order = await make.subscription(tx, world.now - DAY, world.msisdn, world.game_id)
    midnight = start_of_day(world.now.date())
    for at in (midnight - TICK, midnight, midnight + TICK, midnight - DAY,
               month_range(world.now.date())[0]):  # fmt: skip
        await make.charge(tx, at, world.msisdn, world.game_id, consent_id=order)
    asked = []
    summed = own_charge_queries.totals

    async def noted(read, sp_id, period, wanted):
        asked.append(period)
        return await summed(read, sp_id, period, wanted)

    monkeypatch.setattr(own_charge_queries, "totals", noted)
    answer = await http.get("/charge-records/totals", params={"month": MONTH}, headers=sp)
    told = answer.json()
    assert (told["lines"], told["charged_fen"]) == (10, 1200 + 9 * 200)
    assert max(end - start for start, end in asked) == DAY
    assert len(asked) == 31
