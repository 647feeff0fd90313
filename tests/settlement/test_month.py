"""A month from its charges to the transfer: counted, drawn, sent, agreed, locked, booked, paid."""

from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from spms.compensation import journal, receivable
from spms.compensation.invariant_queries import INVARIANTS as MONEY
from spms.core import db, invariants
from spms.settlement import actions, lock_queries, locking
from spms.settlement.life_model import (
    NewObjection,
    ObjectionDecision,
    ObjectionLine,
    Payment,
    State,
)
from spms.settlement.model import Kind
from spms.settlement.refusals import AlreadyDecided, NotPayable, ObjectionTooLate
from tests import make
from tests.settlement.conftest import DAY, JANUARY, JOB, MONTH, PRICE


async def test_a_month_to_the_transfer(world, pool, tx, clock, now):
    await world.charges(100)
    await world.charge(3, findings=["no_consent"], due_fen=0)
    clock.at = JANUARY + 5 * DAY
    assert await world.audit() == 1, "refunded double, in January"
    await world.on(2, 9)
    assert await world.state() is None, "not before the cut-off"
    await world.on(2, 10)
    drawn = await world.state()
    assert (drawn["state"], drawn["revision"]) == ("draft", 1)
    steps = await world.steps(drawn["id"])
    gross = 101 * PRICE
    base = gross - PRICE - gross * 8 // 100 - gross // 10
    assert steps["gross"]["arising_fen"] == gross
    assert steps["refunds"]["taken_fen"] == PRICE
    assert steps["share"]["inputs"]["base_fen"] == base
    assert steps["compensation"]["taken_fen"] == PRICE
    assert drawn["payable_fen"] == base - steps["share"]["taken_fen"] - PRICE

    await world.on(2, 14)
    assert (await world.state())["state"] == "draft"
    await world.on(2, 15)
    assert (await world.state())["state"] == "sent"
    await world.on(2, 21, 23)
    assert (await world.state())["state"] == "sent"
    await world.on(2, 22, 0)
    confirmed = await world.state()
    assert confirmed["state"] == "confirmed", "by silence"
    await world.on(2, 24)
    locked = await world.state()
    assert (locked["state"], locked["pay_month"].month) == ("locked", 2)
    paid_fen = locked["payable_fen"]
    books = await world.balances()
    assert books["sp_payable"] == -paid_fen
    assert "sp_receivable" not in books, "both multiples are back"
    assert books["subscriber_balance"] == gross
    assert sum(books.values()) == 0

    async with db.transaction(pool) as own:
        with pytest.raises(NotPayable):
            await locking.pay(
                own, Payment(reference="B1", settlement_ids=[locked["id"]]),
                actor=make.OFFICER, now=clock.now(),
            )  # fmt: skip
    async with db.transaction(pool) as own:
        await locking.approve_payout(own, locked["pay_month"], actor=make.OFFICER, now=clock.now())
        with pytest.raises(AlreadyDecided):
            await locking.approve_payout(
                own, locked["pay_month"], actor=make.OFFICER, now=clock.now()
            )
    await world.on(2, 26)
    sheet = await locking.payout_month(tx, locked["pay_month"], now=clock.now())
    assert sheet.to_finance_at == clock.now()
    assert [one.id for one in sheet.newly_payable.items] == [locked["id"]]
    async with db.transaction(pool) as own:
        paid = await locking.pay(
            own, Payment(reference="B1", settlement_ids=[locked["id"], locked["id"]]),
            actor=make.OFFICER, now=clock.now(),
        )  # fmt: skip
    assert (paid.settlements, paid.amount_fen) == (1, paid_fen)
    assert (await world.balances())["bank"] == -paid_fen
    assert "sp_payable" not in await world.balances()
    assert [one for one in await invariants.check(tx, MONEY) if not one.holds] == []
    assert (await journal.verify(world.pool))[1] == []


