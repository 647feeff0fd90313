"""Where two meet, or somebody comes late: sheets, payments, holds, an SP that has gone."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from spms.compensation import journal
from spms.compensation.accounts import Account, PostingReason
from spms.compensation.journal_model import Draft, EntryLine
from spms.core import db
from spms.settlement import actions, calendar, locking, months, record_queries
from spms.settlement.life_model import NewAdjustment, Payment, WhatIf
from spms.settlement.model import Kind
from spms.settlement.preview import preview
from spms.settlement.refusals import AlreadyPaid, NotPayable
from tests import make
from tests.settlement.conftest import DAY, JANUARY, JOB, PRICE


async def pay(world, *ids):
    async with db.transaction(world.pool) as tx:
        return await locking.pay(
            tx, Payment(reference="B", settlement_ids=list(ids)), actor=make.OFFICER,
            now=world.clock.now(),
        )  # fmt: skip


async def approve(world):
    async with db.transaction(world.pool) as tx:
        month = (await world.state())["pay_month"]
        await locking.approve_payout(tx, month, actor=make.OFFICER, now=world.clock.now())


async def test_an_sp_that_agrees_after_its_time_is_not_paid_later_than_one_that_is_silent(
    world, pool, clock
):
    await world.charges(10)
    await world.on(2, 15)
    sent = await world.state()
    clock.at = sent["object_until"] + timedelta(minutes=3)  # the daily job has not run
    async with db.transaction(pool) as tx:
        await actions.confirm(tx, sent["id"], actor=make.sp_actor(world.sp_id), now=clock.now())
    assert (await world.state())["confirmed_at"] == sent["object_until"]
    await world.on(2, 24)
    assert (await world.state())["pay_month"].month == 2


async def test_silence_counts_whatever_job_runs_first_and_a_missed_sheet_is_made_up_for(
    world, tx, clock
):
    await world.charges(10)
    await world.on(2, 15)
    clock.at = JANUARY.replace(month=2, day=24)
    while await world.work():  # nobody kept the calendar since the 15th
        pass
    assert (await world.state())["state"] == "locked"
    await world.on(3, 15)
    await world.on(4, 2)  # and nobody did anything from 16 March on
    february = await world.state(month=JANUARY + 31 * DAY)
    assert (february["state"], february["pay_month"].month) == ("locked", 3)
    sheets = await tx.fetch("SELECT month FROM settlement_payout ORDER BY month")
    assert [row["month"].month for row in sheets] == [2, 3]


async def test_whoever_comes_while_another_locks_does_not_close_the_sheet(world, pool, monkeypatch):
    monkeypatch.setattr(locking, "LOCKS_AT_ONCE", 1)
    for _ in range(2):
        _, service_id = await world.another_sp()
        await world.charge(3, service_id=service_id)
    await world.charges(3)
    for day in (10, 15, 22):
        await world.on(2, day)
    world.clock.at = JANUARY.replace(month=2, day=24)
    async with db.transaction(pool) as first:
        assert await calendar.work(first, actor=JOB, now=world.clock.now()) == 1
        other = asyncio.create_task(world.work())
        await asyncio.sleep(0.05)  # it waits for the first, or has done nothing
    await other
    while await world.work():
        pass
    rows = await world.tx.fetch("SELECT state, pay_month FROM settlement")
    assert {(row["state"], row["pay_month"].month) for row in rows} == {("locked", 2)}


async def test_nothing_is_counted_while_what_came_before_the_cut_off_may_still_land(world):
    await world.charges(3)
    await world.on(2, 10, 0.9)
    assert await world.tx.fetchval("SELECT stage FROM settlement_month") == "count_charges"
    await world.charge(20, received_at=JANUARY + 39 * DAY)  # of the 9th, seen only now
    await world.on(2, 10, 1)
    assert (await world.steps((await world.state())["id"]))["gross"]["arising_fen"] == 4 * PRICE
    assert timedelta(hours=1) == months.STILL_LANDING


async def test_a_payment_says_of_each_why_not_and_a_hold_comes_before_it_or_is_refused(
    world, pool, clock
):
    await world.charges(10)
    await world.on(2, 15)
    mine, nobody = (await world.state())["id"], uuid4()

    async def refused(*ids):
        with pytest.raises(NotPayable) as said:
            await pay(world, *ids)
        return [(each.pointer, each.code) for each in said.value.errors]

    assert await refused(nobody, mine) == [
        ("/settlement_ids/0", "unknown"), ("/settlement_ids/1", "not_locked"),
    ]  # fmt: skip
    await world.on(2, 22)
    await world.on(2, 24)
    assert await refused(mine) == [("/settlement_ids/0", "not_approved")]
    await approve(world)
    officer = {"actor": make.OFFICER, "now": clock.now()}
    async with db.transaction(pool) as holding:
        hold = await actions.place_hold(holding, mine, "a question", **officer)
        paying = asyncio.create_task(pay(world, mine))
        await asyncio.sleep(0.05)
    with pytest.raises(NotPayable):  # it waited, and saw the hold
        await paying
    assert await refused(mine) == [("/settlement_ids/0", "held")]
    async with db.transaction(pool) as tx:
        second = {"actor": make.OFFICER_2, "now": clock.now()}
        await actions.clear_hold(tx, hold.id, "answered", **second)
    assert (await pay(world, mine)).settlements == 1
    assert await refused(mine) == [("/settlement_ids/0", "paid_before")]
    with pytest.raises(AlreadyPaid):
        await actions.place_hold(world.tx, mine, "too late", **officer)


async def test_an_sp_that_has_gone_gets_what_the_book_owes_it_and_what_it_was_charged(
    world, tx, clock
):
    await tx.execute("UPDATE sp SET status = 'closed' WHERE id = $1", world.sp_id)
    for debit, credit, reason in (
        (Account.SP_PAYABLE, Account.SP_RECEIVABLE, PostingReason.RECOVERY),
        (Account.SP_RECEIVABLE, Account.SP_PAYABLE, PostingReason.CLAWBACK_DUE),
    ):
        line = EntryLine(
            id=uuid4(), debit=debit, credit=credit, sp_id=world.sp_id, amount_fen=700, reason=reason
        )
        draft = Draft(msisdn=journal.sp_chain(world.sp_id), id=uuid4(), kind="test", lines=[line])
        await journal.post(tx, [draft], actor=JOB, now=JANUARY + 8 * DAY)
    late = await make.sp(tx, JANUARY, activated_at=JANUARY + 33 * DAY)  # charged before it began
    await world.charge(4, service_id=await make.service(tx, JANUARY, late, price_fen=PRICE))
    await world.through(2)
    assert (await world.state())["payable_fen"] == 700
    steps = await world.steps((await world.state(late))["id"])
    assert steps["gross"]["arising_fen"] == PRICE
    await world.on(3, 10)
    assert await world.state(month=JANUARY + 31 * DAY) is None, "once"


async def test_what_if_of_a_locked_month_begins_with_what_was_locked(world, tx, clock, pool):
    await world.charges(30)
    await world.charge(3, findings=["no_consent"], due_fen=0)
    clock.at = JANUARY + 5 * DAY
    await world.audit()
    await world.breach("general", "effective", JANUARY)
    from spms.settlement import adjusting  # noqa: PLC0415

    for kind in ("fine", "credit"):
        async with db.transaction(pool) as own:
            data = NewAdjustment(sp_id=world.sp_id, kind=kind, amount_fen=300, about="recount")
            officer = {"actor": make.OFFICER, "now": JANUARY}
            made = await adjusting.propose(own, data, **officer)
        await tx.execute(
            "UPDATE settlement_adjustment SET state = 'approved', decided_at = now(),"
            " decided_by = 'b' WHERE id = $1", made.id,
        )  # fmt: skip
    await world.through(2)
    locked = await world.state()
    assert locked["state"] == "locked"
    steps = await world.steps(locked["id"])
    asked = WhatIf(sp_id=world.sp_id, month="2026-01", fine_fen=200)
    shown = await preview(tx, asked, now=clock.now())
    assert shown.counted
    assert shown.now.payable_fen == locked["payable_fen"]
    assert {
        step.kind: (step.arising_fen, step.taken_fen, step.carried_fen) for step in shown.now.steps
    } == {
        kind: (row["arising_fen"], row["taken_fen"], row["carried_fen"])
        for kind, row in steps.items()
    }
    assert shown.difference_fen == -200


async def test_each_figure_is_the_sum_of_the_records_under_it(world, tx, clock, pool):
    await world.charges(5)
    charge_id = await world.charge(3, findings=["no_consent"], due_fen=0)
    clock.at = JANUARY + 5 * DAY
    await world.audit()
    await world.charge(4, findings=["no_consent"], due_fen=0)
    clock.at = JANUARY + 6 * DAY
    await world.audit()
    entry_id = await tx.fetchval("SELECT entry_id FROM posting WHERE charge_id = $1", charge_id)
    await journal.reverse(tx, world.msisdn, entry_id, actor=JOB, now=JANUARY + 7 * DAY)
    await world.on(2, 10)
    found = await world.state()
    steps = await world.steps(found["id"])
    window = await months.draw_queries.of_month(tx, found["month"])
    asked = record_queries.Asked(
        sp_id=world.sp_id, window=window, drawn_at=clock.now(), after=None, limit=100
    )
    for kind, reading, figure in (
        (Kind.GROSS, record_queries.charges, "arising_fen"),
        (Kind.REFUNDS, record_queries.refunds, "advanced_fen"),
        (Kind.COMPENSATION, record_queries.owed, "owed_fen"),
        (Kind.DEPOSIT, record_queries.deposit, "deposit_fen"),
    ):
        rows, step = await reading(tx, asked), steps[kind]
        expected = step[figure] if figure == "arising_fen" else step["inputs"][figure]
        assert sum(row.amount_fen for row in rows) == expected, kind
        seen, after = [], None
        while page := await reading(
            tx, record_queries.Asked(sp_id=world.sp_id, window=window, drawn_at=clock.now(),
                                     after=after, limit=2)
        ):  # fmt: skip
            seen += page
            after = (page[-1].at, page[-1].id)
        assert [row.id for row in seen] == [row.id for row in rows], kind
    assert steps["refunds"]["inputs"]["advanced_fen"] == PRICE, "of two, one was taken back"
