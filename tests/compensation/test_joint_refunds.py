"""Several charges of one person are put right by one entry and one credit, and each stays its own."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from spms.compensation import clawback, journal, mass_correction, payout
from spms.compensation.accounts import Account, Cause
from spms.compensation.clawback_model import ClawbackRequest
from spms.compensation.invariant_queries import INVARIANTS
from spms.compensation.mass_correction_model import CorrectionRequest
from spms.compensation.verification_queries import disputed_fees
from spms.core import db, invariants
from tests import make
from tests.compensation.conftest import DAY, PRICE
from tests.compensation.test_payout import LossyGateway, RefusingGateway

DUE = PRICE - 100
GIVEN = 2 * 100
"""What each charge brings, in fen."""


class Billing(LossyGateway):
    """Keeps what it was told, too."""

    def __init__(self):
        super().__init__()
        self.told = {}

    async def pay(self, credit):
        self.told[credit.id] = credit
        return await super().pay(credit)


@pytest.fixture
def correct(tx, pool, clock, world):
    """Return a function that puts the price right, as the job does, in chunks of so many charges."""

    async def corrected(limit=100, due_fen=DUE):
        wanted = CorrectionRequest(
            service_id=world.service_id, wrong_fen=PRICE, due_fen=due_fen, cause=Cause.NOT_AS_PUBLISHED,
            from_at=world.now - 5 * DAY, until_at=world.now, reason="loaded wrongly", apology="很抱歉。",
        )  # fmt: skip
        row = await mass_correction.propose(tx, wanted, actor=make.OFFICER, now=clock.now())
        await mass_correction.decide(
            tx, row.id, accept=True, reason="seen", actor=make.OFFICER_2, now=clock.now()
        )
        more = 1
        while more:
            async with db.transaction(pool) as own:
                more = await mass_correction.work_chunk(own, now=clock.now(), limit=limit)

    return corrected


@pytest.fixture
def deliver(pool, clock):
    """Return a function that lets the courier go until nothing is left to ask about."""
    billing = Billing()

    async def delivered():
        for _ in range(8):
            await payout.pump(pool, billing, clock)
            clock.move(payout.LEASE)
        return billing

    return delivered


@pytest.fixture
def take_back(tx, clock, world):
    """Return a function that takes back what a charge's claim brought, by two people."""

    async def taken(charge_id):
        row = await propose(tx, clock, world, charge_id)
        assert row.amount_fen == GIVEN
        return await clawback.decide(
            tx, row.id, accept=True, reason="seen", actor=make.OFFICER_2, now=clock.now()
        )

    return taken


async def charge(world, at, msisdn=None):
    """Insert one at the wrong price; it is over a cap that is only observed."""
    return await make.charge(
        world.tx, at, msisdn or world.msisdn, world.service_id, findings=["over_cap"], due_fen=PRICE
    )


async def charges(world, count):
    return [await charge(world, world.now - DAY - timedelta(hours=n)) for n in range(count)]


async def propose(tx, clock, world, charge_id):
    claim_id = await tx.fetchval("SELECT id FROM claim WHERE charge_id = $1", charge_id)
    wanted = ClawbackRequest(
        msisdn=world.msisdn, claim_id=claim_id, proof="forged_evidence", reference="case 12",
        document_sha256="ab" * 32, reason="forged",
    )  # fmt: skip
    return await clawback.propose(tx, wanted, actor=make.OFFICER, now=clock.now())


async def failing(tx):
    return [one.name for one in await invariants.check(tx, INVARIANTS) if not one.holds]


async def balance(tx, account):
    return await tx.fetchval(
        "SELECT COALESCE(sum(CASE WHEN debit = $1 THEN amount_fen ELSE -amount_fen END), 0)::bigint "
        "FROM posting WHERE $1 IN (debit, credit)", account,
    )  # fmt: skip


async def test_one_entry_and_one_credit_for_a_person_and_every_charge_can_be_followed_to_them(
    tx, pool, world, correct, deliver
):
    ids = await charges(world, 3)
    await correct()
    (entry,) = await tx.fetch("SELECT * FROM journal_entry")
    assert (entry["amount_fen"], entry["lines"], entry["charge_id"]) == (3 * GIVEN, 2, None)
    (fees,) = await disputed_fees(tx, [world.msisdn], after=None, limit=1)
    assert (fees.disputed_fen, set(fees.charges)) == (300, set(ids)), (
        "until billing has confirmed it"
    )
    billing = await deliver()
    (credit,) = billing.told.values()
    assert (credit.amount_fen, credit.principal_fen) == (3 * GIVEN, 300)
    assert {one.id: one.amount_fen for one in credit.charges} == dict.fromkeys(ids, GIVEN)
    assert await disputed_fees(tx, [world.msisdn], after=None, limit=1) == []
    for charge_id in ids:
        booked = await journal.entries_of_charge(tx, world.msisdn, charge_id)
        assert [one.kind for one in booked] == ["refund", "payout"]
    for account in ("subscriber_payable", "subscriber_balance"):
        by_charge = await tx.fetch(
            "SELECT charge_id, sum(amount_fen)::bigint AS fen FROM posting_of_charge "
            "WHERE credit = $1 GROUP BY charge_id", account,
        )  # fmt: skip
        assert {row["charge_id"]: row["fen"] for row in by_charge} == dict.fromkeys(ids, GIVEN)
    assert (await journal.verify(pool))[1] == []
    assert await failing(tx) == []


