"""A refund is taken back only with proof of fraud, by two people, once, and by a linked reversal."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from spms.compensation import journal, receivable
from spms.compensation.accounts import Account
from spms.compensation.invariant_queries import INVARIANTS
from spms.core import db, invariants
from tests import make
from tests.compensation.conftest import PRICE

PAID = "UPDATE payout SET state = 'settled', ended_at = due_at WHERE state <> 'settled'"


@pytest.fixture
async def fraud(tx, world, claim):
    """A refund that was paid out, and the body that proposes to take it back."""
    charge_id = await world.wrong()
    refunded = await claim(world.msisdn, charge_id)
    await tx.execute(PAID)
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