async def test_late_charges_and_late_refunds_go_into_the_next_month_and_a_locked_one_stays(
    world, tx, clock
):
    await world.charges(10)
    came_late = JANUARY + 45 * DAY
    # There already when January is counted, as when that is made up for: not January's.
    await world.charge(20, received_at=came_late)
    await world.charge(21, findings=["no_consent"], due_fen=0, received_at=came_late)
    await world.through(2)
    january = await world.state()
    assert january["state"] == "locked"
    assert (await world.steps(january["id"]))["gross"]["arising_fen"] == 10 * PRICE
    before = await tx.fetch("SELECT * FROM settlement_statement")
    clock.at = came_late
    await world.audit()
    await world.on(3, 10)
    assert (
        await tx.fetch(
            "SELECT * FROM settlement_statement WHERE revision = 1 AND settlement_id = $1",
            (await world.state())["id"],
        )
        == before
    )
    february = await world.state(month=JANUARY + 31 * DAY)
    steps = await world.steps(february["id"])
    assert steps["gross"]["inputs"]["late_fen"] == 2 * PRICE == steps["gross"]["arising_fen"]
    assert steps["refunds"]["taken_fen"] == PRICE, "of a charge of January"
    counted = await tx.fetchval(
        "SELECT sum(records) FROM settlement_figure WHERE kind IN ('charged', 'late')"
    )
    assert counted == await tx.fetchval("SELECT count(*) FROM charge_record"), "each once"