async def test_one_charge_alone_and_a_former_holders_have_their_own(tx, owner, world, correct):
    """A credit says whose it is by the time of its charge, so two holders never share one."""
    ids = await charges(world, 4)
    since = world.now - DAY - timedelta(hours=1)
    await owner.execute("UPDATE number SET epoch = 2, epoch_since = $1", since)
    other = await make.number(tx, world.now)
    ids.append(await charge(world, world.now - DAY, other))
    await correct()
    rows = await tx.fetch("SELECT charge_id, joint_id, charged_at, amount_fen FROM payout")
    (joint,) = [row for row in rows if row["joint_id"] is not None]
    assert (joint["amount_fen"], joint["charged_at"]) == (2 * GIVEN, world.now - DAY)
    assert {row["charge_id"] for row in rows if row["joint_id"] is None} == {*ids[2:4], ids[4]}
    assert await failing(tx) == []


async def test_nobody_is_split_over_two_chunks_and_a_second_correction_pays_what_is_missing(
    tx, pool, world, correct
):
    ids = await charges(world, 3)
    await correct(limit=2)
    await correct(due_fen=DUE - 50)
    rounds = await tx.fetch("SELECT round, count(*) AS n FROM claim GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in rounds] == [(1, 3), (2, 3)]
    assert await tx.fetchval("SELECT count(*) FROM journal_entry") == 2
    total = await tx.fetchval("SELECT sum(refunded_fen)::bigint FROM refund_total")
    assert total == len(ids) * 2 * 150 == await balance(tx, Account.SP_RECEIVABLE)
    assert (await journal.verify(pool))[1] == []
    assert await failing(tx) == []


async def test_of_a_joint_refund_one_charges_part_is_taken_back_once_and_then_anothers(
    tx, pool, world, correct, deliver, take_back
):
    ids = await charges(world, 3)
    await correct()
    await deliver()
    for n, charge_id in enumerate(ids[:2], 1):
        done = await take_back(charge_id)
        entry = await tx.fetchrow("SELECT * FROM journal_entry WHERE id = $1", done.reversal_id)
        assert (entry["charge_id"], entry["amount_fen"]) == (charge_id, GIVEN)
        assert await balance(tx, Account.SP_RECEIVABLE) == (3 - n) * GIVEN
        billing = await deliver()
        debits = [one for one in billing.told.values() if one.takes_back is not None]
        assert [([each.id for each in one.charges], one.amount_fen) for one in debits] == [
            ([each], GIVEN) for each in ids[:n]
        ]
        assert {one.charged_at for one in debits} == {world.now - DAY}, (
            "whose bill the credit went to"
        )
        assert await balance(tx, Account.SUBSCRIBER_PAYABLE) == 0
        assert await balance(tx, Account.SUBSCRIBER_BALANCE) == -(3 - n) * GIVEN
        with pytest.raises(clawback.Moved):
            await take_back(charge_id)
    ends = "SELECT id FROM posting_of_charge p WHERE reverses IS NOT NULL AND NOT EXISTS ({})"
    named = (
        "SELECT FROM posting_of_charge o WHERE o.id = p.reverses AND o.amount_fen = p.amount_fen"
    )
    assert await tx.fetch(ends.format(named)) == [], "each line names what it takes back"
    assert (await journal.verify(pool))[1] == []
    assert await failing(tx) == []


async def test_what_is_moved_from_one_charge_to_another_of_the_same_refund_is_named(
    tx, owner, world, correct
):
    """The sums still agree: only the id, which the chain holds, says what each charge was given."""
    ids = await charges(world, 2)
    await correct()
    assert await failing(tx) == []
    for charge_id, fen in zip(ids, (1, -1), strict=True):
        await owner.execute(
            "UPDATE claim SET principal_fen = principal_fen + $2, compensation_fen = compensation_fen + $2,"
            " principal_so_far_fen = principal_so_far_fen + $2,"
            " compensation_so_far_fen = compensation_so_far_fen + $2, due_fen = due_fen - $2,"
            " honoured_due_fen = honoured_due_fen - $2"
            " WHERE charge_id = $1", charge_id, fen,
        )  # fmt: skip
    assert await failing(tx) == ["joint_refunds_name_their_claims"]


async def test_a_joint_entry_is_never_taken_back_as_a_whole(
    tx, now, world, correct, deliver, take_back
):
    """Or some of it would be taken back twice."""
    ids = await charges(world, 2)
    await correct()
    await deliver()
    await take_back(ids[0])
    for entry in await tx.fetch("SELECT id FROM journal_entry WHERE charge_id IS NULL"):
        with pytest.raises(ValueError, match="by its parts"):
            await journal.reverse(tx, world.msisdn, entry["id"], actor=make.OFFICER, now=now)


DEBIT = """
    INSERT INTO payout (msisdn, id, charge_id, round, joint_id, charged_at, sp_id, amount_fen, state,
                        due_at, queued_at, takes_back)
    SELECT msisdn, gen_random_uuid(), {charge}, {round}, {joint}, charged_at, sp_id, {fen}, 'queued',
           due_at, queued_at, id FROM payout WHERE takes_back IS NULL AND joint_id IS {which} NULL LIMIT 1
"""
A_CLAIM = "(SELECT charge_id FROM claim k WHERE k.joint_id = payout.joint_id LIMIT 1)"
WRONG_DEBITS = {
    "another charge of a single credit": ("gen_random_uuid()", "round", "NULL", "amount_fen", ""),
    "more than the credit": ("charge_id", "round", "NULL", "amount_fen + 1", ""),
    "less than it": ("charge_id", "round", "NULL", "amount_fen - 1", ""),
    "all of a joint one": ("NULL", "NULL", "joint_id", "amount_fen", "NOT"),
    "a charge that it did not pay": ("gen_random_uuid()", "1", "NULL", "200", "NOT"),
    "more than the charge's part": (A_CLAIM, "1", "NULL", "201", "NOT"),
    "another round of it": (A_CLAIM, "2", "NULL", "200", "NOT"),
}


@pytest.mark.parametrize("wrong", WRONG_DEBITS.values(), ids=WRONG_DEBITS)
async def test_the_database_refuses_a_debit_that_is_not_of_its_credit(tx, world, correct, wrong):
    await charges(world, 2)
    await charge(world, world.now - DAY, await make.number(tx, world.now))
    await correct()
    names = ("charge", "round", "joint", "fen", "which")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        await tx.execute(DEBIT.format(**dict(zip(names, wrong, strict=True))))
    assert refused.value.constraint_name in {"payout_takes_back", "payout_debit_of_one"}
    right = {"charge": A_CLAIM, "round": "1", "joint": "NULL", "fen": "200", "which": "NOT"}
    await tx.execute(DEBIT.format(**right))
    with pytest.raises(asyncpg.UniqueViolationError):
        await tx.execute(DEBIT.format(**right))


async def test_two_parts_taken_back_at_once_are_both_and_the_third_by_hand(
    tx, pool, clock, world, correct, deliver, http, sign_in
):
    ids = await charges(world, 3)
    await correct()
    await deliver()
    proposed = [await propose(tx, clock, world, charge_id) for charge_id in ids]

    async def agree(row):
        async with db.transaction(pool) as own:
            await clawback.decide(
                own, row.id, accept=True, reason="seen", actor=make.OFFICER_2, now=clock.now()
            )

    await asyncio.gather(*[agree(row) for row in proposed[:2]])
    await deliver()
    await agree(proposed[2])
    await payout.pump(pool, RefusingGateway(), clock)
    first, second = await sign_in(make.OFFICER), await sign_in(make.OFFICER_2)
    (refused,) = (await http.get("/refused-payouts", headers=first)).json()["items"]
    assert [(one["id"], one["amount_fen"]) for one in refused["charges"]] == [(str(ids[2]), GIVEN)]
    path, body = (
        f"/refused-payouts/{refused['id']}/resolutions",
        {"outcome": "paid_by_hand", "reason": "x"},
    )
    made = (await http.post(path, json=body, headers=first)).json()
    path, body = f"/payout-resolutions/{made['id']}/decision", {"accept": True, "reason": "seen"}
    assert (await http.post(path, json=body, headers=second)).status_code == 200
    for account in (Account.SP_RECEIVABLE, Account.SUBSCRIBER_PAYABLE, Account.SUBSCRIBER_BALANCE):
        assert await balance(tx, account) == 0
    assert (await journal.verify(pool))[1] == []
    assert await failing(tx) == []


@pytest.mark.parametrize(
    ("rules", "given"), [({"multiplier": 1}, 100), ({"compensation_cap_fen": 30}, 130)]
)
async def test_other_multiples_are_joint_too(tx, pool, world, correct, deliver, say, rules, given):
    await say(2, world.now - 10 * DAY, **rules)
    ids = await charges(world, 2)
    await correct()
    billing = await deliver()
    (credit,) = billing.told.values()
    assert [one.amount_fen for one in credit.charges] == [given] * len(ids)
    assert (await journal.verify(pool))[1] == []
    assert await failing(tx) == []
