"""What an SP may send: exact whatever runs at once, through every entrance, and explained."""

from asyncio import ensure_future, gather, sleep, timeout
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import AsyncClient

from spms.authorisation import actions, quota_queries
from spms.authorisation.engine import Engine
from spms.authorisation.invariant_queries import INVARIANTS
from spms.authorisation.model import DecisionRequest, Purpose, Reason, SentFact
from spms.authorisation.quota import Meter, sent_by
from spms.authorisation.quota_queries import UseRow
from spms.authorisation.reservation_model import Ask
from spms.core import db
from spms.core.clock import FixedClock
from spms.core.db import Connection
from spms.core.errors import Unprocessable
from spms.core.invariants import check
from spms.partners import quota
from spms.partners.quota_model import NewQuota
from tests import make
from tests.authorisation.arrange import DAY, HOUR, SECOND, SignIn, World, insert

PUSH: dict[str, Any] = {"purpose": Purpose.MESSAGE, "price_fen": 0}
SENT = "SELECT sum(decisions - cardinality(denied))::bigint FROM decision_pack"
COUNTED = "SELECT COALESCE(sum((SELECT sum(n) FROM unnest(by_day) n)), 0)::bigint FROM sp_quota_use"


async def agree(world: World, sp_id: UUID | None = None, **values: Any) -> None:
    terms: dict[str, Any] = {"effective_from": world.now - HOUR, "reason": "合同附件三"} | values
    async with db.transaction(world.pool) as tx:
        await quota.agree(
            tx, sp_id or world.sp_id, NewQuota(**terms), actor=make.OFFICER, now=world.now - DAY
        )


def push(world: World) -> DecisionRequest:
    return world.question(**PUSH)


async def test_parallel_messages_of_all_entrances_and_processes_never_exceed_the_quota(
    world: World, owner: Connection, clock: FixedClock
) -> None:
    """Batches beside two engines, which know nothing of each other, as two processes do not."""
    await agree(world, per_day=25)
    engines = [Engine(world.pool, clock) for _ in range(2)]
    asks = [Ask(request=push(world), sp_id=world.sp_id, actor="sp:test") for _ in range(20)]
    batches = [world.decide(*[push(world)] * 7) for _ in range(4)]
    singles = [engine.decide(ask) for engine in engines for ask in asks]
    answers, batched = await gather(gather(*singles), gather(*batches))
    decisions = [answer.decision for answer in answers]
    decisions += [decision for batch in batched for decision in batch]
    allowed = [decision for decision in decisions if decision.allowed]
    assert len(allowed) == 25
    assert {decision.reasons for decision in decisions} == {(), (Reason.SP_QUOTA,)}
    assert await owner.fetchval(SENT) == await owner.fetchval(COUNTED) == 25
    async with db.snapshot(world.pool) as read:
        for decision in decisions[::9]:
            told = await actions.explain(read, decision.id, actor=make.sp_actor(world.sp_id))
            assert told.agrees
            assert told.replay.facts == told.facts


async def test_a_mixed_round_neither_waits_crosswise_nor_passes_quota_or_month(
    world: World, owner: Connection
) -> None:
    await agree(world, per_month=5)
    other = await make.number(owner, world.now)
    await make.subscription(owner, world.now - DAY, other, world.service_id)
    up = [push(world), world.question(), world.question(msisdn=other), push(world)]
    answers = await gather(*[world.decide(*(up if n % 2 else up[::-1])) for n in range(6)])
    flat = [decision for decisions in answers for decision in decisions]
    assert sum(decision.allowed for decision in flat) == 7
    assert await owner.fetchval(SENT) == await owner.fetchval(COUNTED) == 5
    assert await owner.fetchval("SELECT sum(total_fen)::bigint FROM month_spend") == 1600


