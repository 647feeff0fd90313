"""Once, whatever races, retries or entrances: and each guard is enough alone, none is not."""

import asyncio
from collections import Counter
from itertools import cycle
from uuid import uuid4

import asyncpg
import httpx
import pytest

from spms.app import create_app
from spms.compensation.model import Source
from spms.core import db, roles
from tests import make
from tests.compensation.conftest import AGREED, DAY, MANY_LOOKS, PRICE
from tests.compensation.cutting_proxy import Cut, in_front_of

REFUNDS_PER_CHARGE = """
    SELECT r.charge_id, array_agg(r.kind ORDER BY r.kind) AS kinds, sum(r.amount_fen)::bigint AS fen
      FROM refund r GROUP BY r.charge_id
"""
SUMS = """
    SELECT (SELECT count(*) FROM claim WHERE state = 'refunded') AS claims,
           (SELECT sum(amount_fen) FROM refund)::bigint AS refunded,
           (SELECT sum(refunded_fen) FROM refund_total)::bigint AS total,
           (SELECT sum(amount_fen) FROM posting)::bigint AS booked,
           (SELECT count(*) FROM message_out WHERE kind = 'refund') AS messages
"""
BUSY = 503


async def _until_answered(http, body, headers):
    """Send a claim again with the same key until the database had time for it."""
    key = {"Idempotency-Key": uuid4().hex}
    for _ in range(50):
        answer = await http.post("/claims", json=body, headers=headers | key)
        if answer.status_code != BUSY:
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError("the database never had time")


async def _is_once(world, wrong, answers, by_jobs):
    """Every client got the one claim of each charge, and the audit counted what it did."""
    assert {key[0]: key[1] for key in answers} == {charge_id: 200 for _, charge_id, _ in wrong}
    assert len(answers) == len(wrong), "every client got the same claim for the same charge"
    assert set(answers.values()) == {28}
    found = {row["charge_id"]: row for row in await world.tx.fetch(REFUNDS_PER_CHARGE)}
    for _, charge_id, fen in wrong:
        assert found[charge_id]["kinds"] == ["compensation", "principal"]
        assert found[charge_id]["fen"] == fen
    fen = sum(one[2] for one in wrong)
    assert tuple(await world.tx.fetchrow(SUMS)) == (len(wrong), fen, fen, fen, len(wrong))
    by_audit = await world.tx.fetchval("SELECT count(*) FROM claim WHERE source = 'audit'")
    assert by_audit == by_jobs, "each worker counted what it did, and nothing else"
    assert 0 < by_audit <= len(wrong) // 2, "both the audit and the claimants were first somewhere"


async def _plant(world, each):
    """Insert wrong charges of four numbers; return those, and (msisdn, charge, what comes back)."""
    wrong = []
    numbers = [await make.number(world.tx, world.now) for _ in range(4)]
    for msisdn in numbers:
        consent_id = await world.agreed(msisdn, price_fen=AGREED)
        for _ in range(each):
            wrong.append((msisdn, await world.wrong(msisdn), 2 * PRICE))
            charge_id = await world.right(
                consent_id, msisdn, findings=["price_mismatch"], due_fen=AGREED
            )
            wrong.append((msisdn, charge_id, 2 * (PRICE - AGREED)))
    wrong.sort(key=lambda one: (one[0], one[1]))  # the order in which the audit takes them
    return numbers, wrong


@pytest.fixture
def race(http, sign_in, world, audit):
    """Return a function that lets 32 clients at three entrances claim every charge, and counts."""

    async def raced(each):
        numbers, wrong = await _plant(world, each)
        tokens = {n: await sign_in(make.subscriber_actor(n)) for n in numbers}
        agent = await sign_in(make.AGENT)
        await world.tx.execute(MANY_LOOKS, world.now)
        answers = Counter()

        # Half the rounds among claimants, then half in which they meet the audit from the other end.
        half = len(wrong) // 2
        rounds = wrong[:half] + wrong[: half - 1 : -1]
        together = asyncio.Barrier(32)

        async def subscriber():
            for msisdn, charge_id, _ in rounds:
                await together.wait()
                body = {"charge_id": str(charge_id), "reason": "not mine"}
                answer = await _until_answered(http, body, tokens[msisdn])
                answers[charge_id, answer.status_code, answer.json().get("id")] += 1

        async def agents():
            for msisdn, charge_id, _ in rounds:
                await together.wait()
                body = {"msisdn": msisdn, "charge_id": str(charge_id), "reason": "on the line"}
                answer = await _until_answered(http, body, agent)
                answers[charge_id, answer.status_code, answer.json().get("id")] += 1

        async def job():
            done = 0
            for number in range(len(rounds)):
                await together.wait()
                done += await audit(limit=1) if number >= half else 0
            return done

        async with asyncio.TaskGroup() as group:
            jobs = [group.create_task(job()) for _ in range(4)]
            for client in [subscriber] * 16 + [agents] * 12:
                group.create_task(client())
        await _is_once(world, wrong, answers, sum(one.result() for one in jobs))

    return raced


