"""One chain, told through the public API only: application, sale, consent, decision, charge, error,
double refund, SP receivable, spot check, breach, restriction, appeal; at the end the books."""

import asyncpg
import msgspec

from spms.inspections.sandbox_call import LineKind
from tests.stories.sale import LI, ZHAO, Sale, ask, charge, raced, signed_in
from tests.stories.world import OPERATOR, Company, Shop, World

HOTLINES = ("4008000001", "02287654321")


async def test_from_application_to_quashed_appeal(world: World, owner: asyncpg.Connection) -> None:
    company = await an_sp_goes_live_only_with_two_hotlines(world)
    shop = await a_service_is_sold_only_once_its_notice_is_approved(world, company)
    li, zhao = await world.phone(LI), await world.phone(ZHAO)
    sale = Sale(shop=shop, li=li, zhao=zhao)

    await two_consents_make_a_subscription(world, sale)
    right = await a_charge_that_was_allowed_is_on_the_bill_and_explains_itself(world, sale)
    errors = await three_errors_are_refunded_double_once(world, sale)
    await the_sp_owes_exactly_what_was_paid_back(world, sale, right, errors)

    await world.subscribe(zhao, shop)
    await world.later(hours=72)
    assert (await ask(sale))["allowed"]
    breach_id = await a_changed_hotline_is_a_breach_only_after_retest(world, sale)
    refused = await the_ladder_shields_the_service(world, sale, breach_id)
    await the_appeal_is_quashed_by_another_officer(world, sale, breach_id)
    await the_refusal_still_explains_itself(sale, refused, breach_id)

    await another_sp_sees_nothing_of_it(world, sale, refused, breach_id)
    await an_agent_sees_the_bill_with_a_reason(world, sale)
    await the_books_are_right(owner, sale, errors)


async def an_sp_goes_live_only_with_two_hotlines(world: World) -> Company:
    company = await world.applicant("津门天气信息有限公司", HOTLINES[0])
    sp = f"/sps/{company.id}"
    await world.officer.post(f"{sp}/review")
    refusal = await world.officer.post(f"{sp}/activation", status=422)
    assert [error["pointer"] for error in refusal["errors"]] == ["/hotlines"]

    contacts = {
        "hotlines": HOTLINES, "responsible_name": "王芳", "responsible_mobile": "8613900000001",
    }  # fmt: skip
    change = await company.api.post(f"{sp}/contact-changes", contacts, status=201)
    assert (await company.api.get(sp))["hotlines"] == [HOTLINES[0]], "not in force before approval"
    await world.officer.post(f"/contact-changes/{change['id']}/decision", {"approve": True})
    assert (await world.officer.post(f"{sp}/activation"))["status"] == "active"
    return msgspec.structs.replace(company, hotlines=HOTLINES)


async def a_service_is_sold_only_once_its_notice_is_approved(
    world: World, company: Company
) -> Shop:
    shop = await world.shop(company, code="880100", keyword="TQ", price_fen=800)
    (offer,) = (await world.agent.get("/services"))["items"]
    assert (offer["service_id"], offer["price_fen"]) == (shop.id, 800)
    assert (offer["hotline"], offer["leave_command"]) == (HOTLINES[0], "TD 880100")
    return shop


async def two_consents_make_a_subscription(world: World, sale: Sale) -> None:
    li, shop = sale.li, sale.shop
    await li.text(shop.access_number, "tq")
    prompt = await li.newest()
    for part in ("津门天气信息有限公司", "8.00元/月", "TD 880100", HOTLINES[0], "不收费"):
        assert part in prompt
    (waiting,) = (await li.web.get("/my/subscriptions"))["items"]
    assert waiting["status"] == "awaiting"
    assert (await ask(sale, li))["reasons"] == ["consent_pending"]

    await world.later(minutes=5)
    await li.text(OPERATOR, "Ｙ")  # full-width, as a Chinese keyboard types it
    (running,) = (await li.web.get("/my/subscriptions"))["items"]
    assert (running["id"], running["status"]) == (waiting["id"], "active")


async def a_charge_that_was_allowed_is_on_the_bill_and_explains_itself(
    world: World, sale: Sale
) -> str:
    await world.later(hours=1)
    assert (await ask(sale, sale.li))["reasons"] == ["trial"]
    (relation,) = (await sale.li.web.get("/my/subscriptions"))["items"]
    assert relation["charge_rule"] == "free_hours"
    await world.later(hours=71)
    decision = await ask(sale, sale.li)
    assert decision["allowed"], decision["reasons"]
    line = await charge(world, sale, "2026-03-1")
    assert (line.get("findings", []), line["due_fen"]) == ([], 800)

    bill = await sale.li.web.get("/my/bill", month="2026-03")
    assert bill["totals"] == {
        "lines": 1, "charged_fen": 800, "due_fen": 800, "refunded_fen": 0, "compensation_fen": 0,
        "points": 0,
    }  # fmt: skip
    assert bill["items"][0]["id"] == line["charge_id"]
    told = await sale.li.web.get(f"/my/bill/lines/{line['charge_id']}")
    assert told["right"]
    assert [(d["id"], d["cited"]) for d in told["decisions"] if d["allowed"]] == [
        (decision["id"], True)
    ]
    relation = told["relation"]
    assert relation["request"]["text"] == "tq"
    assert relation["consent"]["reply_text"] == "Ｙ"
    assert "8.00元/月" in relation["consent"]["prompt_text"]
    assert told["tariff"]["price_fen"] == relation["notice"]["price_fen"] == 800
    return str(line["charge_id"])


