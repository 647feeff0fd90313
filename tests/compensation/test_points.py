"""What a refund takes back of the points (积分) that paying the charge had earned."""

import random
from datetime import timedelta

import asyncpg
import pytest

from spms.charging import bill_queries
from spms.charging.bill_model import BillFilter
from spms.compensation import payout
from spms.compensation.gateways import Answer
from spms.core.clock import month_range
from tests import make
from tests.compensation.conftest import DAY

KINDS = ("price_mismatch", "over_cap", "no_consent")
RATES = """
    INSERT INTO rulebook VALUES
        (2, $1, '{"points": {"per_yuan": 7}}', 'test', $1, 'test'),
        (3, $2, '{"points": {"per_yuan": 3}}', 'test', $1, 'test'),
        (4, $3, '{}', 'test', $1, 'test')
"""
FOUND = """
    INSERT INTO charge_finding (msisdn, charge_id, charged_at, kind, due_fen, found_at, found_by)
    VALUES ($1, $2, $3, $4, $5, $6, 'test')
"""


class Scheme:
    """Whoever keeps the points: hears of credits and debits, once each."""

    def __init__(self):
        self.moved = {}

    async def pay(self, one):
        self.moved[one.id] = one.points if one.takes_back is None else -one.points
        return Answer.DONE

    async def ask(self, one):
        return Answer.DONE if one.id in self.moved else Answer.NOT_DONE

    @property
    def taken(self):
        return sum(self.moved.values())


@pytest.fixture
async def rates(owner, now):
    """Seven points a yuan from four days ago, three from two days ago, none from this hour on."""
    await owner.execute(RATES, now - 4 * DAY, now - 2 * DAY, now - timedelta(hours=1))


def earned(fen, per_yuan):
    return fen * per_yuan // 100


@pytest.fixture
def bill_points(tx, world, now):
    async def points():
        months = (month_range((now - 5 * DAY).date()), month_range(now.date()))
        assert months[0] != months[1]
        found = [await bill_queries.totals(tx, world.msisdn, each, BillFilter()) for each in months]
        return sum(month.points for month in found)

    return points


@pytest.mark.parametrize("seed", range(3))
async def test_points_are_those_of_what_remains_after_any_refunds(
    seed, tx, world, now, audit, pool, clock, rates, bill_points
):
    rng, scheme, rounds = random.Random(seed), Scheme(), 0
    ages = ((5, 0), (3, 7), (1, 3), (0, 0))  # days ago, points a yuan then
    charges, left = {}, {}
    for n in range(8):
        days, rate = ages[n % 4]
        price = rng.randint(1, 1500)
        at = now - days * DAY
        charge_id = await make.charge(
            tx, at, world.msisdn, world.service_id, price_fen=price,
            findings=["undelivered"], due_fen=price,
        )  # fmt: skip
        charges[charge_id], left[charge_id] = (at, rate), price
    gained = sum(earned(fen, charges[one][1]) for one, fen in left.items())
    assert await bill_points() == gained > 0
    acts = [(one, kind) for kind in KINDS for one in charges]
    for charge_id, kind in rng.sample(acts, 14):
        due = rng.randint(0, left[charge_id])
        at, _ = charges[charge_id]
        await tx.execute(FOUND, world.msisdn, charge_id, at, kind, due, now)
        rounds += await audit()
        left[charge_id] = due
        remains = sum(earned(fen, charges[one][1]) for one, fen in left.items())
        assert await bill_points() == remains
        for _ in range(2):
            await payout.pump(pool, scheme, clock)
        assert gained - scheme.taken == remains
    assert rounds > len(charges), "some came back in several rounds"