async def test_the_locked_cannot_be_changed_and_the_unlocked_only_follow(world, tx, owner):
    await world.charges(10)
    await world.through(2)
    locked = await world.state()
    assert locked["state"] == "locked"
    for statement in (
        "UPDATE settlement_lock SET payable_fen = 0",
        "UPDATE settlement_statement SET body = ''",
        "UPDATE settlement_step SET taken_fen = 0",
        "UPDATE settlement_figure SET amount_fen = 0",
        "DELETE FROM settlement_lock",
        "UPDATE settlement_payment SET amount_fen = 1",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.execute(statement)
    for statement in (
        "UPDATE settlement SET payable_fen = payable_fen + 1",
        "UPDATE settlement SET state = 'confirmed', pay_month = NULL",
        "UPDATE settlement SET pay_month = pay_month + interval '1 month'",
    ):
        with pytest.raises(asyncpg.CheckViolationError, match="final"):
            await tx.execute(statement)
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute("UPDATE settlement_statement SET body = body || ' '")
    with pytest.raises(AlreadyDecided):
        await locking.redraw(tx, locked["id"], reason="x", actor=JOB, now=JANUARY)
    assert await world.state() == locked


@pytest.mark.parametrize("redraw", [True, False])
async def test_a_rulebook_that_is_dated_back_changes_no_month_that_was_opened_before(
    world, pool, owner, clock, redraw
):
    await world.charges(10)
    await world.on(2, 15)
    sent = await world.state()
    drawn = await world.steps(sent["id"])
    await owner.execute(
        "INSERT INTO rulebook VALUES (2, '2020-01-01', $1, 'x', $2, 'test')",
        {"settlement": {"service_fee_bp": 5000, "object_days": 9}}, clock.now(),
    )  # fmt: skip
    clock.move(timedelta(days=5))
    async with db.transaction(pool) as own:
        data = NewObjection(statement="count it again", lines=[])
        await actions.object_to(
            own, sent["id"], data, actor=make.sp_actor(world.sp_id), now=clock.now()
        )
        await actions.decide_objection(
            own, sent["id"], ObjectionDecision(redraw=redraw, reason="looked at again"),
            actor=make.OFFICER, now=clock.now(),
        )  # fmt: skip
    after = await world.state()
    assert after["revision"] == 1 + redraw
    assert after["object_until"] == clock.now() + timedelta(days=5)
    again = await world.steps(sent["id"])
    assert again["service_fee"]["taken_fen"] == drawn["service_fee"]["taken_fen"] > 0


async def test_an_objection_line_by_line_stops_the_lock_until_it_is_decided(world, pool, tx, clock):
    await world.charges(10)
    await world.on(2, 15)
    sent = await world.state()
    sp = make.sp_actor(world.sp_id)
    lines = [ObjectionLine(step=Kind.GROSS, expected_fen=9_999, reason="our own count")]
    data = NewObjection(statement="the gross is too small", lines=lines)
    async with db.transaction(pool) as own:
        await actions.object_to(own, sent["id"], data, actor=sp, now=clock.now())
    await world.on(2, 24)
    assert (await world.state())["state"] == "disputed"
    async with db.transaction(pool) as own:
        after = await actions.decide_objection(
            own, sent["id"], ObjectionDecision(redraw=True, reason="counted again"),
            actor=make.OFFICER, now=clock.now(),
        )  # fmt: skip
    assert (after.state, after.revision) == (State.SENT, 2)
    assert after.object_until == clock.now() + timedelta(days=5)
    clock.at = after.object_until
    with pytest.raises(ObjectionTooLate):
        await actions.object_to(tx, sent["id"], data, actor=sp, now=clock.now())
    await world.on(3, 1)
    assert (await world.state())["state"] == "confirmed"
    await world.on(3, 23)
    assert (await world.state())["state"] == "confirmed", "too late for February's payment"
    await world.on(3, 24)
    assert (await world.state())["pay_month"] == MONTH.replace(month=3)


async def test_breaches_cut_once_they_are_final_and_only_once(world, tx, clock):
    await world.charges(50)
    final = await world.breach("general", "effective", JANUARY + 8 * DAY)
    appealed = await world.breach("grave", "appealed", JANUARY + 8 * DAY)
    open_ = await world.breach("grave", "effective", JANUARY + 300 * DAY)
    quashed = await world.breach("grave", "quashed", JANUARY + 8 * DAY)
    await world.on(2, 10)
    cut = (await world.steps((await world.state())["id"]))["grade_cut"]
    assert [each["breach_id"] for each in cut["inputs"]["breaches"]] == [str(final)]
    assert {each["breach_id"] for each in cut["inputs"]["waiting"]} == {str(appealed), str(open_)}
    assert (cut["inputs"]["cut_bp"], str(quashed) in str(cut["inputs"])) == (1000, False)
    await world.through(2)
    assert await tx.fetchval("SELECT source_id FROM settlement_use") == final
    await world.charge(40)
    await tx.execute("UPDATE breach SET state = 'upheld' WHERE id = $1", appealed)
    await world.on(3, 10)
    february = await world.steps((await world.state(month=JANUARY + 31 * DAY))["id"])
    assert [each["breach_id"] for each in february["grade_cut"]["inputs"]["breaches"]] == [
        str(appealed)
    ]


async def test_what_was_paid_from_the_deposit_after_the_draft_is_not_taken_again(
    world, pool, tx, clock
):
    await world.charges(20)
    await world.charge(3, findings=["no_consent"], due_fen=0)
    clock.at = JANUARY + 5 * DAY
    await world.audit()
    officer = {"actor": make.OFFICER, "now": JANUARY}
    await world.on(2, 10)
    async with db.transaction(pool) as own:
        await receivable.pay_deposit(own, world.sp_id, 10_000, cause_id=uuid4(), **officer)
        await receivable.call_deposit(own, world.sp_id, 10_000, cause_id=uuid4(), **officer)
    await world.on(2, 15)
    await world.on(2, 22)
    await world.on(2, 24)
    again = await world.state()
    assert (again["state"], again["revision"]) == ("sent", 2)
    steps = await world.steps(again["id"])
    assert steps["compensation"]["taken_fen"] == steps["refunds"]["taken_fen"] == 0
    await world.on(3, 1)
    await world.on(3, 24)
    assert (await world.state())["state"] == "locked"
    assert [one for one in await invariants.check(tx, MONEY) if not one.holds] == []


async def test_each_month_follows_the_one_before_even_when_that_is_locked_late(
    world, pool, tx, clock
):
    await world.charges(3)
    fine_id = uuid4()
    row = {
        "id": fine_id, "sp_id": world.sp_id, "kind": "fine", "amount_fen": 3_000, "about": "x",
        "state": "approved", "proposed_at": JANUARY, "proposed_by": "a", "decided_at": JANUARY,
        "decided_by": "b",
    }  # fmt: skip
    await make._insert(tx, "settlement_adjustment", row)
    await world.on(2, 10)
    await world.on(3, 10)
    february = JANUARY + 31 * DAY
    for day in (15, 22, 24):
        await world.on(3, day)
    first, second = await world.state(), await world.state(month=february)
    assert (first["state"], first["payable_fen"]) == ("locked", 0)
    assert (second["state"], second["revision"]) == ("sent", 2), "drawn before what it follows"
    steps = await world.steps(second["id"])
    taken = (await world.steps(first["id"]))["fines"]["taken_fen"]
    assert 0 < taken < 3_000
    assert steps["fines"]["brought_fen"] == 3_000 - taken
    assert steps["fines"]["arising_fen"] == 0, "one fine, once"
    await world.on(4, 24)
    assert (await world.state(month=february))["state"] == "locked"
    chain = await lock_queries.locked_statements(tx, world.sp_id)
    assert [one.follows for one in chain] == [b"", chain[0].sha256]