async def three_errors_are_refunded_double_once(world: World, sale: Sale) -> dict[str, int]:
    """Return how much each wrong charge came to."""
    await world.later(days=1)
    await signed_in(world, sale)
    duplicate = await charge(world, sale, "2026-03-2")
    assert (duplicate["findings"], duplicate["due_fen"]) == (["duplicate"], 0)
    await raced(world, sale, duplicate["charge_id"], refunded_fen=1600)

    await world.later(days=30)  # April
    await signed_in(world, sale)
    dearer = await charge(world, sale, "2026-04-1", price_fen=900)
    assert (dearer["findings"], dearer["due_fen"]) == (["price_mismatch"], 800)
    await raced(world, sale, dearer["charge_id"], refunded_fen=200)

    await world.later(days=1)
    await sale.li.text(OPERATOR, "TD")
    assert "退订成功" in await sale.li.newest()
    await world.later(hours=1)
    assert (await ask(sale, sale.li))["reasons"] == ["no_consent"]
    await signed_in(world, sale)
    late = await charge(world, sale, "2026-04-2")
    assert (late["findings"], late["due_fen"]) == (["after_unsubscribe"], 0)
    await raced(world, sale, late["charge_id"], refunded_fen=1600)
    return {duplicate["charge_id"]: 1600, dearer["charge_id"]: 200, late["charge_id"]: 1600}


async def the_sp_owes_exactly_what_was_paid_back(
    world: World, sale: Sale, right: str, errors: dict[str, int]
) -> None:
    owed = await sale.company.api.get(f"/sps/{sale.company.id}/receivable")
    assert owed["receivable_fen"] == 3400 == sum(errors.values())
    back = (await sale.li.web.get("/my/refunds"))["items"]
    assert {r["charge_id"]: r["principal_fen"] + r["compensation_fen"] for r in back} == errors
    assert all(r["principal_fen"] == r["compensation_fen"] for r in back)
    told = [text.rpartition("共")[2] for text in await sale.li.inbox() if "现退还" in text]
    assert told == ["16.00元。", "2.00元。", "16.00元。"]

    stands = await sale.li.web.post("/claims", {"charge_id": right, "reason": "我没有订购"})
    assert (stands["state"], stands["refunded_fen"]) == ("stands", 0)
    assert stands["proof"]["reply_text"] == "Ｙ"


async def a_changed_hotline_is_a_breach_only_after_retest(world: World, sale: Sale) -> str:
    """Return the breach that the spot check came to."""
    await world.later(days=4)  # Tuesday; the plans of the days before found everybody at home
    await world.line(HOTLINES[0], LineKind.CHANGED)
    plan = await world.officer.post("/inspection-plans", {"start": "now"}, status=201)
    await world.settle()
    assert (await sale.company.api.get("/breaches"))["items"] == [], "one call proves nothing"

    await world.later(minutes=31)
    await world.line(HOTLINES[0], LineKind.ANSWER)
    items = (await world.officer.get(f"/inspection-plans/{plan['id']}"))["items"]
    verdicts = {item["hotline"]: (item["verdict"], len(item["calls"])) for item in items}
    assert verdicts == {HOTLINES[0]: ("number_changed", 2), HOTLINES[1]: (None, 3)}
    (breach,) = (await sale.company.api.get("/breaches"))["items"]
    assert (breach["kind"], breach["grade"], breach["points"]) == ("hotline_changed", "grave", 60)
    assert (breach["state"], breach["service_ids"]) == ("effective", [sale.shop.id])
    assert (await sale.company.api.get(f"/sps/{sale.company.id}/points"))["left"] == 40
    return str(breach["id"])


async def the_ladder_shields_the_service(world: World, sale: Sale, breach_id: str) -> str:
    """Return the decision that was refused."""
    held = await sale.company.api.get(f"/sps/{sale.company.id}/restrictions")
    assert {r["measure"] for r in held["items"]} == {
        "no_new_services", "no_high_prices", "no_promotion", "shielded",
    }  # fmt: skip
    assert all(breach_id in r["cause_id"] and r["ends_at"] is None for r in held["items"])
    decision = await ask(sale)
    assert decision["reasons"] == ["service_shielded", "month_used"]
    await sale.li.text(sale.shop.access_number, sale.shop.keyword)
    assert "未能受理" in await sale.li.newest()
    await world.later(hours=1)
    return str(decision["id"])


