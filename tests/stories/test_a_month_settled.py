"""A month in which people paid and one charge was wrong, settled with its SP, over the API only."""

from datetime import UTC, datetime
from typing import Any

from spms.core.pack import verify
from tests.stories.sale import LI, ZHAO, Sale, charge
from tests.stories.world import Company, World


async def until(world: World, month: int, day: int) -> None:
    """Let time pass until noon of a day in Shanghai, and let happen what is due by then."""
    world.clock.at = datetime(2026, month, day, 4, tzinfo=UTC)
    await world.settle()


async def bytes_of(world: World, company: Company, path: str) -> bytes:
    """Fetch something that is not JSON."""
    await company.api.get("/settlements")  # signs in where the token has run out
    bearer = {"Authorization": f"Bearer {company.api._token}"}
    answer = await world.http.get(path, headers=bearer)
    assert answer.status_code == 200, answer.text
    return answer.content


def fen(steps: list[Any], kind: str) -> int:
    (step,) = (step for step in steps if step["kind"] == kind)
    return int(step["taken_fen"] or step["arising_fen"])


async def test_a_month_settled(world: World) -> None:
    company = await world.company("津门天气信息有限公司", "4008000001", "02287654321")
    shop = await world.shop(company, code="880101", keyword="TQ", price_fen=800)
    sale = Sale(shop=shop, li=await world.phone(LI), zhao=await world.phone(ZHAO))
    await world.subscribe(sale.li, shop)
    await world.later(days=4)
    right = await charge(world, sale, "2026-03-a")
    assert "findings" not in right, "it stands"
    twice = await charge(world, sale, "2026-03-b")
    assert twice["findings"] == ["duplicate"]
    await world.settle()
    assert "退" in await sale.li.newest(), "the second one came back double"
    owed = await company.api.get(f"/sps/{company.id}/receivable")
    assert owed["receivable_fen"] == 1600

    await until(world, 4, 10)
    assert (await company.api.get("/settlements"))["items"] == [], "a draft is the operator's"
    (draft,) = (await world.officer.get("/settlements"))["items"]
    assert (draft["month"], draft["state"]) == ("2026-03-01", "draft")
    await until(world, 4, 15)
    (sent,) = (await company.api.get("/settlements"))["items"]
    path = f"/settlements/{sent['id']}"
    opened = await company.api.get(path)
    steps = opened["statement"]["steps"]
    assert fen(steps, "gross") == 1600
    assert fen(steps, "refunds") == 800, "the first multiple: nobody earns it"
    assert (fen(steps, "bad_debt"), fen(steps, "service_fee")) == (128, 160)
    assert fen(steps, "share") == 256
    assert fen(steps, "compensation") == 256, "of 800: all that there is"
    assert (sent["payable_fen"], opened["settlement"]["held"]) == (0, [])
    under = await company.api.get(f"{path}/records", step="gross")
    assert {one["id"] for one in under["items"]} == {right["charge_id"], twice["charge_id"]}
    paper = await bytes_of(world, company, f"{path}/statement.pdf")
    assert verify(paper).fine

    await credited(world, company, path)
    await until(world, 4, 24)
    locked = (await company.api.get(path))["settlement"]
    assert (locked["state"], locked["pay_month"]) == ("locked", "2026-04-01")
    await paid(world, path)
    left = await company.api.get(f"/sps/{company.id}/receivable")
    assert left["receivable_fen"] == 0


async def credited(world: World, company: Company, path: str) -> None:
    """The SP objects with a line; a correction is approved by two; the next revision has it."""
    line = {"step": "gross", "expected_fen": 9_600, "reason": "ten are missing"}
    body = {"statement": "ten charges were not counted", "lines": [line]}
    await company.api.post(f"{path}/objection", body, status=201)
    credit = {"sp_id": company.id, "kind": "credit", "amount_fen": 2_000, "about": "recount"}
    made = await world.officer.post("/settlement-adjustments", credit, status=201)
    decision = f"/settlement-adjustments/{made['id']}/decision"
    yes = {"accept": True, "reason": "seen"}
    await world.officer.post(decision, yes, status=409)
    await world.officer2.post(decision, yes)
    again = await world.officer.post(
        f"{path}/objection/decision", {"redraw": True, "reason": "credited"}
    )
    assert (again["revision"], again["payable_fen"]) == (2, 2_256 - 800)
    await company.api.post(f"{path}/confirmation")
    await company.api.post(f"{path}/objection", body, status=409)


async def paid(world: World, path: str) -> None:
    """One officer approves the sheet; what is held is not paid, what is paid is paid once."""
    await world.officer.post("/settlement-payouts/approval?month=2026-04")
    held = await world.officer.post(f"{path}/holds", {"reason": "a question"}, status=201)
    transfer = {"reference": "B-20260515", "settlement_ids": [path.rpartition("/")[2]]}
    await until(world, 5, 15)
    await world.officer.post("/settlement-payments", transfer, status=409)
    await world.officer2.post(f"/settlement-holds/{held['id']}/clearance", {"reason": "answered"})
    lists = await world.officer.get("/settlement-payouts", month="2026-05")
    assert lists["resumed"]["amount_fen"] == 1_456
    done = await world.officer.post("/settlement-payments", transfer)
    assert done == {"settlements": 1, "amount_fen": 1_456}
    await world.officer.post("/settlement-payments", transfer, status=409)
