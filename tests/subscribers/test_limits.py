"""Bars and caps: set by the holder, dated, of one holder only, honoured in the deciding statement."""

from asyncio import gather
from datetime import timedelta
from typing import Any

import httpx
import pytest

from spms.authorisation import actions as authorisation
from spms.authorisation.model import DecisionRequest, Purpose
from spms.charging import actions as charging
from spms.charging.model import Finding
from spms.core import db
from spms.core.clock import FixedClock
from spms.core.errors import Forbidden
from spms.subscribers import limits
from spms.subscribers.limit_model import BarIn, BarScope, CapIn, CapScope, Limits
from tests import make
from tests.charging.world import World as Charges
from tests.charging.world import lines_of

MINUTE = timedelta(minutes=1)


class World:
    """One SP with a monthly service at 8 yuan that one number has."""

    def __init__(self, pool: db.Pool, clock: FixedClock) -> None:
        self.pool, self.clock = pool, clock

    async def build(self) -> "World":
        now = self.clock.now()
        async with db.transaction(self.pool) as tx:
            self.sp_id = await make.sp(tx, now)
            self.service_id = await make.service(tx, now, self.sp_id, category="games")
            self.msisdn = await make.number(tx, now)
            await make.subscription(tx, now - timedelta(days=1), self.msisdn, self.service_id)
            row = await tx.fetchrow(
                "SELECT s.code, p.code AS sp_code FROM service s JOIN sp p ON p.id = s.sp_id "
                "WHERE s.id = $1", self.service_id,
            )  # fmt: skip
        assert row is not None
        self.code, self.sp_code = row["code"], row["sp_code"]
        self.her = make.subscriber_actor(self.msisdn)
        return self

    async def ask(self, purpose: Purpose = Purpose.CHARGE, price_fen: int = 800) -> list[str]:
        asked = DecisionRequest(
            purpose=purpose, msisdn=self.msisdn, service_code=self.code, price_fen=price_fen
        )
        async with db.transaction(self.pool) as tx:
            (decision,) = await authorisation.decide(
                tx, [asked], sp_id=self.sp_id, actor=make.sp_actor(self.sp_id),
                now=self.clock.now(),
            )  # fmt: skip
            told = await authorisation.explain(tx, decision.id, actor=make.AGENT)
        assert told.agrees
        return [str(reason) for reason in decision.reasons]

    async def bar(self, scope: str, actor: Any = None, **values: Any) -> Limits:
        async with db.transaction(self.pool) as tx:
            return await limits.bar(
                tx, self.msisdn, BarIn(scope=BarScope(scope), **values),
                actor=actor or self.her, now=self.clock.now(), reason="来电要求，工单 7",
            )  # fmt: skip

    async def cap(self, scope: str, limit_fen: int | None, **values: Any) -> Limits:
        async with db.transaction(self.pool) as tx:
            wish = CapIn(scope=CapScope(scope), limit_fen=limit_fen, **values)
            return await limits.set_cap(
                tx, self.msisdn, wish, actor=self.her, now=self.clock.now()
            )  # fmt: skip

    async def landed(self, at: Any, price_fen: int = 800) -> tuple[set[Finding], int | None]:
        charges = Charges(
            pool=self.pool, now=self.clock.now(), sp_id=self.sp_id, monthly_id=self.service_id,
            monthly=self.code, game_id=self.service_id, game="", msisdn=self.msisdn,
        )  # fmt: skip
        async with db.transaction(self.pool) as tx:
            landing = await charging.land(
                tx, lines_of(charges.record(charged_at=at, price_fen=price_fen)),
                sp_id=self.sp_id, file_id=None, actor=make.sp_actor(self.sp_id),
                now=self.clock.now(),
            )  # fmt: skip
        (outcome,) = landing.outcomes
        return set(outcome.findings), outcome.due_fen


@pytest.fixture
async def world(pool: db.Pool, clock: FixedClock) -> World:
    return await World(pool, clock).build()


async def test_a_bar_stops_charges_and_messages_at_once_and_ends_when_she_lifts_it(
    world: World,
) -> None:
    assert await world.ask(Purpose.MESSAGE, 0) == []
    world.clock.move(MINUTE)
    barred = await world.bar("all")
    since = world.clock.now()
    assert await world.ask() == ["barred_all"]
    assert await world.ask(Purpose.MESSAGE, 0) == ["barred_all"]
    world.clock.move(MINUTE)
    with pytest.raises(Forbidden):
        async with db.transaction(world.pool) as tx:
            await limits.lift(
                tx, world.msisdn, barred.bars[0].id, actor=make.AGENT, now=world.clock.now()
            )
    async with db.transaction(world.pool) as tx:
        left = await limits.lift(
            tx, world.msisdn, barred.bars[0].id, actor=world.her, now=world.clock.now()
        )
    assert left.bars == []
    assert await world.ask() == []
    assert await world.landed(since) == ({Finding.BARRED}, 0)
    assert await world.landed(since - MINUTE / 2) == (set(), 800)


