"""Claims that need proof: once at once, the SP's day, then twice or not; and who must agree."""

import asyncio
from datetime import timedelta

import pytest

from spms.compensation import actions, verification
from spms.compensation.accounts import Account, Cause
from spms.compensation.invariant_queries import INVARIANTS
from spms.compensation.model import Source
from spms.compensation.refusals import (
    AuditDecides,
    Moved,
    OverRemaining,
    SamePerson,
    VerifiedBefore,
)
from spms.compensation.verification_model import (
    VerificationAction,
    VerificationRequest,
    VerificationState,
)
from spms.core import db, invariants
from spms.core.errors import NotAllowed, NotFound
from tests import make
from tests.compensation.conftest import DAY, PRICE

HOUR = timedelta(hours=1)
LIMIT = 500
MONEY = """
    SELECT COALESCE(sum(amount_fen), 0)::bigint FROM posting
     WHERE debit = $1 AND credit = 'subscriber_payable'
"""


@pytest.fixture
def contest(pool, clock, world):
    """Return a function that claims with a cause in a transaction of its own."""

    async def contested(charge_id, cause=Cause.NOT_OPENED, *, fen=None, actor=None, **values):
        data = VerificationRequest(
            charge_id=charge_id, cause=cause, reason="it never worked", claimed_fen=fen
        )
        msisdn = values.get("msisdn", world.msisdn)
        async with db.transaction(pool, timeout_seconds=60) as tx:
            return await verification.open_claim(
                tx, data, msisdn=msisdn, source=Source.AGENT if actor else Source.SUBSCRIBER,
                actor=actor or make.subscriber_actor(msisdn), now=clock.now(),
            )  # fmt: skip

    return contested


@pytest.fixture
def settle(pool, clock):
    async def settled():
        async with db.transaction(pool, timeout_seconds=60) as tx:
            return await verification.settle_silent(tx, now=clock.now())

    return settled


async def one_more_right_charge(world):
    service_id = await make.service(world.tx, world.now, world.sp_id, price_fen=PRICE)
    consent_id = await make.subscription(world.tx, world.now - 2 * DAY, world.msisdn, service_id)
    return await make.charge(
        world.tx, world.now - DAY, world.msisdn, service_id, consent_id=consent_id
    )


async def all_hold(tx):
    broken = [f for f in await invariants.check(tx, INVARIANTS) if not f.holds]
    assert broken == []


def test_every_state_but_the_last_three_can_be_left():
    left = {state for state, _ in verification.TRANSITIONS}
    assert set(VerificationState) - left == {"doubled", "single", "declined"}
    assert {action for _, action in verification.TRANSITIONS} == set(VerificationAction)


async def test_silence_doubles_after_a_day_and_not_before(tx, clock, world, contest, settle):
    charge_id = await world.right(await world.agreed())
    row = await contest(charge_id)
    assert (row.state, row.claimed_fen, row.paid_fen) == ("awaiting_sp", PRICE, PRICE)
    assert row.object_until == clock.now() + DAY
    assert await contest(charge_id) == row, "claiming again answers with the first"
    assert await actions.receivable(tx, world.sp_id) == PRICE
    clock.move(DAY - timedelta(microseconds=1))
    assert await settle() == 0
    clock.move(timedelta(microseconds=1))
    with pytest.raises(Moved):
        await verification.object_to(
            tx, row.id, "late", actor=make.sp_actor(world.sp_id), now=clock.now()
        )
    assert sum(await asyncio.gather(settle(), settle(), settle())) == 1
    (row,) = await verification.statements.verifications(tx, verification_id=row.id)
    assert (row.state, row.paid_fen, row.decision) == ("doubled", 2 * PRICE, "the SP was silent")
    assert await actions.receivable(tx, world.sp_id) == 2 * PRICE
    history = await tx.fetch("SELECT state FROM verification_event ORDER BY at")
    assert [each["state"] for each in history] == ["awaiting_sp", "doubled"]
    await all_hold(tx)