@pytest.mark.parametrize("each", [2, pytest.param(25, marks=pytest.mark.soak)])
async def test_thirty_two_clients_at_three_entrances_refund_each_charge_once(race, each):
    await race(each)


async def test_the_same_race_goes_red_without_the_key(race, owner):
    for guard in FIRST:
        await owner.execute(GUARDS[guard])
    with pytest.raises((AssertionError, ExceptionGroup)):
        await race(1)


GUARDS = {
    "claim": "ALTER TABLE claim DROP CONSTRAINT claim_refunded_once CASCADE",
    "id": "ALTER TABLE claim DROP CONSTRAINT claim_pkey CASCADE",
    "entry": "ALTER TABLE journal_entry DROP CONSTRAINT journal_entry_pkey CASCADE",
    "lines": "ALTER TABLE posting DROP CONSTRAINT posting_pkey",
    "payout": "ALTER TABLE payout DROP CONSTRAINT payout_pkey CASCADE",
}
FIRST = ("claim", "id")
"""These two turn repeats away without an error; the others refuse what gets past them."""


async def _race(owner, world, claim, audit, removed):
    """Race 16 clients for 8 charges on a schema without some guards; count refunds and refusals."""
    for guard in removed:
        await owner.execute(GUARDS[guard])
    charges = [await world.wrong() for _ in range(8)]

    async def client(number, charge_id):
        try:
            if number % 4 == 3:
                await audit()
            else:
                source = Source.AGENT if number % 2 else Source.SUBSCRIBER
                actor = make.AGENT if number % 2 else None
                await claim(world.msisdn, charge_id, source=source, actor=actor)
        except (asyncpg.UniqueViolationError, asyncpg.CheckViolationError):
            return 1  # a guard behind the first one held
        return 0

    held = 0
    for charge_id in charges:
        held += sum(await asyncio.gather(*[client(number, charge_id) for number in range(16)]))
    rows = await world.tx.fetch("SELECT charge_id, count(*) AS n FROM refund GROUP BY charge_id")
    assert {row["charge_id"] for row in rows} == set(charges)
    return [row["n"] for row in rows], held


@pytest.mark.parametrize("kept", GUARDS)
async def test_each_guard_alone_keeps_a_charge_from_being_refunded_twice(
    owner, world, claim, audit, kept
):
    removed = [guard for guard in GUARDS if guard != kept]
    refunds, held = await _race(owner, world, claim, audit, removed)
    assert set(refunds) == {2}
    assert (held > 0) == (kept not in FIRST)


async def test_without_any_guard_the_same_race_pays_twice(owner, world, claim, audit):
    refunds, held = await _race(owner, world, claim, audit, GUARDS)
    assert max(refunds) > 2
    assert held == 0


@pytest.mark.parametrize("cuts", [30, pytest.param(200, marks=pytest.mark.soak)])
async def test_a_claim_sent_again_after_a_cut_at_commit_is_refunded_once(
    owner_url, settings, clock, sign_in, world, cuts
):
    headers = await sign_in(make.subscriber_actor(world.msisdn))
    async with in_front_of(roles.app_url(owner_url)) as (proxy, url):
        cut_off = await db.open_pool(url, settings)
        app = httpx.ASGITransport(create_app(cut_off, clock, settings), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=app, base_url="http://spms.test") as http:
            for cut, with_key in zip(cycle(Cut), [False, True] * (cuts // 2), strict=False):
                charge_id = await world.wrong()
                body = {"charge_id": str(charge_id), "reason": "not mine"}
                key = {"Idempotency-Key": uuid4().hex} if with_key else {}
                proxy.next_cut = cut
                lost = await http.post("/claims", json=body, headers=headers | key)
                assert lost.status_code == BUSY, lost.text
                committed = await world.tx.fetchval(
                    "SELECT count(*) FROM claim WHERE charge_id = $1", charge_id
                )
                assert cut is Cut.AT_ONCE or committed == (cut is Cut.AFTER)
                again = await http.post("/claims", json=body, headers=headers | key)
                assert again.status_code == 200, again.text
                assert again.json()["refunded_fen"] == 2 * PRICE
        await cut_off.close()
    assert proxy.cuts == cuts
    assert tuple(await world.tx.fetchrow(SUMS)) == (
        cuts,
        2 * PRICE * cuts,
        2 * PRICE * cuts,
        2 * PRICE * cuts,
        cuts,
    )


async def test_parallel_disputes_of_a_standing_charge_stop_at_five(world, claim):
    charge_id = await world.right(await world.agreed())
    ended = await asyncio.gather(
        *[claim(world.msisdn, charge_id) for _ in range(16)], return_exceptions=True
    )
    refused = [one for one in ended if isinstance(one, Exception)]
    assert {type(one).__name__ for one in refused} == {"DisputedOften"}
    assert len(refused) == 11
    assert await world.tx.fetchval("SELECT count(*) FROM claim WHERE state = 'stands'") == 5
    assert await world.tx.fetchval("SELECT max(charged_at) FROM claim") == world.now - DAY
