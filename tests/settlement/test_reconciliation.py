"""Delivered, charged, billed: every difference is listed with who is to explain it."""

from datetime import date

import pytest

from jobs import compare_counts
from spms.core import db
from spms.core.errors import NotFound
from spms.settlement import findings, reconciliation
from spms.settlement.reconciliation import DayNotOver, ServiceUnknown
from spms.settlement.reconciliation_model import Source, Told, ToldCount
from tests import make
from tests.settlement.conftest import DAY, JANUARY, JOB, PRICE

FIFTH = date(2026, 1, 5)


@pytest.fixture
def tell(world, clock):
    async def told(source, *counts, day=FIFTH):
        rows = [
            ToldCount(service_code=code, records=records, amount_fen=fen)
            for code, records, fen in counts
        ]
        async with db.transaction(world.pool) as tx:
            return await reconciliation.tell(
                tx, Told(source=source, day=day, counts=rows), actor=make.GATEWAY,
                now=clock.now(),
            )  # fmt: skip

    return told


async def listed(world, **values):
    rows = await reconciliation.page(
        world.tx, FIFTH.replace(day=1), None, 100, actor=values.get("actor", make.OFFICER)
    )
    return {(row.service_code, row.kind, row.owner): row for row in rows if row.state != "gone"}


async def compared(world):
    """Run the nightly job; return how many differences moved."""
    moved, position = 0, None
    while True:
        async with db.transaction(world.pool) as own:
            chunk = await compare_counts.work(
                own, position=position, actor=JOB, now=world.clock.now()
            )
        if (position := chunk.position) is None:
            return moved
        moved += int(chunk.words.split()[0])


async def test_three_ways_by_day_and_service(world, tx, clock, tell):
    clock.at = JANUARY + 9 * DAY
    code = await tx.fetchval("SELECT code FROM service WHERE id = $1", world.service_id)
    game_id = await make.service(tx, JANUARY, world.sp_id, price_fen=200, kind="on_demand")
    game = await tx.fetchval("SELECT code FROM service WHERE id = $1", game_id)
    for n in range(3):
        await world.charge(4 + n / 10, kind="monthly")
        await world.charge(4 + n / 10, service_id=game_id, kind="on_demand", price_fen=200)
    await world.charge(5, service_id=game_id, kind="on_demand", price_fen=200)

    assert (await tell(Source.GATEWAY, (game, 3, 600))).differences == 0, "by the month: not seen"
    assert (await tell(Source.GATEWAY, (game, 3, 600))).new_counts == 0
    assert (await tell(Source.GATEWAY, (game, 2, 400))).differences == 1
    assert (await tell(Source.BILLING, (code, 4, 4 * PRICE), (game, 3, 500))).differences == 3
    found = await listed(world)
    assert set(found) == {
        (game, "charged_not_delivered", "sp"), (code, "billed_not_charged", "billing"),
        (game, "amount_differs", "billing"),
    }  # fmt: skip
    mine = found[game, "charged_not_delivered", "sp"]
    assert (mine.delivered, mine.charged, mine.billed) == (2, 3, 3)

    sp = make.sp_actor(world.sp_id)
    async with db.transaction(world.pool) as own:
        done = await reconciliation.explain(own, mine.id, "resent", actor=sp, now=clock.now())
    assert (done.state, done.explained_by) == ("explained", sp.label)
    with pytest.raises(NotFound):
        await reconciliation.explain(
            tx, found[game, "amount_differs", "billing"].id, "x", actor=sp, now=clock.now()
        )
    other_id, _ = await world.another_sp()
    assert await listed(world, actor=make.sp_actor(other_id)) == {}

    await world.charge(4.3, kind="monthly")
    await world.charge(4.4, service_id=game_id, kind="on_demand", price_fen=200)
    assert await compared(world) == 4
    again = await listed(world)
    assert set(again) == {
        (game, "charged_not_delivered", "sp"), (game, "charged_not_billed", "billing"),
    }  # fmt: skip
    assert again[game, "charged_not_delivered", "sp"].state == "open", "other figures: asked again"
    assert await compared(world) == 0