@pytest.mark.parametrize(("accept", "state", "paid"), [(True, "doubled", 2), (False, "single", 1)])
async def test_after_an_objection_an_officer_decides_and_nothing_is_taken_back(
    tx, clock, world, contest, settle, accept, state, paid
):
    row = await contest(await world.right(await world.agreed()))
    with pytest.raises(NotFound):
        await verification.object_to(
            tx, row.id, "no", actor=make.sp_actor((await world.another_sp()).sp_id),
            now=clock.now(),
        )  # fmt: skip
    sp = make.sp_actor(world.sp_id)
    row = await verification.object_to(tx, row.id, "使用记录", actor=sp, now=clock.now())
    clock.move(2 * DAY)
    assert await settle() == 0, "an objection stops the clock"
    with pytest.raises(NotAllowed):
        await verification.object_to(tx, row.id, "again", actor=sp, now=clock.now())
    row = await verification.decide(
        tx, row.id, accept=accept, reason="seen", actor=make.OFFICER, now=clock.now()
    )
    assert (row.state, row.paid_fen) == (state, paid * PRICE)
    with pytest.raises(NotAllowed):
        await verification.decide(
            tx, row.id, accept=True, reason="more", actor=make.OFFICER, now=clock.now()
        )
    assert await actions.receivable(tx, world.sp_id) == paid * PRICE
    await all_hold(tx)


async def test_a_large_claim_and_the_sixth_of_a_day_wait_for_a_second_person(
    tx, owner, clock, world, contest
):
    await owner.execute(
        "INSERT INTO rulebook SELECT 2, '-infinity', $1, 'test', now(), 'test'",
        {"compensation": {"four_eyes_fen": LIMIT}},
    )
    charges = [await one_more_right_charge(world) for _ in range(9)]
    large = await contest(charges[0], actor=make.OFFICER)
    assert (large.state, large.paid_fen) == ("awaiting_approval", 0)
    with pytest.raises(SamePerson):
        await verification.approve(
            tx, large.id, accept=True, reason="mine", actor=make.OFFICER, now=clock.now()
        )
    disputed = await verification.statements.disputed_fees(tx, [world.msisdn], after=None, limit=9)
    assert [each.disputed_fen for each in disputed] == [PRICE]
    clock.move(HOUR)
    large = await verification.approve(
        tx, large.id, accept=True, reason="seen", actor=make.OFFICER_2, now=clock.now()
    )
    assert (large.state, large.paid_fen) == ("awaiting_sp", PRICE)
    assert large.object_until == clock.now() + DAY
    # One of today's five is taken: of eight at once, four pass.
    rows = await asyncio.gather(*[contest(charge_id, fen=LIMIT) for charge_id in charges[1:]])
    assert sorted(row.state for row in rows) == ["awaiting_approval"] * 4 + ["awaiting_sp"] * 4
    waiting = next(row for row in rows if row.state == "awaiting_approval")
    declined = await verification.approve(
        tx, waiting.id, accept=False, reason="no", actor=make.OFFICER, now=clock.now()
    )
    assert (declined.state, declined.paid_fen) == ("declined", 0)
    await all_hold(tx)


@pytest.mark.parametrize(
    ("cause", "principal", "compensation"),
    [
        (Cause.OPERATOR_FAULT, Account.OPERATOR_SHARE, Account.GOODWILL),
        (Cause.METERING, Account.OPERATOR_SHARE, Account.GOODWILL),
        (Cause.SP_FAULT, Account.SP_RECEIVABLE, Account.SP_RECEIVABLE),
        (Cause.NOT_AS_PUBLISHED, Account.SP_RECEIVABLE, Account.SP_RECEIVABLE),
        (Cause.PROMISED_DISCOUNT, Account.SP_RECEIVABLE, Account.SP_RECEIVABLE),
        (Cause.NOT_OPENED, Account.SP_RECEIVABLE, Account.SP_RECEIVABLE),
    ],
)
async def test_each_of_the_six_causes_is_borne_by_whom_the_table_says(
    tx, clock, world, contest, settle, cause, principal, compensation
):
    row = await contest(await world.right(await world.agreed()), cause, fen=100)
    clock.move(DAY)
    assert await settle() == 1
    borne = {debit: await tx.fetchval(MONEY, debit) for debit in (principal, compensation)}
    assert borne == ({principal: 200} if principal is compensation
                     else {principal: 100, compensation: 100})  # fmt: skip
    assert row.claimed_fen == 100
    await all_hold(tx)


