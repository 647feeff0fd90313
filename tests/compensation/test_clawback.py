"""A refund is taken back only with proof of fraud, by two people, once, and by a linked reversal."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from spms.charging import bill_queries, own_charge_queries
from spms.charging.bill_model import BillFilter
from spms.charging.own_charge_model import OwnFilter
from spms.compensation import clawback, journal, payout, receivable, verification
from spms.compensation.accounts import Account, Cause, PostingReason
from spms.compensation.invariant_queries import INVARIANTS
from spms.compensation.journal_model import Draft, EntryLine
from spms.compensation.model import Source
from spms.compensation.verification_model import VerificationRequest
from spms.compensation.verification_queries import disputed_fees
from spms.core import db, invariants
from spms.core.clock import month_range
from tests import make
from tests.compensation.conftest import DAY, PRICE
from tests.compensation.test_payout import LossyGateway, RefusingGateway


@pytest.fixture
def gateway():
    return LossyGateway()


@pytest.fixture
def deliver(pool, gateway, clock):
    """Return a function that lets the courier go until nothing is left to ask about."""

    async def delivered():
        for _ in range(8):
            await payout.pump(pool, gateway, clock)
            clock.move(payout.LEASE)

    return delivered


@pytest.fixture
async def fraud(tx, world, claim, deliver):
    """A refund that was paid out, and the body that proposes to take it back."""
    charge_id = await world.wrong()
    refunded = await claim(world.msisdn, charge_id)
    await deliver()
    return {
        "msisdn": world.msisdn, "claim_id": str(refunded.id), "proof": "forged_evidence",
        "reference": "case 12", "document_sha256": "ab" * 32, "reason": "the letter was forged",
    }  # fmt: skip


@pytest.fixture
def signed(sign_in):
    """Return a function that gives an actor's headers, signed in once."""
    known = {}

    async def headers(actor):
        if actor not in known:
            known[actor] = await sign_in(actor)
        return known[actor]

    return headers


@pytest.fixture
def call(http, signed):
    async def called(actor, path, body, status):
        answer = await http.post(path, json=body, headers=await signed(actor))
        assert answer.status_code == status, answer.text
        return answer.json()

    return called


YES = {"accept": True, "reason": "seen"}


async def test_two_people_take_back_what_fraud_brought_and_only_once(
    fraud, call, http, signed, tx, pool, world, claim
):
    made = await call(make.OFFICER, "/clawbacks", fraud, 201)
    assert (made["state"], made["amount_fen"]) == ("proposed", 2 * PRICE)
    assert world.msisdn not in str(made)
    await call(make.OFFICER_2, "/clawbacks", fraud, 409)
    decision = f"/clawbacks/{made['id']}/decision"
    await call(make.OFFICER, decision, YES, 409)
    done = await call(make.OFFICER_2, decision, YES, 200)
    await call(make.OFFICER_2, decision, YES, 409)
    await call(make.OFFICER, "/clawbacks", fraud, 409)
    entry = await tx.fetchrow("SELECT * FROM journal_entry WHERE reverses IS NOT NULL")
    assert (str(entry["id"]), str(entry["reverses"])) == (done["reversal_id"], fraud["claim_id"])
    assert await receivable_of(pool, world) == 0
    again = await claim(world.msisdn, entry["charge_id"])
    assert str(again.id) == fraud["claim_id"], "the charge is not refunded another time"
    assert (await journal.verify(pool))[1] == []
    assert await failing(tx) == []
    (listed,) = (await http.get("/clawbacks", headers=await signed(make.GATEWAY))).json()["items"]
    assert listed["number"] == world.msisdn, "billing must know whose bill it is"


