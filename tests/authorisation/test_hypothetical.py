"""A decision that nobody asked for: as of any instant, without a trace but the look itself."""

from datetime import datetime
from typing import Any

import msgspec
import pytest
from httpx import AsyncClient

from spms.authorisation.hypothetical import Hypothesis, HypotheticalQuestion, suppose
from spms.authorisation.model import Purpose, Reason
from spms.core import db
from spms.core.db import Connection
from spms.core.errors import NotFound, Unprocessable
from tests import make
from tests.authorisation import arrange
from tests.authorisation.arrange import DAY, HOUR, SECOND, SignIn, World
from tests.authorisation.test_quota import agree

WHY = "来电核实，工单 7"


async def supposed(world: World, at: datetime | None = None, **values: Any) -> Hypothesis:
    code = await world.tx.fetchval("SELECT code FROM sp WHERE id = $1", world.sp_id)
    asked = {
        "sp_code": code, "purpose": Purpose.CHARGE, "msisdn": world.msisdn,
        "service_code": world.code, "price_fen": 800, "at": at, "reason": WHY,
    } | values  # fmt: skip
    async with db.transaction(world.pool) as tx:
        return await suppose(tx, HypotheticalQuestion(**asked), actor=make.AGENT, now=world.now)


async def reasons(world: World, at: datetime | None = None, **values: Any) -> list[str]:
    told = await supposed(world, at, **values)
    assert told.allowed == (not told.reasons)
    assert [check.reason for check in told.checks] == list(Reason)
    return [str(reason) for reason in told.reasons]


async def test_it_says_what_the_decision_says_before_and_after(
    world: World, owner: Connection
) -> None:
    now = world.now
    assert await reasons(world, now - 2 * DAY) == ["no_consent"]
    assert await reasons(world) == []
    assert await world.ask() == []
    assert await reasons(world) == [], "what is decided at the instant does not count yet"
    assert await reasons(world, now + SECOND) == ["month_used"]
    assert await reasons(world, now + 31 * DAY) == []
    assert await reasons(world, now - SECOND) == []
    held = await arrange.restriction(owner, world.sp_id, "offline", now - 3 * HOUR)
    await owner.execute("UPDATE restriction SET ends_at = $2 WHERE id = $1", held, now - 2 * HOUR)
    await arrange.tariff(owner, world.service_id, 1000, now + DAY)
    fresh = await make.number(owner, now)
    assert await reasons(world, now - 3 * HOUR) == ["sp_offline"]
    assert await reasons(world, now - 2 * HOUR) == []
    for at, price_fen in ((now + DAY - SECOND, 800), (now + DAY, 1000)):
        told = await reasons(world, at, msisdn=fresh, price_fen=price_fen)
        assert "price_mismatch" not in told
    assert "price_mismatch" in await reasons(world, now + DAY, msisdn=fresh)
    await owner.execute("UPDATE subscription SET status = 'ended', ended_at = $1", now + HOUR)
    assert await reasons(world, now + HOUR) == ["no_consent", "month_used"][:1]


async def test_an_order_is_used_from_its_use_on(orders: World) -> None:
    assert await orders.ask() == []
    assert await reasons(orders, orders.now - SECOND) == []
    assert await reasons(orders, orders.now + SECOND) == ["order_used"]


async def test_quota_and_text_are_looked_at_as_of_the_instant(
    world: World, owner: Connection
) -> None:
    await agree(world, per_day=2)
    await arrange.insert(
        owner, "rulebook", version=2, effective_from=world.now, reason="test",
        rules={"content": {"forbidden_words": {"lottery": "六合彩"}}}, created_at=world.now,
        created_by="test",
    )  # fmt: skip
    push: dict[str, Any] = {"purpose": Purpose.MESSAGE, "price_fen": 0}
    for _ in range(2):
        assert await world.ask(**push) == []
    assert await reasons(world, world.now + SECOND, **push) == ["sp_quota"]
    assert await reasons(world, world.now + DAY, **push) == []
    assert await reasons(world, world.now, **push, content="六合彩") == ["content_forbidden"]
    assert await reasons(world, world.now - SECOND, **push, content="六合彩") == []


async def test_nothing_is_left_of_it_but_who_looked_and_why(
    world: World, owner: Connection, http: AsyncClient, sign_in: SignIn
) -> None:
    code = await owner.fetchval("SELECT code FROM sp WHERE id = $1", world.sp_id)
    body = {
        "sp_code": code, "purpose": "charge", "msisdn": world.msisdn, "service_code": world.code,
        "price_fen": 800, "reason": WHY, "at": "2026-03-12T12:00:00+08:00",
    }  # fmt: skip
    path = "/authorisations/explanation"
    officer = await sign_in(make.OFFICER)
    told = await http.post(path, params={"lang": "zh"}, json=body, headers=officer)
    assert told.status_code == 200
    assert told.json()["checks"][0]["sentence"].endswith("。")
    assert world.msisdn not in told.text
    for table in ("authorisation", "decision_pack", "month_spend", "reservation", "order_use"):
        assert await owner.fetchval(f"SELECT count(*) FROM {table}") == 0
    row = await owner.fetchrow("SELECT actor, act, reason, about_id FROM audit_log")
    assert row is not None
    assert (row["actor"], row["act"], row["reason"]) == ("staff:officer", "decision.supposed", WHY)
    assert world.msisdn[2:] not in row["about_id"]
    her = make.subscriber_actor(world.msisdn)
    for actor in (make.sp_actor(world.sp_id), make.ADMIN, make.AGENT, her):
        refused = await http.post(path, json=body, headers=await sign_in(actor))
        assert refused.status_code == 403
    for wrong in ({"msisdn": "13800138000"}, {"reason": ""}, {"at": "2026-03-12T12:00:00"}):
        assert (await http.post(path, json=body | wrong, headers=officer)).status_code == 400


async def test_an_sp_that_is_none_and_an_instant_of_another_century_are_refused(
    world: World,
) -> None:
    with pytest.raises(NotFound):
        await supposed(world, sp_code="000001")
    for year in (1, 1999, 2100, 9999):
        with pytest.raises(Unprocessable):
            await supposed(world, world.now.replace(year=year))


async def test_facts_and_versions_are_those_of_the_decision(world: World) -> None:
    (decision,) = await world.decide(world.question(access_number=world.access_number))
    row = await world.tx.fetchrow("SELECT facts FROM authorisation WHERE id = $1", decision.id)
    assert row is not None
    told = await supposed(world, access_number=world.access_number)
    assert msgspec.to_builtins(told.facts) == row["facts"]