async def the_appeal_is_quashed_by_another_officer(
    world: World, sale: Sale, breach_id: str
) -> None:
    words = {"statement": "号码由运营商调整，非我公司擅自变更"}
    appeal = await sale.company.api.post(f"/breaches/{breach_id}/appeal", words, status=201)
    reasons = (await ask(sale))["reasons"]
    assert reasons == ["service_shielded", "month_used"], "measures hold until decided"
    decision = {"uphold": False, "reason": "核实：号段割接"}
    decided = await world.officer2.post(f"/appeals/{appeal['id']}/decision", decision)
    assert decided["decision"] == "quashed"
    await world.officer.post(f"/appeals/{appeal['id']}/decision", decision, status=409)
    assert (await world.officer.get(f"/breaches/{breach_id}"))["state"] == "quashed"
    assert (await world.officer.get(f"/sps/{sale.company.id}/points"))["left"] == 100
    held = await sale.company.api.get(f"/sps/{sale.company.id}/restrictions")
    assert all(r["ends_at"] for r in held["items"])
    await world.later(minutes=1)
    assert (await ask(sale))["reasons"] == ["month_used"], "nothing but that the month is paid"


async def the_refusal_still_explains_itself(sale: Sale, refused: str, breach_id: str) -> None:
    told = await sale.company.api.get(f"/authorisations/{refused}/explanation")
    assert told["agrees"], told["differences"]
    reasons = ["service_shielded", "month_used"]
    assert told["replay"]["reasons"] == told["decision"]["reasons"] == reasons
    failed = [check for check in told["checks"] if check["verdict"] == "failed"]
    assert [check["reason"] for check in failed] == reasons
    assert breach_id in failed[0]["sentence"]


async def another_sp_sees_nothing_of_it(
    world: World, sale: Sale, refused: str, breach_id: str
) -> None:
    other = await world.company("渤海铃声信息有限公司", "4008000002", "02281234567")
    first = f"/sps/{sale.company.id}"
    (relation,) = [
        one for one in (await sale.company.api.get("/subscriptions"))["items"]
        if one["status"] == "active"
    ]  # fmt: skip
    for path in (
        first, f"{first}/restrictions", f"{first}/contact-changes", f"{first}/receivable",
        f"{first}/points", f"/services/{sale.shop.id}", f"/services/{sale.shop.id}/tariffs",
        f"/breaches/{breach_id}", f"/authorisations/{refused}/explanation",
        f"/subscriptions/{relation['id']}/evidence",
    ):  # fmt: skip
        await sale.company.api.get(path)
        await other.api.get(path, status=404)
    for path in (
        "/subscriptions", "/authorisations", "/charge-records", "/claims", "/breaches",
        "/my/services",
    ):  # fmt: skip
        assert (await sale.company.api.get(path))["items"]
        assert (await other.api.get(path))["items"] == []
    stolen = await charge(world, sale, "2026-04-3", by=other)
    assert (stolen["result"], stolen["reason"]) == ("quarantined", "service_unknown")


async def an_agent_sees_the_bill_with_a_reason(world: World, sale: Sale) -> None:
    search = {"msisdn": LI, "month": "2026-04"}
    await world.agent.post("/bills/search", search, status=400)
    bill = await world.agent.post("/bills/search", search | {"reason": "来电投诉 20260407-12"})
    assert (bill["totals"]["charged_fen"], bill["totals"]["due_fen"]) == (1700, 800)
    assert LI not in str(bill)


async def the_books_are_right(
    owner: asyncpg.Connection, sale: Sale, errors: dict[str, int]
) -> None:
    books = await owner.fetch(
        """SELECT charge_id::text, debit, credit, array_agg(reason ORDER BY reason) AS reasons,
                  sum(amount_fen)::int AS fen, sp_id::text
             FROM posting WHERE reason <> 'payout' GROUP BY charge_id, debit, credit, sp_id"""
    )
    assert {row["charge_id"]: row["fen"] for row in books} == errors
    for row in books:
        assert (row["debit"], row["credit"]) == ("sp_receivable", "subscriber_payable")
        assert row["reasons"] == ["refund_compensation", "refund_principal"]
        assert row["sp_id"] == sale.company.id
    claims = await owner.fetch("SELECT state, count(*)::int AS n FROM claim GROUP BY state")
    assert {row["state"]: row["n"] for row in claims} == {"refunded": len(errors), "stands": 1}
    looked = await owner.fetch("SELECT actor, reason FROM audit_log WHERE act = 'bill.looked_up'")
    assert [(row["actor"], row["reason"]) for row in looked] == [
        ("staff:agent", "来电投诉 20260407-12")
    ]