async def test_billing_is_told_to_take_it_off_once_and_the_person_learns_of_it(
    fraud, call, http, signed, tx, pool, world, gateway, deliver
):
    made = await call(make.OFFICER, "/clawbacks", fraud, 201)
    done = await call(make.OFFICER_2, f"/clawbacks/{made['id']}/decision", YES, 200)
    assert done["debit"] == "queued"
    assert await disputed_fees(tx, [world.msisdn], after=None, limit=1) == [], "no dispute of his"
    told = await tx.fetchval("SELECT text FROM message_out WHERE about_kind = 'clawback'")
    assert "16.00元" in told
    await deliver()
    credit, debit = await tx.fetch("SELECT * FROM payout ORDER BY takes_back NULLS FIRST")
    assert (debit["takes_back"], debit["amount_fen"], debit["state"]) == (
        credit["id"], 2 * PRICE, "settled",
    )  # fmt: skip
    assert gateway.book == {credit["id"]: 1, debit["id"]: 1}
    (listed,) = (await http.get("/clawbacks", headers=await signed(make.GATEWAY))).json()["items"]
    assert listed["debit"] == "settled"
    sums = """
        SELECT COALESCE(sum(CASE WHEN debit = $1 THEN amount_fen ELSE -amount_fen END), 0)::bigint
          FROM posting WHERE $1 IN (debit, credit)"""
    for account in (Account.SUBSCRIBER_PAYABLE, Account.SUBSCRIBER_BALANCE, Account.SP_RECEIVABLE):
        assert await tx.fetchval(sums, account) == 0, account
    assert (await journal.verify(pool))[1] == []
    assert await failing(tx) == []
    with pytest.raises(asyncpg.UniqueViolationError):
        await tx.execute(
            "INSERT INTO payout (msisdn, id, charge_id, round, charged_at, sp_id, amount_fen, state,"
            " due_at, queued_at, takes_back) SELECT msisdn, gen_random_uuid(), charge_id, round,"
            " charged_at, sp_id, amount_fen, 'queued', due_at, queued_at, takes_back FROM payout"
            " WHERE takes_back IS NOT NULL"
        )


async def test_a_debit_that_billing_refuses_is_booked_by_two_people_once_it_was_done_by_hand(
    fraud, call, http, signed, tx, pool, clock
):
    made = await call(make.OFFICER, "/clawbacks", fraud, 201)
    await call(make.OFFICER_2, f"/clawbacks/{made['id']}/decision", YES, 200)
    await payout.pump(pool, RefusingGateway(), clock)
    page = (await http.get("/refused-payouts", headers=await signed(make.OFFICER))).json()
    (refused,) = page["items"]
    credit = await tx.fetchval("SELECT id FROM payout WHERE takes_back IS NULL")
    assert refused["takes_back"] == str(credit)
    by_hand = {"outcome": "paid_by_hand", "reason": "billing took it off"}
    path = f"/refused-payouts/{refused['id']}/resolutions"
    proposed = await call(make.OFFICER, path, by_hand, 201)
    await call(make.OFFICER_2, f"/payout-resolutions/{proposed['id']}/decision", YES, 200)
    (entry,) = await tx.fetch("SELECT * FROM journal_entry WHERE reverses = $1", credit)
    assert entry["amount_fen"] == 2 * PRICE
    assert await failing(tx) == []


async def test_who_has_the_number_now_is_not_told_of_another_ones_fraud(
    fraud, call, tx, owner, world, now
):
    made = await call(make.OFFICER, "/clawbacks", fraud, 201)
    await owner.execute("UPDATE number SET epoch = 2, epoch_since = $1", now)
    await call(make.OFFICER_2, f"/clawbacks/{made['id']}/decision", YES, 200)
    assert await tx.fetchval("SELECT count(*) FROM message_out WHERE about_kind = 'clawback'") == 0
    debit = await tx.fetchrow("SELECT charged_at FROM payout WHERE takes_back IS NOT NULL")
    assert debit["charged_at"] < now, "billing knows by it whose bill it is"


async def receivable_of(pool, world):
    async with db.snapshot(pool) as read:
        return await journal.balance(read, world.sp_id, Account.SP_RECEIVABLE)


async def failing(tx):
    return [one.name for one in await invariants.check(tx, INVARIANTS) if not one.holds]


async def test_what_settlement_had_recovered_is_owed_to_the_sp_again(
    fraud, call, tx, pool, now, world
):
    async with db.transaction(pool) as own:
        taken = await receivable.recover(
            own, world.sp_id, 1000, cause_id=uuid4(), actor=make.OFFICER, now=now
        )
    made = await call(make.OFFICER, "/clawbacks", fraud, 201)
    await call(make.OFFICER_2, f"/clawbacks/{made['id']}/decision", YES, 200)
    assert await receivable_of(pool, world) == 0
    line = await tx.fetchrow("SELECT * FROM posting WHERE reason = 'clawback_due'")
    assert (line["amount_fen"], line["credit"]) == (taken, "sp_payable")
    assert await failing(tx) == []