async def test_months_are_taken_before_quotas(uses: World, owner: Connection) -> None:
    """Whoever waits for a number's month holds no quota: nobody waits for each other crosswise."""
    await agree(uses, per_month=5)
    asked = [push(uses), uses.question()]
    await uses.decide(*asked)
    async with owner.transaction(), timeout(60):
        await owner.execute("SELECT FROM month_spend FOR UPDATE")
        waiting = ensure_future(uses.decide(*asked))
        while not await owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - the database tells nobody
            await sleep(0.02)
        await owner.execute("SELECT FROM sp_quota_use FOR UPDATE NOWAIT")
    assert [decision.allowed for decision in await waiting] == [True, True]


async def test_days_months_and_seconds_each_have_their_own_end(
    world: World, owner: Connection
) -> None:
    never = {"push": {"quiet_from_hour": 0, "quiet_to_hour": 0}}
    await insert(
        owner, "rulebook", version=2, effective_from=world.now - DAY, rules=never, reason="test",
        created_at=world.now, created_by="test",
    )  # fmt: skip
    await agree(world, per_second=2, per_day=4, per_month=6)
    second_last = world.now.replace(month=3, day=30, hour=15, minute=59, second=58)
    day, rate = Reason.SP_QUOTA, Reason.SP_RATE
    for after, expected in enumerate([
        [(), (), (rate,)],
        [(), (), (day, rate)],
        [(), (), (day, rate)],  # the next day, and all of the month
        [(day,), (day,), (day,)],
    ]):  # fmt: skip
        decisions = await world.decide(*[push(world)] * 3, at=second_last + after * SECOND)
        assert [decision.reasons for decision in decisions] == expected
    assert await world.ask(**PUSH, at=second_last + 2 * DAY) == []  # April


async def test_what_is_denied_or_rolled_back_uses_nothing(world: World, owner: Connection) -> None:
    await agree(world, per_day=2)
    for _ in range(3):
        assert await world.ask(**PUSH, access_number="10699999") == ["access_number_wrong"]
    async with world.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        (allowed,) = await actions.decide(
            connection, [push(world)], sp_id=world.sp_id, actor=make.sp_actor(world.sp_id),
            now=world.now,
        )  # fmt: skip
        assert allowed.allowed
        await transaction.rollback()
    assert await world.ask() == []  # a charge is no message
    assert [await world.ask(**PUSH) for _ in range(3)] == [[], [], ["sp_quota"]]
    assert await owner.fetchval(COUNTED) == 2


async def test_another_sp_neither_uses_the_quota_nor_waits_for_it(
    world: World, owner: Connection
) -> None:
    await agree(world, per_day=1)
    other = await World(world.pool, owner, world.now).build()
    (denied,) = await world.decide(push(world), sp_id=other.sp_id)
    assert denied.reasons == (Reason.SERVICE_NOT_OF_SP,)
    async with db.transaction(world.pool) as tx:
        await actions.decide(
            tx, [push(world)], sp_id=world.sp_id, actor=make.sp_actor(world.sp_id), now=world.now
        )
        assert await other.ask(**PUSH) == []
    assert await world.ask(**PUSH) == ["sp_quota"]


async def test_a_quota_takes_force_at_its_instant_and_the_next_replaces_it(world: World) -> None:
    await agree(world, per_day=1, effective_from=world.now)
    assert [await world.ask(**PUSH, at=world.now - SECOND) for _ in range(2)] == [[], []]
    assert await world.ask(**PUSH) == []
    assert await world.ask(**PUSH) == ["sp_quota"]
    await agree(world, per_day=2, effective_from=world.now + HOUR)
    assert await world.ask(**PUSH, at=world.now + HOUR - SECOND) == ["sp_quota"]
    assert await world.ask(**PUSH, at=world.now + HOUR) == []
    await agree(world, effective_from=world.now + 2 * HOUR)  # nothing is agreed any more
    assert [await world.ask(**PUSH, at=world.now + 2 * HOUR) for _ in range(3)] == [[]] * 3
    with pytest.raises(Unprocessable):
        await agree(world, effective_from=world.now - 2 * DAY)
    with pytest.raises(quota.QuotaClash):
        await agree(world, effective_from=world.now)