async def test_what_findings_prove_later_pays_only_what_is_missing(
    tx, now, clock, world, contest, settle, audit
):
    consent_id = await world.agreed()
    charge_id = await world.right(consent_id)
    await contest(charge_id, fen=300)
    with pytest.raises(OverRemaining):
        await contest(await world.right(consent_id), fen=PRICE + 1)
    await make._insert(
        tx, "charge_finding",
        {"msisdn": world.msisdn, "charge_id": charge_id, "charged_at": now - DAY,
         "kind": "no_consent", "due_fen": 0, "found_at": now, "found_by": "test"},
    )  # fmt: skip
    assert await audit() == 1
    assert await actions.receivable(tx, world.sp_id) == 2 * PRICE
    clock.move(DAY)
    assert await settle() == 1, "the SP's day ends, and nothing is left to pay"
    assert [await audit(), await settle()] == [0, 0]
    assert await actions.receivable(tx, world.sp_id) == 2 * PRICE
    with pytest.raises(AuditDecides):
        await contest(await world.wrong())
    await all_hold(tx)


async def test_thirty_two_at_once_open_one_claim_and_pay_it_once(tx, world, contest):
    charge_id = await world.right(await world.agreed())
    ended = await asyncio.gather(*[contest(charge_id) for _ in range(32)], return_exceptions=True)
    assert {type(one) for one in ended if isinstance(one, Exception)} <= {VerifiedBefore}
    assert len({one.id for one in ended if not isinstance(one, Exception)}) == 1
    assert await actions.receivable(tx, world.sp_id) == PRICE


async def test_over_http_each_sees_and_does_what_is_theirs(http, sign_in, world, clock):
    charge_id = await world.right(await world.agreed())
    holder = await sign_in(make.subscriber_actor(world.msisdn))
    sp = await sign_in(make.sp_actor(world.sp_id))
    officer, bss = await sign_in(make.OFFICER), await sign_in(make.GATEWAY)
    body = {"charge_id": str(charge_id), "cause": "not_opened", "reason": "我没有用过"}
    shown = (await http.post("/claims/preview", json=body, headers=holder)).json()
    assert (shown["first_fen"], shown["second_fen"], shown["bearer"]) == (PRICE, PRICE, "sp")
    assert (shown["proven_fen"], shown["needs_second_person"]) == (0, False)
    made = await http.post("/verifications", json=body, headers=holder)
    assert made.status_code == 200, made.text
    assert (made.json()["state"], made.json()["paid_fen"]) == ("awaiting_sp", PRICE)
    (theirs,) = (await http.get("/verifications", headers=sp)).json()["items"]
    assert theirs["reason"] is None
    assert world.msisdn not in str(theirs)
    path = f"/verifications/{theirs['id']}"
    answer = await http.post(f"{path}/objection", json={"evidence": "日志"}, headers=sp)
    assert answer.json()["state"] == "objected"
    answer = await http.post(
        f"{path}/decision", json={"accept": True, "reason": "ok"}, headers=officer
    )
    assert (answer.json()["state"], answer.json()["paid_fen"]) == ("doubled", 2 * PRICE)
    (row,) = (
        await http.post("/disputed-fees/search", json={"msisdns": [world.msisdn]}, headers=bss)
    ).json()
    assert row == {
        "msisdn": world.msisdn, "disputed_fen": PRICE, "charges": [str(charge_id)],
    }  # fmt: skip
    assert (await http.get("/disputed-fees", headers=bss)).json()["items"] == [row]
    assert (await http.get("/disputed-fees", headers=holder)).status_code == 403