async def test_a_day_that_is_not_over_and_a_code_nobody_has_are_refused(world, tx, clock, tell):
    clock.at = JANUARY + 9 * DAY
    code = await tx.fetchval("SELECT code FROM service WHERE id = $1", world.service_id)
    for day in (date(2026, 1, 10), date(2025, 10, 1)):
        with pytest.raises(DayNotOver):
            await tell(Source.BILLING, (code, 1, 1), day=day)
    for counts in ([("nothing", 1, 1)], [(code, 1, 1), (code, 2, 2)]):
        with pytest.raises(ServiceUnknown):
            await tell(Source.BILLING, *counts)
    assert await tx.fetchval("SELECT count(*) FROM reconciliation_count") == 0


async def test_what_an_sp_does_not_explain_in_its_time_is_one_breach_and_what_it_explains_is_none(
    world, tx, clock, tell
):
    clock.at = JANUARY + 9 * DAY  # a Saturday; the day before was a Friday
    game_id = await make.service(tx, JANUARY, world.sp_id, price_fen=200, kind="on_demand")
    game = await tx.fetchval("SELECT code FROM service WHERE id = $1", game_id)
    for day in (4, 5, 6):
        await world.charge(day, service_id=game_id, kind="on_demand", price_fen=200)
        at = FIFTH.replace(day=day + 1)
        assert (await tell(Source.GATEWAY, (game, 0, 0), day=at)).differences == 1
    rows = await reconciliation.page(tx, FIFTH.replace(day=1), None, 9, actor=make.OFFICER)
    async with db.transaction(world.pool) as own:
        await reconciliation.explain(
            own, rows[0].id, "resent", actor=make.sp_actor(world.sp_id), now=clock.now()
        )

    async def reports():
        async with db.transaction(world.pool) as own:
            await findings.report_unexplained(own, actor=JOB, now=clock.now())
        found = await tx.fetch("SELECT breach_id FROM breach_report")
        return len(found), len({row["breach_id"] for row in found})

    clock.at = JANUARY + 15 * DAY  # Friday: the fifth working day is not over
    assert await reports() == (0, 0)
    clock.at = JANUARY + 16 * DAY
    assert await reports() == (2, 1)
    assert await reports() == (2, 1)
    [breach] = await tx.fetch("SELECT kind, source_kind, state, sp_id, service_ids FROM breach")
    assert tuple(breach) == (
        "settlement_data_false", "settlement_audit", "proposed", world.sp_id, [game_id],
    )  # fmt: skip


async def test_a_difference_that_comes_back_leaves_the_time_to_explain_it_again(
    world, tx, clock, tell
):
    clock.at = JANUARY + 9 * DAY
    game_id = await make.service(tx, JANUARY, world.sp_id, price_fen=200, kind="on_demand")
    game = await tx.fetchval("SELECT code FROM service WHERE id = $1", game_id)
    await world.charge(4, service_id=game_id, kind="on_demand", price_fen=200)
    await tell(Source.GATEWAY, (game, 0, 0))
    (first,) = (await listed(world)).values()
    clock.at += 5 * DAY
    await tell(Source.GATEWAY, (game, 5, 0))
    (other,) = (await listed(world)).values()
    await tell(Source.GATEWAY, (game, 0, 0))
    (again,) = (await listed(world)).values()
    assert (first.kind, other.kind, again.kind) == (
        "charged_not_delivered", "delivered_not_charged", "charged_not_delivered",
    )  # fmt: skip
    assert (again.id, again.found_at) == (first.id, clock.now())
    clock.at += 3 * DAY
    await world.charge(4.1, service_id=game_id, kind="on_demand", price_fen=200)
    assert await compared(world) == 1
    (open_still,) = (await listed(world)).values()
    assert open_still.found_at == again.found_at, "never explained: its time goes on"


async def test_a_side_that_says_nothing_of_a_day_is_listed(world, tx, clock, tell):
    clock.at = JANUARY + 9 * DAY
    code = await tx.fetchval("SELECT code FROM service WHERE id = $1", world.service_id)
    await world.charge(4, kind="monthly")
    await tell(Source.BILLING, (code, 2, 2 * PRICE))
    days = await reconciliation.days(tx, FIFTH.replace(day=1), now=clock.now())
    assert [day.day.day for day in days] == list(range(1, 10)), "those that are over"
    assert [day.day.day for day in days if day.billing_told] == [5]
    assert [(day.gateway_told, day.open, day.explained) for day in days if day.open] == [
        (False, 1, 0)
    ]
    assert await reconciliation.days(tx, date(2026, 3, 1), now=clock.now()) == []