async def test_the_database_refuses_a_count_from_a_turn_that_is_over(
    world: World, owner: Connection
) -> None:
    await agree(world, per_day=9)
    await world.ask(**PUSH)
    month = world.now.date().replace(day=1)
    step = quota_queries.Step(
        sp_id=world.sp_id, turn=0, day=1, added=1, second=world.now, in_second=1
    )
    assert await quota_queries.write(owner, [step], month) == 0
    assert await owner.fetchval(COUNTED) == 1


def test_a_clock_that_is_behind_has_no_second_of_its_own(now: Any) -> None:
    row = UseRow(sp_id=uuid4(), by_day=[0] * 31, second=now, in_second=4, turn=1)
    behind, ahead = Meter(row, now - SECOND), Meter(row, now + SECOND)
    behind.count()
    assert behind.sent() == SentFact(second=5, day=1, month=1)
    assert ahead.sent().second == 0
    assert behind.step().second == now


async def test_what_was_sent_can_be_worked_out_from_the_decisions(world: World) -> None:
    await agree(world, per_day=99)
    for after in (timedelta(0), timedelta(microseconds=1), SECOND, DAY):
        await world.decide(push(world), push(world), at=world.now + after)
    later = world.now + DAY + timedelta(microseconds=1)
    async with db.snapshot(world.pool) as read:
        assert await sent_by(read, world.sp_id, later) == SentFact(second=2, day=2, month=8)
        at = world.now + timedelta(microseconds=1)
        assert await sent_by(read, world.sp_id, at) == SentFact(second=2, day=2, month=2)


async def test_an_officer_agrees_and_the_sp_reads_its_own(
    world: World, owner: Connection, http: AsyncClient, sign_in: SignIn
) -> None:
    path = f"/sps/{world.sp_id}/quotas"
    body = {"per_second": 10, "per_day": 1000, "reason": "合同附件三"}
    officer, sp = await sign_in(make.OFFICER), await sign_in(make.sp_actor(world.sp_id))
    made = await http.post(path, json=body, headers=officer)
    assert made.status_code == 201
    assert (made.json()["version"], made.json()["per_month"]) == (1, None)
    assert (await http.post(path, json=body, headers=officer)).json()["code"] == "quota_clash"
    for wrong in (
        {"per_day": -1},
        {"per_second": 100_001},
        {"effective_from": "2020-01-01T00:00:00Z"},
    ):
        assert (await http.post(path, json=body | wrong, headers=officer)).status_code in {400, 422}
    assert (await http.post(path, json=body, headers=sp)).status_code == 403
    assert [one["version"] for one in (await http.get(path, headers=sp)).json()["items"]] == [1]
    stranger = await sign_in(make.sp_actor(await make.sp(owner, world.now)))
    assert (await http.get(path, headers=stranger)).status_code == 404
    nobody = await http.post(f"/sps/{uuid4()}/quotas", json=body, headers=officer)
    assert nobody.status_code == 404


async def broken(owner: Connection) -> bool:
    found = await check(owner, [one for one in INVARIANTS if one.name == "quota_use_true"])
    return not all(one.holds for one in found)


async def test_what_is_counted_beside_the_decisions_on_record_is_found(
    world: World, owner: Connection
) -> None:
    """Either way; but on the first quota's own day more may have gone before it."""
    await world.decide(push(world), at=world.now - 2 * HOUR)
    await agree(world, per_day=3, effective_from=world.now - HOUR)
    for n in range(3):
        await world.decide(push(world), push(world), at=world.now + n * DAY)
        assert not await broken(owner)
    for today, wrong in ((3, True), (1, True), (2, False)):
        await owner.execute("UPDATE sp_quota_use SET by_day[4] = $1", today)
        assert await broken(owner) is wrong
    for first, wrong in ((3, False), (2, False), (4, True)):
        await owner.execute("UPDATE sp_quota_use SET by_day[2] = $1", first)
        assert await broken(owner) is wrong
