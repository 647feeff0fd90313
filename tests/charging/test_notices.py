"""What people are told about their money: once, in time, in their language, and only to them."""

from asyncio import gather
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.charging import notices
from spms.charging.notices import step_reached, unusual
from spms.core import db
from spms.core.db import Connection
from tests import make
from tests.charging.world import DAY, World


@pytest.mark.parametrize(
    ("spent_fen", "next_fen", "reached"),
    [
        (0, 800, 0), (4000, 800, 0), (4200, 800, 0), (4201, 800, 1), (4800, 800, 1), (5000, 0, 0),
        (5000, 1, 1), (5600, 800, 1), (9600, 800, 2), (12_000, 100, 2), (16_000, 1000, 3),
    ],
)  # fmt: skip
def test_a_step_is_announced_before_it_is_passed(
    spent_fen: int, next_fen: int, reached: int
) -> None:
    assert step_reached(spent_fen, next_fen, 5000) == reached


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=30), st.integers(100, 6000))
def test_no_step_is_ever_passed_unannounced_by_equal_charges(
    prices: list[int], step_fen: int
) -> None:
    """Of one price again and again: when a step is passed, it was announced one charge before."""
    price, announced, spent = prices[0], 0, 0
    for _ in prices:
        before, spent = announced, spent + price
        if spent > price:  # nothing can announce what the very first charge passes
            assert before >= (spent - 1) // step_fen
        announced = max(announced, step_reached(spent, price, step_fen))


def test_a_bill_is_unusual_above_five_times_the_mean_and_not_without_a_past() -> None:
    assert unusual(4001, 2400, 5)
    assert not unusual(4000, 2400, 5)
    assert not unusual(100_000, 0, 5)


async def tell(world: World, now: datetime | None = None) -> int:
    async with db.transaction(world.pool) as tx:
        return await notices.tell(tx, now=now or world.now)


async def told(tx: Connection, kind: str = "%") -> list[tuple[str, str]]:
    rows = await tx.fetch(
        "SELECT kind, text FROM message_out WHERE kind LIKE $1 ORDER BY queued_at, id", kind
    )
    return [(row["kind"], row["text"]) for row in rows]


async def play(world: World, *prices: int, at: datetime | None = None) -> None:
    """Let the game be ordered and charged for each price, in one batch."""
    records = []
    for n, price_fen in enumerate(prices):
        begun = (at or world.now) - timedelta(hours=2) + timedelta(seconds=n)
        async with world.pool.acquire() as tx:
            await make.subscription(
                tx, begun, world.msisdn, world.game_id, price_fen=price_fen,
                prompt_text=None, confirm_by=None,
            )  # fmt: skip
        records.append(
            world.record(
                service_code=world.game,
                price_fen=price_fen,
                charged_at=begun + timedelta(minutes=1),
            )
        )
    await world.land(*records)


async def test_every_charge_has_one_receipt_however_often_and_by_however_many_it_is_told(
    world: World, tx: Connection
) -> None:
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    right, wrong = world.record(), world.record()  # the second is a duplicate: money was taken
    await world.land(right, wrong)
    assert await told(tx) == []  # landing itself sends nothing
    await world.land(right)
    await gather(*[tell(world) for _ in range(4)])
    await tx.execute("UPDATE outbox SET done_at = NULL")  # a worker that died before its commit
    assert await tell(world) == 1
    receipts = await told(tx, "receipt")
    assert len(receipts) == 2
    assert all("8.00元" in text and world.monthly in text for _, text in receipts)
    abouts = await tx.fetch("SELECT about_id FROM message_out")
    ids = await tx.fetch("SELECT id FROM charge_record")
    assert {UUID(row["about_id"]) for row in abouts} == {row["id"] for row in ids}


async def test_the_language_is_the_numbers_and_a_later_holder_is_told_nothing(
    world: World, tx: Connection
) -> None:
    english, gone = await make.number(tx, world.now, language="en"), world.msisdn
    await world.land(world.record(msisdn=english), world.record(msisdn=gone))
    await tx.execute(
        "UPDATE number SET epoch = 2, epoch_since = $2 WHERE msisdn = $1", gone, world.now
    )
    await tell(world)
    ((_, text),) = await told(tx)
    assert text.startswith("[Charge] CNY 8.00")


async def test_a_spending_reminder_comes_once_per_step_and_one_for_two_steps(
    world: World, tx: Connection
) -> None:
    await tx.execute(
        "INSERT INTO number_cap VALUES ($1, gen_random_uuid(), 1, 'each_service', NULL, 100000,"
        " $2, 'subscriber:test'), ($1, gen_random_uuid(), 1, 'total', NULL, 100000, $2,"
        " 'subscriber:test')", world.msisdn, world.now - DAY,
    )  # fmt: skip
    spent = []
    for prices in ((800,) * 5, (800,), (800,), (7000,), (100,)):
        await play(world, *prices)
        await tell(world)
        spent.append(len(await told(tx, "reminder")))
    # 40: none. 48: 50 is next. 56: told already. 126: 100 and 150 are reached or next, one message.
    assert spent == [0, 1, 1, 2, 2]
    first, second = (text for _, text in await told(tx, "reminder"))
    assert "已有48.00元" in first
    assert "超过50.00元" in first
    assert "超过150.00元" in second
    rows = await tx.fetch("SELECT about_id FROM subscriber_notice WHERE kind = 'spending'")
    assert sorted(row["about_id"] for row in rows) == [
        "1:2026-03:10000", "1:2026-03:15000", "1:2026-03:5000"
    ]  # fmt: skip


async def test_what_was_not_due_is_not_spending(world: World, tx: Connection) -> None:
    await world.land(*[world.record(price_fen=9000) for _ in range(3)])  # nobody consented
    await tell(world)
    assert [kind for kind, _ in await told(tx)] == ["receipt"] * 3


async def test_an_unusual_bill_is_warned_of_once(world: World, tx: Connection) -> None:
    past = world.now - timedelta(days=31)
    relation = await make.subscription(tx, past, world.msisdn, world.monthly_id)
    await make.charge(tx, past, world.msisdn, world.monthly_id, price_fen=200, due_fen=200,
                      consent_id=relation)  # fmt: skip
    await play(world, 333)
    await tell(world)
    assert await told(tx, "reminder") == []
    for _ in range(2):
        await play(world, 1)
        await tell(world)
    ((_, text),) = await told(tx, "reminder")
    assert text.startswith("【异常提醒】")
