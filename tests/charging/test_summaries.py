"""The month's bill by SMS: once, to the present holder, in her language, unless she says no."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from jobs import push_bills
from spms.charging import summaries
from spms.compensation import actions as compensation
from spms.core.access import job_actor
from spms.core.db import transaction
from tests import make
from tests.charging.world import DAY

LINK = "https://bill.example/sign-in"
APRIL_5 = datetime(2026, 4, 5, 2, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def link(owner, now):
    await owner.execute(
        """INSERT INTO rulebook (version, effective_from, rules, reason, created_at, created_by)
           VALUES (2, $1, $2, 'test', $1, 'test')""",
        now - DAY, {"summary": {"link": LINK}},
    )  # fmt: skip


@pytest.fixture
async def charges(tx, pool, world):
    """In March a right charge and one that is given back double."""
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    await world.land(world.record(), world.record(service_code=world.game, price_fen=200))
    async with transaction(pool) as work:
        await compensation.refund_findings(work, now=world.now)


async def run(pool, at=APRIL_5):
    """Run the job's slot to its end, as the runner does."""
    position, chunks = None, 0
    while True:
        async with transaction(pool) as tx:
            chunk = await push_bills.work(
                tx, position=position, actor=job_actor("push_bills"), now=at
            )
        chunks += 1
        if (position := chunk.position) is None:
            return chunks


async def told(tx):
    rows = await tx.fetch(
        "SELECT msisdn, text FROM message_out WHERE kind = 'info' ORDER BY msisdn, queued_at"
    )
    return [tuple(row) for row in rows]


async def test_a_number_is_told_once_what_its_month_came_to(pool, tx, world, charges):
    silent = await make.number(tx, world.now)
    await run(pool)
    await run(pool, APRIL_5 + timedelta(hours=1))
    await run(pool, APRIL_5 + 2 * DAY)
    ((msisdn, text),) = await told(tx)
    assert msisdn == world.msisdn != silent
    assert "2026-03信息服务代收费2笔，共10.00元，已退费2.00元、赔付2.00元。" in text
    assert f" {LINK} " in text
    assert world.msisdn[2:] not in text


async def test_many_workers_at_once_tell_a_number_once(pool, tx, world, charges):
    await asyncio.gather(*[run(pool) for _ in range(6)])
    assert len(await told(tx)) == 1


async def broken_off(pool):
    async with transaction(pool) as work:
        await summaries.push(work, None, now=APRIL_5)
        raise ConnectionError


async def test_what_failed_before_the_commit_is_told_by_the_next(pool, tx, world, charges):
    with pytest.raises(ConnectionError):
        await broken_off(pool)
    assert await told(tx) == []
    await run(pool)
    assert len(await told(tx)) == 1


@pytest.mark.parametrize(
    ("at", "month"),
    [
        (APRIL_5 - DAY, None), (APRIL_5, date(2026, 3, 1)), (APRIL_5 + 2 * DAY, date(2026, 3, 1)),
        (APRIL_5 + 3 * DAY, None), (APRIL_5 - timedelta(hours=10), date(2026, 3, 1)),
        (APRIL_5 - timedelta(hours=10, seconds=1), None), (APRIL_5 + 30 * DAY, date(2026, 4, 1)),
    ],
)  # fmt: skip
def test_it_goes_out_on_three_days_about_the_month_before(at, month):
    assert summaries.month_due(at, summaries.SummaryRules(link=LINK)) == month
    assert summaries.month_due(at, summaries.SummaryRules()) is None


async def test_without_a_link_nobody_is_told(pool, tx, owner, now, charges):
    await owner.execute("UPDATE rulebook SET rules = '{}' WHERE version = 2")
    await run(pool)
    assert await told(tx) == []


@pytest.mark.parametrize(
    "link",
    [
        "http://bill.example/",
        "https://bill.example/?n=8613800000001",
        "https://b.example/#x",
        "https://user@bill.example/",
        "bill.example",
        "https://bill.example/ x",
        f"{LINK}\n",
    ],
)
def test_a_link_can_carry_nothing_of_a_person(link):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"link": link}, summaries.SummaryRules)


async def test_it_is_in_the_holders_language(pool, tx, world, charges):
    await tx.execute("UPDATE number SET language = 'en' WHERE msisdn = $1", world.msisdn)
    await run(pool)
    ((_, text),) = await told(tx)
    assert text.startswith("[Bill] 2026-03: 2 charges collected for services, CNY 10.00; ")


async def test_who_switched_it_off_is_not_told_until_she_switches_it_on(
    http, sign_in, pool, tx, world, charges
):
    person = await sign_in(make.subscriber_actor(world.msisdn))
    assert (await http.get("/my/bill/summary", headers=person)).json() == {"wanted": True}
    for wanted, count in ((False, 0), (True, 1)):
        answer = await http.post("/my/bill/summary", json={"wanted": wanted}, headers=person)
        assert (answer.status_code, answer.json()) == (200, {"wanted": wanted})
        assert (await http.get("/my/bill/summary", headers=person)).json() == {"wanted": wanted}
        await run(pool)
        assert len(await told(tx)) == count


async def test_a_new_holder_is_told_nothing_of_the_former_one_and_wishes_for_herself(
    http, sign_in, pool, tx, world, charges
):
    old = await sign_in(make.subscriber_actor(world.msisdn))
    await http.post("/my/bill/summary", json={"wanted": False}, headers=old)
    await tx.execute(
        "UPDATE number SET epoch = 2, epoch_since = $2 WHERE msisdn = $1", world.msisdn, world.now
    )
    new = await sign_in(make.subscriber_actor(world.msisdn, epoch=2))
    assert (await http.get("/my/bill/summary", headers=old)).status_code == 403
    refused = await http.post("/my/bill/summary", json={"wanted": True}, headers=old)
    assert refused.status_code == 403
    assert (await http.get("/my/bill/summary", headers=new)).json() == {"wanted": True}
    await run(pool)
    assert await told(tx) == []
    world.now += timedelta(hours=2)
    await make.subscription(
        tx, world.now - timedelta(hours=1), world.msisdn, world.game_id, epoch=2
    )
    await world.land(world.record(service_code=world.game, price_fen=200,
                                  charged_at=world.now - timedelta(minutes=5)))  # fmt: skip
    await run(pool)
    ((_, text),) = await told(tx)
    assert "代收费1笔，共2.00元" in text


async def test_numbers_go_in_chunks_and_nobody_between_two_is_left_out(
    pool, tx, world, monkeypatch
):
    monkeypatch.setattr(summaries, "CHUNK", 3)
    numbers = [await make.number(tx, world.now) for _ in range(7)]
    for msisdn in numbers:
        await make.charge(tx, world.now, msisdn, world.monthly_id, findings=["no_consent"],
                          due_fen=0, record_id=str(uuid4()))  # fmt: skip
    assert await run(pool) == 3  # with the world's own number eight, of which one has no charge
    assert [msisdn for msisdn, _ in await told(tx)] == sorted(numbers)


async def test_a_number_that_nobody_holds_any_more_is_told_nothing(pool, tx, world, charges):
    await tx.execute("UPDATE number SET state = 'terminated' WHERE msisdn = $1", world.msisdn)
    await run(pool)
    assert await told(tx) == []
