"""Claims against a real database: what is refunded, what stands, and for whom."""

from datetime import timedelta

import pytest

from spms.compensation import actions
from spms.compensation.model import ClaimState, Source
from spms.compensation.rules import STANDS_MAX, ClaimTooOld, DisputedOften
from spms.core.errors import NotFound
from tests import make
from tests.compensation.conftest import AGREED, DAY, PRICE

EVERYTHING = """
    SELECT (SELECT count(*) FROM claim WHERE state = 'refunded') AS claims,
           (SELECT count(*) FROM refund) AS refunds,
           (SELECT COALESCE(sum(amount_fen), 0) FROM refund)::bigint AS refunded_fen,
           (SELECT COALESCE(sum(refunded_fen), 0) FROM refund_total)::bigint AS total_fen,
           (SELECT COALESCE(sum(amount_fen), 0) FROM posting
             WHERE debit = 'sp_receivable' AND credit = 'subscriber_payable')::bigint AS booked_fen,
           (SELECT count(*) FROM message_out WHERE kind = 'refund') AS messages,
           (SELECT count(*) FROM audit_log WHERE about_kind = 'claim') AS audited
"""


async def everything(tx):
    return tuple(await tx.fetchrow(EVERYTHING))


async def test_a_charge_without_consent_comes_back_double_with_everything_written(tx, world, claim):
    charge_id = await world.wrong()
    claimed = await claim(world.msisdn, charge_id)
    assert claimed.state is ClaimState.REFUNDED
    assert (claimed.charged_fen, claimed.due_fen, claimed.refunded_fen) == (PRICE, 0, 2 * PRICE)
    assert claimed.reason == "I never ordered this"
    assert claimed.findings == ["no_consent"]
    assert claimed.proof is None
    double = 2 * PRICE
    assert await everything(tx) == (1, 2, double, double, double, 1, 1)
    assert await actions.receivable(tx, world.sp_id) == double


async def test_only_the_difference_is_doubled_when_something_was_due(tx, world, claim):
    consent_id = await world.agreed(price_fen=AGREED)
    charge_id = await world.right(consent_id, findings=["price_mismatch"], due_fen=AGREED)
    claimed = await claim(world.msisdn, charge_id)
    assert claimed.refunded_fen == 2 * (PRICE - AGREED)
    amounts = await tx.fetch("SELECT kind, amount_fen FROM refund ORDER BY kind")
    assert [tuple(row) for row in amounts] == [("compensation", 300), ("principal", 300)]


async def test_claiming_again_answers_with_the_first_claim_whoever_asks(tx, world, claim):
    charge_id = await world.wrong()
    first = await claim(world.msisdn, charge_id)
    again = await claim(world.msisdn, charge_id, reason="again")
    agent = await claim(
        world.msisdn, charge_id, source=Source.AGENT, actor=make.AGENT, reason="on the line"
    )
    assert first == again == agent
    assert (await everything(tx))[:2] == (1, 2)


async def test_a_right_charge_stands_and_shows_both_consents(tx, now, world, claim):
    consent_id = await world.agreed()
    claimed = await claim(world.msisdn, await world.right(consent_id))
    assert claimed.state is ClaimState.STANDS
    assert (claimed.due_fen, claimed.refunded_fen) == (PRICE, 0)
    assert claimed.proof is not None
    assert claimed.proof.subscription_id == consent_id
    assert (claimed.proof.request_text, claimed.proof.reply_text) == ("TQ", "Y")
    assert claimed.proof.prompt_text == "回复Y确认"
    assert claimed.proof.confirmed_at == now - 2 * DAY
    assert claimed.proof.agreed_fen == PRICE
    assert await everything(tx) == (0, 0, 0, 0, 0, 0, 1)


async def test_a_standing_charge_can_be_disputed_five_times_and_a_new_fact_still_decides(
    owner, now, world, claim
):
    consent_id = await world.agreed()
    charge_id = await world.right(consent_id)
    claims = {(await claim(world.msisdn, charge_id)).id for _ in range(STANDS_MAX)}
    assert len(claims) == STANDS_MAX
    with pytest.raises(DisputedOften):
        await claim(world.msisdn, charge_id)
    await _left_before_the_charge(owner, now, consent_id)
    assert (await claim(world.msisdn, charge_id)).state is ClaimState.REFUNDED


async def _left_before_the_charge(owner, now, consent_id):
    await owner.execute(
        "UPDATE subscription SET status = 'ended', ended_at = $2, end_reason = 'subscriber' "
        "WHERE id = $1",
        consent_id, now - DAY - timedelta(hours=1),
    )  # fmt: skip


async def test_a_fact_that_arrived_late_counts_at_the_claim(owner, now, world, claim):
    consent_id = await world.agreed()
    charge_id = await world.right(consent_id)
    await _left_before_the_charge(owner, now, consent_id)
    claimed = await claim(world.msisdn, charge_id)
    assert (claimed.state, claimed.findings) == (ClaimState.REFUNDED, ["after_unsubscribe"])


async def test_the_last_instant_before_the_time_bar_counts_and_the_next_does_not(
    now, clock, world, claim
):
    charges = [await world.wrong() for _ in range(2)]
    clock.at = now.replace(month=8) - DAY
    assert (await claim(world.msisdn, charges[0])).state is ClaimState.REFUNDED
    clock.move(timedelta(microseconds=1))
    with pytest.raises(ClaimTooOld):
        await claim(world.msisdn, charges[1])
    assert (await claim(world.msisdn, charges[0])).state is ClaimState.REFUNDED


