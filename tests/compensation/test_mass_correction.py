"""A wrong price is put right for everybody: once, in chunks, whatever happens meanwhile."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from jobs import correct_prices
from spms.catalogue import actions as catalogue
from spms.compensation import actions, journal, mass_correction, queries
from spms.compensation.accounts import Account, Bearer, Bearers, Cause, both
from spms.compensation.invariant_queries import INVARIANTS
from spms.compensation.journal_model import Draft, EntryLine
from spms.compensation.mass_correction_model import CorrectionRequest
from spms.compensation.model import CompensationRules, Opening, Source
from spms.compensation.refunding import claim_id, refund
from spms.compensation.refusals import CorrectionEmpty, Moved, RangeWrong, SamePerson
from spms.compensation.rules import judge, outstanding, refund_lines
from spms.core import db, invariants
from spms.core.errors import NotFound
from tests import make
from tests.compensation.conftest import DAY

FILL = """
    WITH numbered AS (
        INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
        SELECT '8613' || lpad(n::text, 9, '0'), 1, 'active', $6, $6 FROM generate_series(1, $4) n
        ON CONFLICT DO NOTHING)
    INSERT INTO charge_record
        (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen, delivery,
         received_at, findings, due_fen, rulebook_version)
    SELECT '8613' || lpad(n::text, 9, '0'), $1::timestamptz + i * interval '1 minute',
           gen_random_uuid(), $2, $3, n || '-' || i || '-' || $7::bigint, 'monthly', $7, 'none', $1,
           '{over_cap}', $7, 1
      FROM generate_series(1, $4::int) n, generate_series(1, $5::int) i
"""
TOTALS = """
    SELECT count(*) AS charges, COALESCE(sum(refunded_fen), 0)::bigint AS fen FROM refund_total