async def test_what_fraud_got_and_had_to_give_back_earns_again(
    tx, world, now, claim, pool, clock, rates, bill_points, http, sign_in
):
    charge_id, scheme = await world.wrong(), Scheme()
    points = earned(800, 3)
    refunded = await claim(world.msisdn, charge_id)
    await payout.pump(pool, scheme, clock)
    assert (await bill_points(), scheme.taken) == (0, points)
    proof = {
        "msisdn": world.msisdn, "claim_id": str(refunded.id), "proof": "forged_evidence",
        "reference": "case 12", "document_sha256": "ab" * 32, "reason": "the letter was forged",
    }  # fmt: skip
    made = await http.post("/clawbacks", json=proof, headers=await sign_in(make.OFFICER))
    assert await bill_points() == 0, "proposed is not decided"
    yes = {"accept": True, "reason": "seen"}
    path = f"/clawbacks/{made.json()['id']}/decision"
    answer = await http.post(path, json=yes, headers=await sign_in(make.OFFICER_2))
    assert answer.status_code == 200, answer.text
    await payout.pump(pool, scheme, clock)
    assert (await bill_points(), scheme.taken) == (points, 0)


async def test_a_rate_that_is_dated_back_changes_no_points_that_were_earned(
    tx, owner, world, now, claim, pool, clock, rates, bill_points, http, sign_in
):
    """What a credit took, its debit gives back: also where the rulebook was changed in between."""
    charge_id, scheme = await world.wrong(), Scheme()
    points = earned(800, 3)
    refunded = await claim(world.msisdn, charge_id)
    await payout.pump(pool, scheme, clock)
    assert scheme.taken == points
    late = "INSERT INTO rulebook VALUES (5, $1, $2, 'test', $3, 'test')"
    await owner.execute(late, now - 3 * DAY, {"points": {"per_yuan": 500}}, now)
    assert await bill_points() == 0
    body = {
        "msisdn": world.msisdn, "claim_id": str(refunded.id), "proof": "forged_evidence",
        "reference": "case 12", "document_sha256": "ab" * 32, "reason": "the letter was forged",
    }  # fmt: skip
    made = await http.post("/clawbacks", json=body, headers=await sign_in(make.OFFICER))
    path = f"/clawbacks/{made.json()['id']}/decision"
    yes = {"accept": True, "reason": "seen"}
    await http.post(path, json=yes, headers=await sign_in(make.OFFICER_2))
    await payout.pump(pool, scheme, clock)
    assert (scheme.taken, await bill_points()) == (0, points)
    # From when it was entered it counts, where no later date is in force.
    sooner = await tx.fetch("SELECT from_at, until_at, per_yuan FROM point_rate ORDER BY from_at")
    hour = timedelta(hours=1)
    assert [tuple(row) for row in sooner] == [
        (now - 4 * DAY, now - 2 * DAY, 7), (now - 2 * DAY, now - hour, 3),
    ]  # fmt: skip
    await owner.execute(
        "INSERT INTO rulebook VALUES (6, $1, $2, 'test', $3, 'test')",
        now - hour / 2, {"points": {"per_yuan": 5}}, now + hour,
    )  # fmt: skip
    last = await tx.fetchval("SELECT min(from_at) FROM point_rate WHERE per_yuan = 5")
    assert last == now + hour


async def test_who_pays_by_hand_is_told_the_points_that_go_with_it(
    world, claim, pool, clock, rates, http, sign_in
):
    class Refusing(Scheme):
        async def pay(self, _):
            return Answer.REFUSED

    await claim(world.msisdn, await world.wrong())
    await payout.pump(pool, Refusing(), clock)
    page = (await http.get("/refused-payouts", headers=await sign_in(make.OFFICER))).json()
    (one,) = page["items"]
    assert (one["amount_fen"], one["principal_fen"], one["points"]) == (1600, 800, earned(800, 3))


@pytest.mark.parametrize("wrong", ["7", -1, 0.5, 1001, None, []])
async def test_a_rate_that_cannot_be_reckoned_with_is_not_let_in(owner, now, wrong):
    with pytest.raises(asyncpg.CheckViolationError, match="rulebook_points"):
        await owner.execute(
            "INSERT INTO rulebook VALUES (2, $1, $2, 'test', $1, 'test')",
            now,
            {"points": {"per_yuan": wrong}},
        )


async def test_where_no_points_are_given_none_are_shown_or_taken(
    world, claim, pool, clock, bill_points
):
    charge_id, scheme = await world.wrong(), Scheme()
    assert await bill_points() == 0
    await claim(world.msisdn, charge_id)
    assert await payout.pump(pool, scheme, clock) == 1
    assert (await bill_points(), scheme.taken) == (0, 0)