@pytest.mark.parametrize("entrance", ["new_owner", "old_owner", "agent", "another"])
async def test_a_charge_is_claimed_only_by_the_one_who_was_charged(tx, world, claim, entrance):
    moved = await world.another_owner()
    charge_id = await world.wrong(moved)
    actor = {
        "new_owner": make.subscriber_actor(moved, epoch=2),
        "old_owner": make.subscriber_actor(moved, epoch=1),
        "agent": make.AGENT,
        "another": make.subscriber_actor(world.msisdn),
    }[entrance]
    msisdn = world.msisdn if entrance == "another" else moved
    with pytest.raises(NotFound):
        await claim(msisdn, charge_id, actor=actor)
    assert (await everything(tx))[0] == 0


async def test_a_token_of_the_owner_before_claims_nothing_of_the_present_one(tx, now, world, claim):
    moved = await make.number(tx, now, epoch=2, epoch_since=now - 2 * DAY)
    charge_id = await world.wrong(moved)
    with pytest.raises(NotFound):
        await claim(moved, charge_id, actor=make.subscriber_actor(moved, epoch=1))
    assert (await claim(moved, charge_id, actor=make.subscriber_actor(moved, epoch=2))).refunded_fen


async def test_the_audit_refunds_what_it_found_in_batches_and_then_nothing(tx, world, claim, audit):
    wrong = [await world.wrong() for _ in range(5)]
    await world.right(await world.agreed())
    await claim(world.msisdn, wrong[0])
    assert [await audit(limit=3) for _ in range(3)] == [3, 1, 0]
    rows = await tx.fetch("SELECT source, reason FROM claim WHERE source = 'audit'")
    assert {tuple(row) for row in rows} == {("audit", "no_consent")}
    double = 2 * PRICE
    assert (await everything(tx))[:6] == (5, 10, 5 * double, 5 * double, 5 * double, 5)


async def test_the_worst_finding_decides_what_the_audit_refunds(tx, now, world, audit):
    charge_id = await world.wrong()
    await make._insert(
        tx, "charge_finding",
        {"msisdn": world.msisdn, "charge_id": charge_id, "charged_at": now - DAY,
         "kind": "price_mismatch", "due_fen": AGREED, "found_at": now, "found_by": "test"},
    )  # fmt: skip
    assert await audit() == 1
    row = await tx.fetchrow("SELECT reason, due_fen FROM claim")
    assert tuple(row) == ("no_consent", 0)


async def test_a_finding_without_a_difference_does_not_block_the_audit(tx, now, world, audit):
    for _ in range(3):
        await world.wrong(price_fen=AGREED)
    harmless = await make.charge(
        tx, now - DAY, world.msisdn, world.service_id, findings=["price_mismatch"], due_fen=PRICE
    )
    assert [await audit(limit=2) for _ in range(3)] == [2, 1, 0]
    assert await tx.fetchval("SELECT count(*) FROM claim WHERE charge_id = $1", harmless) == 0


async def test_the_old_owner_is_refunded_by_the_audit_and_the_new_one_is_not_told(
    tx, now, world, audit
):
    moved = await world.another_owner()
    dead = await make.number(tx, now, state="terminated")
    for msisdn in (moved, dead, world.msisdn):
        await world.wrong(msisdn)
    assert await audit() == 3
    told = await tx.fetch("SELECT msisdn FROM message_out WHERE kind = 'refund'")
    assert [row["msisdn"] for row in told] == [world.msisdn]


async def test_a_thousand_findings_are_refunded_in_one_batch(tx, owner, now, world, audit):
    await owner.execute(
        """WITH c AS (
               INSERT INTO charge_record
                   (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen,
                    delivery, received_at, findings, due_fen, rulebook_version)
               SELECT $1, $2, gen_random_uuid(), $3, $4, i::text, 'monthly', 800, 'none', $2,
                      '{no_consent}', 0, 1 FROM generate_series(1, 1000) i
               RETURNING id)
           INSERT INTO charge_finding
               (msisdn, charge_id, charged_at, kind, due_fen, found_at, found_by)
           SELECT $1, id, $2, 'no_consent', 0, $2, 'test' FROM c""",
        world.msisdn, now - DAY, world.sp_id, world.service_id,
    )  # fmt: skip
    assert [await audit(), await audit()] == [1000, 0]
    assert (await everything(tx))[:6] == (
        1000, 2000, 1_600_000, 1_600_000, 1_600_000, 1000,
    )  # fmt: skip


async def test_a_worse_finding_after_a_refund_pays_what_is_missing_and_no_more(
    tx, now, world, claim, audit
):
    consent_id = await world.agreed(price_fen=AGREED)
    charge_id = await world.right(consent_id, findings=["price_mismatch"], due_fen=AGREED)
    first = await claim(world.msisdn, charge_id)
    assert (first.refunded_fen, first.remaining_fen) == (600, 500)
    await make._insert(
        tx, "charge_finding",
        {"msisdn": world.msisdn, "charge_id": charge_id, "charged_at": now - DAY,
         "kind": "no_consent", "due_fen": 0, "found_at": now, "found_by": "test"},
    )  # fmt: skip
    assert [await audit(), await audit()] == [1, 0]
    second = await claim(world.msisdn, charge_id)
    assert (second.refunded_fen, second.remaining_fen) == (2 * AGREED, 0)
    assert await claim(world.msisdn, charge_id) == second
    assert await actions.receivable(tx, world.sp_id) == 2 * PRICE
    told = await tx.fetch("SELECT text FROM message_out ORDER BY queued_at, id")
    assert len(told) == 2
    double = 2 * PRICE
    assert (await everything(tx))[:5] == (2, 4, double, double, double)
