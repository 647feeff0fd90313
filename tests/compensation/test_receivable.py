"""What SPs owe: by age, recovered once, from the deposit, and with a charge's shares unwound."""

import asyncio
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.compensation import actions, journal, receivable
from spms.compensation.accounts import Account, Bearer, PostingReason, both
from spms.compensation.invariant_queries import INVARIANTS
from spms.compensation.journal_model import Draft, EntryLine
from spms.compensation.model import Opening
from spms.compensation.receivable_queries import Share
from spms.compensation.refunding import share_to_unwind
from spms.compensation.rules import Due, refund_lines
from spms.core import db, invariants
from tests import make
from tests.compensation.conftest import AGREED, DAY, PRICE
from tests.compensation.test_rules import a_charge


async def test_the_oldest_advance_is_recovered_first_and_the_rest_is_carried_over(
    tx, clock, now, world, audit
):
    for _ in range(4):
        await world.wrong()
        await audit()
        clock.move(31 * DAY)
    at = clock.now()
    (aged,) = await receivable.ageing(tx, world.sp_id, now=at)
    each = 2 * PRICE
    assert (aged.receivable_fen, aged.to_30_days_fen) == (4 * each, 0)
    assert (aged.to_60_days_fen, aged.to_90_days_fen, aged.older_fen) == (each, each, 2 * each)
    statement = uuid4()
    assert await receivable.recover(
        tx, world.sp_id, 2 * each + 100, cause_id=statement, actor=make.OFFICER, now=at
    ) == 2 * each + 100  # fmt: skip
    assert await receivable.recover(
        tx, world.sp_id, each, cause_id=statement, actor=make.OFFICER, now=at
    ) == 0, "once for a statement"  # fmt: skip
    (aged,) = await receivable.ageing(tx, world.sp_id, now=at)
    assert (aged.to_60_days_fen, aged.to_90_days_fen, aged.older_fen) == (each, each - 100, 0)
    assert await actions.receivable(tx, world.sp_id) == aged.receivable_fen


async def test_recoveries_at_once_never_take_more_than_is_owed(pool, tx, now, world, audit):
    await world.wrong()
    await audit()
    officer = {"actor": make.OFFICER, "now": now}
    await receivable.pay_deposit(tx, world.sp_id, 500, cause_id=uuid4(), **officer)

    async def take(what, *args):
        async with db.transaction(pool) as own:
            return await what(own, world.sp_id, *args, cause_id=uuid4(), **officer)

    taken = await asyncio.gather(
        *[take(receivable.recover, 300) for _ in range(4)],
        *[take(receivable.call_deposit, 2 * PRICE) for _ in range(2)],
        *[take(receivable.write_off, 200) for _ in range(2)],
    )
    assert sum(taken) == 2 * PRICE
    assert sum(taken[4:6]) <= 500, "no more than the deposit"
    assert await actions.receivable(tx, world.sp_id) == 0
    assert -await journal.balance(tx, world.sp_id, Account.DEPOSITS) == 500 - sum(taken[4:6])
    assert await journal.verify(pool) == (await tx.fetchval(
        "SELECT (SELECT count(*) FROM posting) + (SELECT count(*) FROM journal_entry)"
    ), [])  # fmt: skip
    assert [one for one in await invariants.check(tx, INVARIANTS) if not one.holds] == []


async def test_a_refund_takes_back_what_was_shared_out_of_the_charge(tx, now, world, audit):
    consent_id = await world.agreed(price_fen=AGREED)
    charge_id = await world.right(consent_id, findings=["price_mismatch"], due_fen=AGREED)
    shares = {Account.SP_PAYABLE: 501, Account.OPERATOR_SHARE: 299}
    await journal.post(
        tx,
        [Draft(
            msisdn=world.msisdn, id=uuid4(), kind="revenue", charge_id=charge_id,
            lines=[
                EntryLine(id=uuid4(), debit=Account.SUBSCRIBER_BALANCE, credit=account,
                          sp_id=world.sp_id, amount_fen=fen, reason="revenue")
                for account, fen in shares.items()
            ],
        )],
        actor=make.OFFICER, now=now,
    )  # fmt: skip
    await audit()
    unwound = "SELECT debit, amount_fen FROM posting WHERE reason LIKE 'unwind%' ORDER BY debit, at"
    first = {Account.SP_PAYABLE: 501 * 300 // 800, Account.OPERATOR_SHARE: 299 * 300 // 800}
    assert {row["debit"]: row["amount_fen"] for row in await tx.fetch(unwound)} == first
    assert await actions.receivable(tx, world.sp_id) == 600 - sum(first.values())
    await make._insert(
        tx, "charge_finding",
        {"msisdn": world.msisdn, "charge_id": charge_id, "charged_at": now - DAY,
         "kind": "no_consent", "due_fen": 0, "found_at": now, "found_by": "test"},
    )  # fmt: skip
    await audit()
    for account in shares:
        assert await journal.balance(tx, world.sp_id, account) == 0, "all of it, to the last fen"
    assert await actions.receivable(tx, world.sp_id) == PRICE, "the compensation is what it costs"
    assert [one for one in await invariants.check(tx, INVARIANTS) if not one.holds] == []


async def test_only_permitted_pairs_are_booked_whoever_asks(tx, now, world):
    line = EntryLine(
        id=uuid4(), debit=Account.FINES, credit=Account.BANK, sp_id=world.sp_id, amount_fen=1,
        reason=PostingReason.PAYOUT,
    )  # fmt: skip
    with pytest.raises(ValueError, match="permitted"):
        await journal.post(
            tx, [Draft(msisdn="x", id=uuid4(), kind="x", lines=[line])], actor=make.OFFICER, now=now
        )


@given(
    share=st.integers(1, 1_000_000), charged=st.integers(1, 1_000_000),
    parts=st.lists(st.integers(1, 1000), min_size=1, max_size=5),
)  # fmt: skip
def test_a_share_is_all_back_when_the_charge_is_and_never_more(share, charged, parts):
    returned, unwound = 0, 0
    for part in [*parts, charged]:
        step = min(part, charged - returned)
        opening = Opening(
            id=uuid4(), disputed=a_charge(charged_fen=charged, principal_fen=returned), round=1,
            due_fen=0, honoured_due_fen=0, reason="", cause=None, bearers=both(Bearer.SP),
            rulebook_version=1,
            lines=refund_lines(a_charge(), Due(step, 0)),
        )  # fmt: skip
        kept = Share(charge_id=uuid4(), account=Account.SP_PAYABLE, fen=share, unwound_fen=unwound)
        back = share_to_unwind(kept, opening)
        assert back >= 0
        returned, unwound = returned + step, unwound + back
    assert (returned, unwound) == (charged, share)