@pytest.mark.parametrize(
    ("before_share", "after_share", "first", "rest"),
    [(PRICE, PRICE, PRICE, PRICE), (PRICE - 300, PRICE, PRICE - 300, PRICE), (0, PRICE, 0, PRICE),
     (PRICE, 0, PRICE, 0)],
)  # fmt: skip
async def test_what_came_off_before_the_share_goes_back_there_and_no_more(
    fraud, call, tx, pool, now, world, before_share, after_share, first, rest
):
    taken = ((PostingReason.FIRST_RECOVERED, before_share), (PostingReason.RECOVERY, after_share))
    lines = [
        EntryLine(id=uuid4(), debit=Account.SP_PAYABLE, credit=Account.SP_RECEIVABLE,
                  sp_id=world.sp_id, amount_fen=amount_fen, reason=reason)
        for reason, amount_fen in taken if amount_fen
    ]  # fmt: skip
    locked = Draft(msisdn=journal.sp_chain(world.sp_id), id=uuid4(), kind="settlement", lines=lines)
    async with db.transaction(pool) as own:
        await journal.post(own, [locked], actor=make.OFFICER, now=now)
    made = await call(make.OFFICER, "/clawbacks", fraud, 201)
    await call(make.OFFICER_2, f"/clawbacks/{made['id']}/decision", YES, 200)
    booked = await tx.fetch("SELECT reason, amount_fen FROM posting WHERE reason LIKE 'clawback_%'")
    expected = {"clawback_first": first, "clawback_due": rest}
    assert dict(map(tuple, booked)) == {reason: fen for reason, fen in expected.items() if fen}
    assert await receivable_of(pool, world) == 0
    assert await failing(tx) == []


async def test_two_frauds_of_one_sp_taken_back_at_once_give_back_each_what_was_taken(
    fraud, call, tx, pool, now, world, claim, deliver
):
    other = await make.number(tx, now)
    second = await claim(other, await world.wrong(other))
    await deliver()
    taken = ((PostingReason.FIRST_RECOVERED, 2 * PRICE), (PostingReason.RECOVERY, 2 * PRICE - 500))
    lines = [
        EntryLine(id=uuid4(), debit=Account.SP_PAYABLE, credit=Account.SP_RECEIVABLE,
                  sp_id=world.sp_id, amount_fen=amount_fen, reason=reason)
        for reason, amount_fen in taken
    ]  # fmt: skip
    locked = Draft(msisdn=journal.sp_chain(world.sp_id), id=uuid4(), kind="settlement", lines=lines)
    async with db.transaction(pool) as own:
        await journal.post(own, [locked], actor=make.OFFICER, now=now)
        about = {"cause_id": uuid4(), "actor": make.OFFICER, "now": now}
        assert await receivable.write_off(own, world.sp_id, 9999, **about) == 500
    bodies = [fraud, fraud | {"msisdn": other, "claim_id": str(second.id)}]
    made = [await call(make.OFFICER, "/clawbacks", body, 201) for body in bodies]

    async def agree(own, one):
        about = {"accept": True, "reason": "seen", "actor": make.OFFICER_2, "now": now}
        await clawback.decide(own, UUID(one["id"]), **about)

    async def later():
        async with db.transaction(pool) as own:
            await agree(own, made[1])

    async with db.transaction(pool) as own:
        await agree(own, made[0])
        other_one = asyncio.create_task(later())
        await asyncio.sleep(0.2)  # it waits for the first, or has read what is not so any more
    await other_one
    booked = await tx.fetch(
        "SELECT reason, amount_fen FROM posting WHERE reason LIKE 'clawback_%'"
        " OR reason = 'write_off_back' ORDER BY 1, 2"
    )
    assert [tuple(row) for row in booked] == [
        ("clawback_due", PRICE - 500), ("clawback_due", PRICE),
        ("clawback_first", PRICE), ("clawback_first", PRICE), ("write_off_back", 500),
    ]  # fmt: skip
    assert await receivable_of(pool, world) == 0
    assert await failing(tx) == []