async def test_a_bar_of_an_sp_or_a_category_names_its_own_reason_and_spares_others(
    world: World,
) -> None:
    await world.bar("category", category="horoscopes")
    assert await world.ask(Purpose.MESSAGE, 0) == []
    barred = await world.bar("category", category="games", actor=make.AGENT)
    await world.bar("sp", sp_code=world.sp_code)
    assert await world.ask() == ["barred_sp", "barred_category"]
    assert {(bar.scope, bar.category) for bar in barred.bars} == {
        ("category", "horoscopes"), ("category", "games")
    }  # fmt: skip
    row = await world.pool.fetchrow("SELECT actor, reason FROM audit_log")
    assert dict(row or {}) == {"actor": "staff:agent", "reason": "来电要求，工单 7"}


async def test_the_same_bar_set_by_many_at_once_is_one(world: World) -> None:
    answers = await gather(*[world.bar("all") for _ in range(8)], return_exceptions=True)
    assert sum(isinstance(answer, limits.AlreadyBarred) for answer in answers) == 7
    assert await world.pool.fetchval("SELECT count(*) FROM number_bar") == 1


async def test_bars_and_caps_are_of_one_holder(world: World) -> None:
    await world.bar("all")
    await world.cap("total", 0)
    async with db.transaction(world.pool) as tx:
        await tx.execute(
            "INSERT INTO number_event VALUES ($1, gen_random_uuid(), 'transferred', "
            "'owner_changed', $2, $2, 'test', 'active', 2)",
            world.msisdn, world.clock.now() + MINUTE,
        )  # fmt: skip
    world.clock.move(MINUTE)
    assert await world.ask() == ["no_consent"]


async def test_a_cap_is_raised_and_lowered_and_holds_from_then_on(world: World) -> None:
    before = world.clock.now()
    world.clock.move(MINUTE)
    await world.cap("service", 700, service_code=world.code)
    await world.cap("each_service", 5000)
    lowered = world.clock.now()
    assert await world.ask() == ["cap_service"]
    world.clock.move(MINUTE)
    await world.cap("service", None, service_code=world.code)
    await world.cap("total", 799)
    assert await world.ask() == ["cap_total"]
    assert await world.landed(world.clock.now()) == ({Finding.OVER_CAP}, 799)
    world.clock.move(MINUTE)
    now_in_force = await world.cap("total", 20_000)
    assert {(cap.scope, cap.limit_fen) for cap in now_in_force.caps} == {
        ("total", 20_000), ("each_service", 5000)
    }  # fmt: skip
    assert await world.ask() == []
    assert await world.ask() == ["month_used"]
    # What was charged before she lowered it was due by the operator's cap.
    assert (await world.landed(lowered))[0] >= {Finding.DUPLICATE}
    assert (await world.landed(before))[0] == {Finding.DUPLICATE}


async def test_a_cap_of_her_own_above_the_operators_holds(world: World) -> None:
    row = ({"cap": {"service_month_fen": 700}}, world.clock.now())
    await world.pool.execute(
        "INSERT INTO rulebook (version, effective_from, rules, reason, created_at, created_by)"
        " VALUES (2, $2, $1, 'test', $2, 'test')", *row,
    )  # fmt: skip
    assert await world.ask() == ["cap_service"]
    world.clock.move(MINUTE)
    await world.cap("each_service", 800)
    assert await world.ask() == []


async def test_one_charge_is_judged_by_the_cap_at_its_time(world: World) -> None:
    before = world.clock.now()
    world.clock.move(MINUTE)
    await world.cap("service", 300, service_code=world.code)
    world.clock.move(MINUTE)
    assert await world.landed(before) == (set(), 800)


async def test_a_cap_lowered_before_the_charge_leaves_what_it_leaves(world: World) -> None:
    await world.cap("service", 300, service_code=world.code)
    world.clock.move(MINUTE)
    assert await world.landed(world.clock.now()) == ({Finding.OVER_CAP}, 300)


async def test_over_http_only_the_holder_moves_caps_and_lifts_bars(
    world: World, http: httpx.AsyncClient, sign_in: Any
) -> None:
    her, agent = await sign_in(world.her), await sign_in(make.AGENT)
    unclear = await http.post("/my/bars", json={"scope": "sp"}, headers=her)
    assert (unclear.status_code, unclear.json()["code"]) == (422, "bar_unclear")
    body = {"scope": "all", "msisdn": world.msisdn, "reason": "电话要求，工单 12"}
    barred = (await http.post("/numbers/bars", json=body, headers=agent)).json()
    again = await http.post("/my/bars", json={"scope": "all"}, headers=her)
    assert (again.status_code, again.json()["code"]) == (409, "already_barred")
    path = f"/my/bars/{barred['bars'][0]['id']}/lift"
    cap = {"scope": "total", "limit_fen": 5000}
    for url, json in ((path, None), ("/my/caps", cap), ("/my/language", {"language": "en"})):
        assert (await http.post(url, json=json, headers=agent)).status_code == 403
        assert (await http.post(url, json=json, headers=her)).status_code == 200
    shown = (await http.get("/my/limits", headers=her)).json()
    assert (shown["bars"], shown["caps"][0]["limit_fen"]) == ([], 5000)
    assert (await http.get("/my/number", headers=her)).json()["language"] == "en"
    bad = await http.post("/my/caps", json={"scope": "service", "limit_fen": 1}, headers=her)
    assert (bad.status_code, bad.json()["code"]) == (422, "cap_unclear")