"""


def wanted(world, **values):
    return CorrectionRequest(**{
        "service_id": world.service_id, "wrong_fen": 900, "due_fen": 800,
        "from_at": world.now - 2 * DAY, "until_at": world.now, "cause": Cause.NOT_AS_PUBLISHED,
        "reason": "tariff table loaded wrongly", "apology": "很抱歉，我们多收了费用。",
    } | values)  # fmt: skip


@pytest.fixture
async def fill(owner, now, world):
    async def filled(numbers, each, price_fen=900):
        await owner.execute(
            FILL, now - DAY, world.sp_id, world.service_id, numbers, each, now - 60 * DAY, price_fen
        )

    return filled


@pytest.fixture(autouse=True)
def one_lane(monkeypatch):
    monkeypatch.setattr(mass_correction, "LANES", 1)


@pytest.fixture
def chunk(pool, clock):
    async def chunked(limit=100):
        async with db.transaction(pool, timeout_seconds=60) as tx:
            return await mass_correction.work_chunk(tx, now=clock.now(), limit=limit)

    return chunked


async def test_nine_instead_of_eight_comes_back_double_to_everybody_and_each_is_told_once(
    tx, clock, world, fill, chunk
):
    await fill(50, 5)
    await fill(10, 2, price_fen=800)
    row = await mass_correction.propose(tx, wanted(world), actor=make.OFFICER, now=clock.now())
    assert (row.charges, row.numbers, row.owed_fen, row.receivable_before_fen) == (
        250,
        50,
        50_000,
        0,
    )
    assert await chunk() == 0, "a proposal pays nothing"
    with pytest.raises(SamePerson):
        await mass_correction.decide(
            tx, row.id, accept=True, reason="me", actor=make.OFFICER, now=clock.now()
        )
    decide = {"accept": True, "reason": "seen", "actor": make.OFFICER_2, "now": clock.now()}
    await mass_correction.decide(tx, row.id, **decide)
    with pytest.raises(Moved):
        await mass_correction.decide(tx, row.id, **decide)
    while any(await asyncio.gather(chunk(), chunk())):
        progress = await mass_correction.get(tx, row.id)
        assert progress.refunded == (await tx.fetchrow(TOTALS))["charges"]
    done = await mass_correction.get(tx, row.id)
    assert (done.state, done.charges_done, done.refunded, done.refunded_fen, done.told) == (
        "done", 250, 250, 50_000, 50,
    )  # fmt: skip
    assert await actions.receivable(tx, world.sp_id) == 50_000
    told = await tx.fetch("SELECT msisdn, text FROM message_out")
    assert len({row["msisdn"] for row in told}) == len(told) == 50
    assert {row["text"] for row in told} == {"很抱歉，我们多收了费用。共退还并补偿10.00元(5笔)。"}
    assert await invariants.check(tx, INVARIANTS) == [
        one for one in await invariants.check(tx, INVARIANTS) if one.holds
    ]
    with pytest.raises(CorrectionEmpty):
        await mass_correction.propose(tx, wanted(world), actor=make.OFFICER, now=clock.now())


async def test_a_chunk_that_dies_is_done_again_and_claims_meanwhile_are_not_paid_twice(
    tx, owner, pool, clock, world, fill, chunk, audit
):
    await fill(20, 3)
    await owner.execute(
        "INSERT INTO charge_finding (msisdn, charge_id, charged_at, kind, due_fen, found_at, "
        "found_by) SELECT msisdn, id, charged_at, 'price_mismatch', 850, charged_at, 'test' "
        "FROM charge_record"
    )
    row = await mass_correction.propose(tx, wanted(world), actor=make.OFFICER, now=clock.now())
    await mass_correction.decide(
        tx, row.id, accept=True, reason="seen", actor=make.OFFICER_2, now=clock.now()
    )
    await chunk(60)  # all are listed
    await chunk(10)
    async with pool.acquire() as connection:
        dying = connection.transaction()
        await dying.start()
        assert await mass_correction.work_chunk(connection, now=clock.now(), limit=10) == 12
        await dying.rollback()
    assert (await mass_correction.get(tx, row.id)).charges_done == 12, "nobody is split over two"

    async def correct():
        while await chunk(7):
            pass

    async def find():
        while await audit(limit=5):
            pass

    await asyncio.gather(correct(), find(), find())
    await correct()
    assert tuple(await tx.fetchrow(TOTALS)) == (60, 60 * 200)
    assert await actions.receivable(tx, world.sp_id) == 60 * 200
    broken = [one for one in await invariants.check(tx, INVARIANTS) if not one.holds]
    assert broken == []


async def test_a_turn_that_refunds_ends_before_anybody_is_told(tx, pool, clock, world, fill):
    """However few the charges are: who waits for the last refund sees when that was."""
    await fill(10, 2)
    row = await mass_correction.propose(tx, wanted(world), actor=make.OFFICER, now=clock.now())
    await mass_correction.decide(
        tx, row.id, accept=True, reason="seen", actor=make.OFFICER_2, now=clock.now()
    )
    while await correct_prices.refund_some(pool, clock):
        pass
    refunded = await mass_correction.get(tx, row.id)
    assert (refunded.state, refunded.refunded, refunded.told) == ("telling", 20, 0)
    assert await correct_prices.tell_some(pool, clock) == 10
    assert (await mass_correction.get(tx, row.id)).state == "done"
    assert await tx.fetchval("SELECT count(*) FROM message_out") == 10


async def test_who_has_the_number_now_is_not_told_of_anothers_charges(
    tx, owner, clock, now, world, fill, chunk
):
    await fill(3, 1)
    await owner.execute("UPDATE number SET epoch_since = $1, epoch = 2 WHERE msisdn LIKE '%1'", now)
    await owner.execute("UPDATE number SET state = 'terminated' WHERE msisdn LIKE '8613%2'")
    row = await mass_correction.propose(
        tx, wanted(world, cause=Cause.METERING), actor=make.OFFICER, now=clock.now()
    )
    await mass_correction.decide(
        tx, row.id, accept=True, reason="seen", actor=make.OFFICER_2, now=clock.now()
    )
    while await chunk():
        pass
    assert (await tx.fetchrow(TOTALS))["charges"] == 3
    told = await tx.fetch("SELECT msisdn FROM message_out")
    assert [row["msisdn"] for row in told] == ["8613000000003"]
    assert await actions.receivable(tx, world.sp_id) == 0, "metering is the operator's"


async def test_what_cannot_be_proposed_is_refused_and_a_declined_one_does_nothing(
    tx, clock, world, fill, chunk
):
    await fill(1, 1)
    for wrong in (
        {"due_fen": 900}, {"until_at": world.now + timedelta(seconds=1)},
        {"from_at": world.now},
    ):  # fmt: skip
        with pytest.raises(RangeWrong):
            await mass_correction.propose(
                tx, wanted(world, **wrong), actor=make.OFFICER, now=clock.now()
            )
    with pytest.raises(NotFound):
        await mass_correction.propose(
            tx, wanted(world, service_id=world.sp_id), actor=make.OFFICER, now=clock.now()
        )
    assert (await catalogue.get(tx, world.service_id)).id == world.service_id
    row = await mass_correction.propose(tx, wanted(world), actor=make.OFFICER, now=clock.now())
    row = await mass_correction.decide(
        tx, row.id, accept=False, reason="no", actor=make.OFFICER_2, now=clock.now()
    )
    assert (row.state, await chunk()) == ("declined", 0)


WRITTEN = {
    "claim": "SELECT id, charge_id, source, state, charged_fen, due_fen, round, cause, bearer, "
             "second_bearer, rulebook_version FROM claim",
    "refund": "SELECT charge_id, kind, round, sp_id, amount_fen, bearer FROM refund",
    "refund_total": "SELECT * FROM refund_total",
    "posting": "SELECT debit, credit, sp_id, amount_fen, reason, charge_id FROM posting_of_charge",
    "entry": "SELECT msisdn, sum(amount_fen)::bigint FROM journal_entry GROUP BY msisdn",
    "payout": "SELECT msisdn, sp_id, state, sum(amount_fen)::bigint FROM payout GROUP BY 1, 2, 3",
    # Of charges that are refunded by themselves, also in which entry and by which payout.
    "its entry": "SELECT id, kind, lines, amount_fen FROM journal_entry WHERE charge_id = ANY($1)",
    "its posting": "SELECT entry_id, debit, credit, sp_id, amount_fen, reason, charge_id, line_no, of_lines "
                   "FROM posting WHERE charge_id = ANY($1)",
    "its payout": "SELECT id, charge_id, round, charged_at, sp_id, amount_fen, state FROM payout "
                  "WHERE charge_id = ANY($1)",
}  # fmt: skip


@pytest.mark.parametrize(
    "bearers", [both(Bearer.SP), both(Bearer.OPERATOR), *[
        Bearers(first=one, second=other) for one, other in ((Bearer.SP, Bearer.OPERATOR), (Bearer.OPERATOR, Bearer.SP))
    ]]
)  # fmt: skip
async def test_a_chunk_writes_what_refunding_one_by_one_writes(
    tx, owner, pool, clock, now, world, fill, audit, bearers
):
    """Charges with and without findings, earlier rounds, shares that were paid out, former holders."""
    await fill(6, 4)
    await owner.execute(
        "UPDATE number SET epoch = 2, epoch_since = $1 WHERE msisdn LIKE '%6'",
        now - DAY + timedelta(minutes=3),
    )
    await owner.execute(
        "INSERT INTO charge_finding (msisdn, charge_id, charged_at, kind, due_fen, found_at, "
        "found_by) SELECT msisdn, id, charged_at, 'price_mismatch', 850, charged_at, 'test' "
        "FROM charge_record WHERE right(record_id, 5) = '1-900'"
    )
    rows = await tx.fetch("SELECT msisdn, id, record_id FROM charge_record ORDER BY msisdn, id")
    shared = [
        Draft(
            msisdn=row["msisdn"], id=uuid4(), kind="revenue", charge_id=row["id"],
            lines=[
                EntryLine(id=uuid4(), debit=Account.SUBSCRIBER_BALANCE, credit=account,
                          sp_id=world.sp_id, amount_fen=fen, reason="revenue")
                for account, fen in ((Account.SP_PAYABLE, 601), (Account.OPERATOR_SHARE, 299))
            ],
        )
        for row in rows[::2]
    ]  # fmt: skip
    await journal.post(tx, shared, actor=make.OFFICER, now=now)
    await audit()  # those with a finding have a first round
    await owner.execute(
        "INSERT INTO charge_finding (msisdn, charge_id, charged_at, kind, due_fen, found_at, "
        "found_by) SELECT msisdn, id, charged_at, 'no_consent', 0, charged_at, 'test' "
        "FROM charge_record WHERE right(record_id, 5) IN ('1-900', '2-900')"
    )
    cause = Cause.METERING
    await owner.execute(
        "INSERT INTO rulebook VALUES (2, '-infinity', $1, 'test', $2, 'test')",
        {"compensation": {"bearers": {"metering": msgspec.to_builtins(bearers)}}}, now,
    )  # fmt: skip
    row = await mass_correction.propose(tx, wanted(world, cause=cause), actor=make.OFFICER, now=now)
    await mass_correction.decide(
        tx, row.id, accept=True, reason="seen", actor=make.OFFICER_2, now=now
    )
    ids = [one["id"] for one in rows]

    async def written(connection, apart):
        return {
            table: Counter(
                tuple(one) for one in await connection.fetch(
                    statement, *([apart] if "$1" in statement else [])
                )
            )
            for table, statement in WRITTEN.items()
        }  # fmt: skip

    async with pool.acquire() as connection:
        by_set = connection.transaction()
        await by_set.start()
        assert await mass_correction.work_chunk(connection, now=now) == 24, "first they are listed"
        assert await mass_correction.work_chunk(connection, now=now) == 24
        joint = await connection.fetch("SELECT charge_id FROM claim WHERE joint_id IS NOT NULL")
        apart = sorted(set(ids) - {one["charge_id"] for one in joint})
        assert joint, "some are paid together"
        assert apart, "and some by themselves"
        from_database = await written(connection, apart)
        await by_set.rollback()
    found = await queries.disputed_many(tx, [one["msisdn"] for one in rows], ids)
    openings = []
    for charge in found:
        due_fen = min(800, judge(charge).due_fen)
        due = outstanding(charge, due_fen, CompensationRules())
        openings.append(Opening(
            id=claim_id(charge, charge.round + 1), disputed=charge, round=charge.round + 1,
            due_fen=due_fen, honoured_due_fen=due_fen, reason="x", cause=cause, bearers=bearers,
            rulebook_version=2, lines=refund_lines(charge, due, bearers),
        ))  # fmt: skip
    await refund(tx, openings, source=Source.BATCH, actor=make.OFFICER, now=now, telling=False)
    assert from_database == await written(tx, apart)
    assert any(one["round"] == 2 for one in await tx.fetch("SELECT round FROM claim"))
    assert (await journal.verify(pool))[1] == []


async def test_lanes_side_by_side_refund_each_charge_once_and_tell_each_person_once(
    tx, pool, clock, world, fill, chunk, monkeypatch
):
    monkeypatch.setattr(mass_correction, "LANES", 4)
    await fill(40, 5)
    row = await mass_correction.propose(tx, wanted(world), actor=make.OFFICER, now=clock.now())
    await mass_correction.decide(
        tx, row.id, accept=True, reason="seen", actor=make.OFFICER_2, now=clock.now()
    )

    async def work():
        while await chunk(9):
            pass

    await asyncio.gather(*[work() for _ in range(5)])
    while await chunk(1000):
        pass
    done = await mass_correction.get(tx, row.id)
    assert (done.state, done.charges_done, done.refunded, done.told) == ("done", 200, 200, 40)
    assert tuple(await tx.fetchrow(TOTALS)) == (200, 200 * 200)
    used = await tx.fetchval("SELECT count(*) FROM mass_correction_lane WHERE charges_done > 0")
    assert used == 4
    assert (await journal.verify(pool))[1] == []
    assert [one for one in await invariants.check(tx, INVARIANTS) if not one.holds] == []


async def test_what_lands_while_it_runs_is_corrected_with_the_rest(
    tx, owner, clock, now, world, fill, chunk
):
    """Charges of the past that come in behind the listing, also from a landing begun before it."""
    await fill(20, 2)
    row = await mass_correction.propose(tx, wanted(world), actor=make.OFFICER, now=clock.now())
    await mass_correction.decide(
        tx, row.id, accept=True, reason="seen", actor=make.OFFICER_2, now=clock.now()
    )
    assert await chunk(100) == 40, "all are listed"
    for n, received_at in (("a", now), ("b", now - timedelta(minutes=59))):
        await owner.execute(
            "INSERT INTO charge_record SELECT (jsonb_populate_record(c, jsonb_build_object("
            "'id', gen_random_uuid(), 'record_id', $1::text, 'received_at', $2::timestamptz))).* "
            "FROM charge_record c WHERE c.msisdn LIKE '%1'",
            n,
            received_at,
        )
    late = await tx.fetchval("SELECT count(*) FROM charge_record") - 40
    assert late > 0
    while await chunk():
        pass
    done = await mass_correction.get(tx, row.id)
    assert (done.state, done.refunded, done.told) == ("done", 40 + late, 20)
    assert done.looked_again_at is not None
    assert tuple(await tx.fetchrow(TOTALS)) == (40 + late, (40 + late) * 200)
    texts = await tx.fetch("SELECT text FROM message_out WHERE msisdn LIKE '%1'")
    assert all("笔" in row["text"] and "(2笔)" not in row["text"] for row in texts)
    assert await invariants.check(tx, INVARIANTS) == [
        one for one in await invariants.check(tx, INVARIANTS) if one.holds
    ]


async def test_two_corrections_of_the_same_charges_pay_together_what_the_lower_price_leaves(
    tx, pool, clock, world, fill, chunk, monkeypatch
):
    """Side by side: whoever comes second waits for the chain and pays only what is missing."""
    monkeypatch.setattr(mass_correction, "LANES", 2)
    await fill(20, 3)
    for due_fen in (800, 500):
        row = await mass_correction.propose(
            tx, wanted(world, due_fen=due_fen), actor=make.OFFICER, now=clock.now()
        )
        await mass_correction.decide(
            tx, row.id, accept=True, reason="seen", actor=make.OFFICER_2, now=clock.now()
        )

    async def work():
        while await chunk(9):
            pass

    while await tx.fetchval("SELECT count(*) FROM mass_correction WHERE state <> 'done'"):
        await asyncio.gather(*[work() for _ in range(4)])
    assert tuple(await tx.fetchrow(TOTALS)) == (60, 60 * 2 * 400)
    assert await tx.fetchval("SELECT count(*) FROM mass_correction_charge") == 0
    assert (await journal.verify(pool))[1] == []
    assert [one for one in await invariants.check(tx, INVARIANTS) if not one.holds] == []