async def test_without_proof_or_before_it_is_paid_out_nothing_is_taken_back(
    fraud, call, tx, world, claim
):
    for wrong in ({"proof": "suspicion"}, {"reference": "  "}, {"document_sha256": "ab"}):
        await call(make.OFFICER, "/clawbacks", fraud | wrong, 400)
    await call(make.OFFICER, "/clawbacks", fraud | {"claim_id": str(uuid4())}, 404)
    await call(make.AGENT, "/clawbacks", fraud, 403)
    unpaid = await claim(world.msisdn, await world.wrong())
    await call(make.OFFICER, "/clawbacks", fraud | {"claim_id": str(unpaid.id)}, 409)
    made = await call(make.OFFICER, "/clawbacks", fraud, 201)
    await call(make.OFFICER_2, f"/clawbacks/{made['id']}/decision", YES | {"accept": False}, 200)
    assert await tx.fetchval("SELECT count(*) FROM journal_entry WHERE reverses IS NOT NULL") == 0


async def test_agreeing_at_once_takes_back_once(fraud, http, signed, call, tx):
    made = await call(make.OFFICER, "/clawbacks", fraud, 201)
    headers = await signed(make.OFFICER_2)
    answers = await asyncio.gather(*[
        http.post(f"/clawbacks/{made['id']}/decision", json=YES, headers=headers) for _ in range(8)
    ])  # fmt: skip
    assert sorted(one.status_code for one in answers) == [200] + [409] * 7
    assert await tx.fetchval("SELECT count(*) FROM journal_entry WHERE reverses IS NOT NULL") == 1


