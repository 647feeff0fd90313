"""What was decided about a number: whole, in bounded parts, for an officer who says why."""

from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient

from spms.authorisation import number_queries
from spms.authorisation.model import Purpose
from spms.core.db import Connection
from tests import make
from tests.authorisation.arrange import SECOND, SignIn, World

WHY = "投诉工单 12"
MESSAGE: dict[str, Any] = {"purpose": Purpose.MESSAGE, "price_fen": 0}


async def everything(
    http: AsyncClient, headers: dict[str, str], msisdn: str, **values: Any
) -> tuple[list[dict[str, Any]], int]:
    """Turn all pages; return what is on them and how many there were."""
    items: list[dict[str, Any]] = []
    asked = {"msisdn": msisdn, "month": "2026-03", "reason": WHY} | values
    after, pages = None, 0
    while after is not None or not pages:
        answer = await http.post("/authorisations/search", json=asked | {"after": after},
                                 headers=headers)  # fmt: skip
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        after, pages = page.get("next"), pages + 1
        assert pages < 100
    return items, pages


@pytest.mark.parametrize("bounds", [(2_000_000, 20_000), (1, 20_000), (2_000_000, 1), (5, 2)])
async def test_an_officer_finds_every_decision_about_a_number_however_small_the_parts(
    world: World, owner: Connection, http: AsyncClient, sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch, bounds: tuple[int, int],
) -> None:  # fmt: skip
    monkeypatch.setattr(number_queries, "LOOKED_MAX", bounds[0])
    monkeypatch.setattr(number_queries, "PACKS_MAX", bounds[1])
    other = await make.number(owner, world.now)
    rival = await make.sp(owner, world.now)
    push, noise = world.question(**MESSAGE), world.question(**MESSAGE, msisdn=other)
    expected: list[UUID] = []
    for n in range(4):
        at = world.now + n * SECOND
        mine = await world.decide(noise, push, noise, push, at=at)
        expected += [mine[1].id, mine[3].id]
        await world.decide(noise, at=at)
        theirs = await world.decide(push, sp_id=rival, at=at)
        expected += [theirs[0].id]
        charged = await world.decide(world.question(), world.question(msisdn=other), at=at)
        expected += [charged[0].id]
    headers = await sign_in(make.OFFICER)
    for limit in (100, 3, 1):
        items, pages = await everything(http, headers, world.msisdn, limit=limit)
        assert sorted(UUID(one["id"]) for one in items) == sorted(expected)
        assert pages > 1 or bounds[1] > 1
    assert {one["subscriber"] for one in items} == {f"{world.msisdn[2:5]}****{world.msisdn[-4:]}"}
    assert world.msisdn not in str(items)
    assert [one["purpose"] for one in items[:4]] == ["charge"] * 4
    code = await owner.fetchval("SELECT code FROM sp WHERE id = $1", rival)
    theirs_only, _ = await everything(http, headers, world.msisdn, sp_code=code)
    assert {one["sp_id"] for one in theirs_only} == {str(rival)}
    assert len(theirs_only) == 4
    assert (await everything(http, headers, world.msisdn, month="2026-02"))[0] == []
    looks = await owner.fetch("SELECT reason FROM audit_log WHERE act = 'decisions.looked_up'")
    assert {row["reason"] for row in looks} == {WHY}


async def test_nobody_else_may_and_nothing_is_shown_without_a_reason(
    world: World, http: AsyncClient, sign_in: SignIn
) -> None:
    asked = {"msisdn": world.msisdn, "month": "2026-03", "reason": WHY}
    for actor in (make.AGENT, make.sp_actor(world.sp_id), make.subscriber_actor(world.msisdn)):
        answer = await http.post(
            "/authorisations/search", json=asked, headers=await sign_in(actor)
        )  # fmt: skip
        assert answer.status_code == 403
    officer = await sign_in(make.OFFICER)
    for wrong in ({"reason": None}, {"month": "2026-13"}, {"sp_code": "x"}, {"after": "x"}):
        answer = await http.post("/authorisations/search", json=asked | wrong, headers=officer)
        assert answer.status_code == 400
        assert world.msisdn not in answer.text
    unknown = await http.post(
        "/authorisations/search", json=asked | {"sp_code": "999999"}, headers=officer
    )
    assert unknown.status_code == 404


async def test_a_search_reads_packs_by_their_key_and_numbers_by_theirs(
    world: World, owner: Connection
) -> None:
    for n in range(3):
        await world.decide(world.question(**MESSAGE), world.question(), at=world.now + n * SECOND)
    await owner.execute("SET enable_seqscan = off")
    month = (world.now - 30 * SECOND, world.now + 30 * SECOND)
    plans = []
    for statement, values in (
        (number_queries.PACKS,
         (world.msisdn, *month, UUID(int=0), UUID(int=0), number_queries.LAST, 10, 10, 10)),
        (number_queries.CHARGES,
         (world.msisdn, *month, month[1], number_queries.LAST, None, 10)),
    ):  # fmt: skip
        rows = await owner.fetch(f"EXPLAIN {statement}", *values)
        plans.append("\n".join(row[0] for row in rows))
    assert "decision_pack_202603_pkey" in plans[0]
    assert "Index Cond: ((ROW(sp_id, id) > ROW(" in plans[0]
    assert "authorisation_202603" in plans[1]
    assert "msisdn = '" in plans[1]
    assert "Seq Scan" not in "".join(plans)