FORBIDDEN = [
    "UPDATE clawback SET decided_by = proposed_by, decided_at = proposed_at, state = 'declined'",
    "UPDATE clawback SET state = 'agreed', decided_by = 'x', decided_at = proposed_at",
    "UPDATE clawback SET amount_fen = 1",
    "UPDATE clawback SET (state, decided_by, decided_at, reversal_id) = ('agreed', 'x', now(), id)",
    "DELETE FROM clawback",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_the_database_refuses_to_agree_without_a_second_person_or_a_reversal(
    fraud, call, tx, statement
):
    await call(make.OFFICER, "/clawbacks", fraud, 201)
    with pytest.raises(
        (asyncpg.IntegrityConstraintViolationError, asyncpg.InsufficientPrivilegeError)
    ):
        await tx.execute(statement)


async def test_what_was_given_up_of_a_fraud_is_the_operators_again_and_not_the_sps(
    fraud, call, tx, pool, world, clock
):
    """The SP never paid what was written off; what it paid is owed to it."""
    async with db.transaction(pool) as own:
        about = {"cause_id": uuid4(), "actor": make.OFFICER, "now": clock.now()}
        await receivable.recover(own, world.sp_id, 500, **about)
        assert await receivable.write_off(own, world.sp_id, 9999, **about) == 2 * PRICE - 500
    made = await call(make.OFFICER, "/clawbacks", fraud, 201)
    await call(make.OFFICER_2, f"/clawbacks/{made['id']}/decision", YES, 200)
    async with db.snapshot(pool) as read:
        lost = await journal.balance(read, world.sp_id, Account.BAD_DEBT)
        due = await journal.balance(read, world.sp_id, Account.SP_PAYABLE)
    assert (lost, due) == (0, 0), "500 taken off what it earned and 500 owed to it again"
    booked = await tx.fetch(
        "SELECT reason, amount_fen FROM posting WHERE reason LIKE '%_back' OR reason = 'clawback_due'"
        " ORDER BY 1"
    )
    assert [tuple(row) for row in booked] == [
        ("clawback_due", 500), ("write_off_back", 2 * PRICE - 500),
    ]  # fmt: skip
    assert await receivable_of(pool, world) == 0
    assert await failing(tx) == []
    assert (await journal.verify(pool))[1] == []


@pytest.mark.parametrize("objects", [True, False])
async def test_no_second_multiple_follows_a_fraud(
    objects, tx, pool, clock, world, deliver, call, signed
):
    charge_id = await world.right(await world.agreed())
    now = clock.now()
    async with db.transaction(pool) as own:
        asked = VerificationRequest(charge_id=charge_id, cause=Cause.NOT_OPENED, reason="never")
        row = await verification.open_claim(
            own, asked, msisdn=world.msisdn, source=Source.AGENT, actor=make.AGENT, now=now
        )
    await deliver()
    if objects:
        evidence = {"evidence": "logs"}
        sp = make.sp_actor(world.sp_id)
        await call(sp, f"/verifications/{row.id}/objection", evidence, 200)
    claim_id = await tx.fetchval("SELECT id FROM claim")
    body = {
        "msisdn": world.msisdn, "claim_id": str(claim_id), "proof": "confession",
        "reference": "case 13", "document_sha256": "cd" * 32, "reason": "signed",
    }  # fmt: skip
    made = await call(make.OFFICER, "/clawbacks", body, 201)
    (before,) = await verification.statements.verifications(tx, verification_id=row.id)
    assert (before.paid_fen, before.taken_back_fen) == (PRICE, 0), "proposed is not taken back"
    await call(make.OFFICER_2, f"/clawbacks/{made['id']}/decision", YES, 200)
    clock.move(timedelta(days=2))
    async with db.transaction(pool) as own:
        assert await verification.settle_silent(own, now=clock.now()) == 0
    await call(make.OFFICER, f"/verifications/{row.id}/decision", YES, 409)
    (ended,) = await verification.statements.verifications(tx, verification_id=row.id)
    assert (ended.state, ended.decision) == ("single", "taken back for fraud")
    assert (ended.paid_fen, ended.taken_back_fen) == (0, PRICE)
    assert await tx.fetchval("SELECT count(*) FROM claim") == 1
    assert await receivable_of(pool, world) == 0
    history = await tx.fetch("SELECT state, actor FROM verification_event ORDER BY at")
    assert tuple(history[-1]) == ("single", make.OFFICER_2.label)
    assert await failing(tx) == []


async def test_of_a_doubled_claim_what_was_not_taken_back_stands(
    tx, pool, clock, world, deliver, call
):
    charge_id = await world.right(await world.agreed())
    holder = make.subscriber_actor(world.msisdn)
    async with db.transaction(pool) as own:
        asked = VerificationRequest(
            charge_id=charge_id, cause=Cause.NOT_OPENED, reason="never", claimed_fen=300
        )
        row = await verification.open_claim(
            own, asked, msisdn=world.msisdn, source=Source.SUBSCRIBER, actor=holder,
            now=clock.now(),
        )  # fmt: skip
    clock.move(DAY)
    async with db.transaction(pool) as own:
        assert await verification.settle_silent(own, now=clock.now()) == 1
    await deliver()
    body = {
        "msisdn": world.msisdn, "proof": "confession", "reference": "case 14",
        "document_sha256": "cd" * 32, "reason": "signed",
        "claim_id": str(await tx.fetchval("SELECT id FROM claim WHERE round = 2")),
    }  # fmt: skip
    made = await call(make.OFFICER, "/clawbacks", body, 201)
    await call(make.OFFICER_2, f"/clawbacks/{made['id']}/decision", YES, 200)
    (row,) = await verification.statements.verifications(tx, verification_id=row.id)
    assert (row.state, row.paid_fen, row.taken_back_fen) == ("doubled", 300, 300)
    assert await failing(tx) == []


async def test_the_bill_says_that_it_was_taken_back(fraud, call, http, signed, tx, world, now):
    month = month_range((now - DAY).date())
    shown = BillFilter(refunded=True)

    async def bill():
        (line,) = await bill_queries.lines(
            tx, world.msisdn, month, shown, before=(month[1], UUID(int=2**128 - 1)), limit=9
        )
        totals = await bill_queries.totals(tx, world.msisdn, month, shown)
        return [(one.kind, one.amount_fen) for one in line.corrections], totals

    given = [("principal", PRICE), ("compensation", PRICE)]
    corrections, totals = await bill()
    assert (corrections, totals.refunded_fen, totals.compensation_fen) == (given, PRICE, PRICE)
    made = await call(make.OFFICER, "/clawbacks", fraud, 201)
    assert (await bill())[0] == given, "proposed is not decided"
    await call(make.OFFICER_2, f"/clawbacks/{made['id']}/decision", YES, 200)
    corrections, totals = await bill()
    assert corrections == [*given, ("principal", -PRICE), ("compensation", -PRICE)]
    assert (totals.lines, totals.refunded_fen, totals.compensation_fen) == (1, 0, 0)
    (own,) = await own_charge_queries.of_sp(
        tx, world.sp_id, month, OwnFilter(refunded=True),
        before=(month[1], UUID(int=2**128 - 1)), limit=9,
    )  # fmt: skip
    assert [(one.kind, one.amount_fen) for one in own.corrections] == corrections
    of_sp = await own_charge_queries.totals(tx, world.sp_id, month, OwnFilter(refunded=True))
    assert (of_sp.lines, of_sp.refunded_fen, of_sp.compensation_fen) == (1, 0, 0)
