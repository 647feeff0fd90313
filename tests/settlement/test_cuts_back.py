"""A cut whose breach falls after its statement was confirmed or locked comes back with the next one."""

from datetime import UTC, datetime
from itertools import permutations
from uuid import UUID, uuid4

import asyncpg
import pytest

from spms.core import db, invariants
from spms.core.money import share
from spms.penalties import effect
from spms.penalties.model import BreachAction, Grade
from spms.settlement.cuts_back import given_back
from spms.settlement.invariant_queries import INVARIANTS
from spms.settlement.model import Cut, MeasureCut, SettlementRules
from spms.settlement.penalty_queries import LockedCut
from spms.settlement.waterfall import cut_rate
from tests.settlement.conftest import DAY, JANUARY, JOB, MONTH

FEBRUARY, MARCH = JANUARY + 31 * DAY, JANUARY + 59 * DAY
LOCKED = "SELECT settlement_id, body FROM settlement_statement ORDER BY 1, revision"


@pytest.fixture
def quash(world):
    """Return a function that quashes a breach, as an objection does that was sustained."""

    async def quashed(breach_id):
        async with db.transaction(world.pool) as tx:
            breach = await effect.locked(tx, breach_id)
            await effect.move(
                tx, breach, BreachAction.QUASH, actor=JOB, now=world.clock.now(), reason="x"
            )
            await effect.fall(tx, breach, actor=JOB, now=world.clock.now())

    return quashed


async def failing(tx):
    return [one.name for one in await invariants.check(tx, INVARIANTS) if not one.holds]


async def test_each_cut_comes_back_once_and_no_locked_statement_changes(world, tx, owner, quash):
    await world.charges(50)
    general, grave = [
        await world.breach(grade, "effective", JANUARY + 2 * DAY) for grade in ("general", "grave")
    ]
    await world.through(2)
    january = await world.steps((await world.state())["id"])
    cut_fen, of_fen = january["grade_cut"]["taken_fen"], january["grade_cut"]["inputs"]["of_fen"]
    assert cut_fen == of_fen * 60 // 100 > 0
    locked = await tx.fetch(LOCKED)
    paid = -(await world.balances())["sp_payable"]

    await quash(general)
    await owner.execute("UPDATE sp SET status = 'closed' WHERE id = $1", world.sp_id)
    await world.through(3)
    february = await world.state(month=FEBRUARY)
    first = (await world.steps(february["id"]))["credits"]
    (item,) = first["inputs"]["items"]
    assert (item["id"], item["cut_back"]) == (str(general), True)
    assert str(general) in item["about"]
    assert (first["arising_fen"], february["state"]) == (of_fen * 10 // 100, "locked")
    assert -(await world.balances())["sp_payable"] == paid + february["payable_fen"]
    assert await failing(tx) == []

    await quash(grave)
    await world.through(4)
    march = await world.state(month=MARCH)
    second = (await world.steps(march["id"]))["credits"]
    assert [one["id"] for one in second["inputs"]["items"]] == [str(grave)]
    assert first["arising_fen"] + second["arising_fen"] == cut_fen
    kept = {tuple(row) for row in await tx.fetch(LOCKED)}
    assert {tuple(row) for row in locked} <= kept
    await world.through(5)
    assert await world.state(month=MARCH + 31 * DAY) is None, "nothing is left to give back"
    assert await failing(tx) == []
    with pytest.raises(asyncpg.UniqueViolationError):
        await tx.execute(
            "INSERT INTO settlement_use VALUES ('cut_back', $1, $2)", grave, february["id"]
        )


async def test_a_rulebook_that_is_dated_back_gives_back_no_more_and_no_less_than_was_cut(
    world, owner, quash
):
    await world.charges(50)
    left, right = [await world.breach("serious", "effective", JANUARY + 2 * DAY) for _ in range(2)]
    await world.through(2)
    january = (await world.steps((await world.state())["id"]))["grade_cut"]
    of_fen = january["inputs"]["of_fen"]
    assert january["taken_fen"] == share(of_fen, 6000)
    await owner.execute(
        "INSERT INTO rulebook VALUES (2, '-infinity', $1, 'x', $2, 'test')",
        {"settlement": {"cut_bp": {"general": 100, "serious": 4500, "grave": 5000}}},
        world.clock.now(),
    )
    back = []
    for n, month, breach_id in ((3, FEBRUARY, left), (4, MARCH, right)):
        await quash(breach_id)
        await world.through(n)
        steps = await world.steps((await world.state(month=month))["id"])
        back.append(steps["credits"]["arising_fen"])
    assert back == [january["taken_fen"] - share(of_fen, 3000), share(of_fen, 3000)]


async def test_a_breach_that_falls_between_confirmation_and_lock_is_given_back_by_the_next(
    world, tx, quash
):
    await world.charges(50)
    breach_id = await world.breach("serious", "effective", JANUARY + 2 * DAY)
    for day in (10, 15, 22):
        await world.on(2, day)
    assert (await world.state())["state"] == "confirmed"
    await quash(breach_id)
    await world.on(2, 24)
    january = await world.state()
    cut = (await world.steps(january["id"]))["grade_cut"]["taken_fen"]
    assert (january["state"], cut > 0) == ("locked", True), "both sides agreed to it as it is"
    await world.on(3, 10)
    february = await world.steps((await world.state(month=FEBRUARY))["id"])
    assert february["credits"]["arising_fen"] == cut
    assert await failing(tx) == []


def of(cut, of_fen, cuts, measures, *, given=None):
    at = datetime(2026, 2, 24, tzinfo=UTC)
    return LockedCut(
        settlement_id=UUID(int=1), sp_id=UUID(int=2), month=MONTH, rulebook_version=1,
        breach_id=cut.breach_id, given_back=given is not None,
        taken_at=at + (0 if given is None else given) * DAY,
        inputs={
            "of_fen": of_fen, "measures": [{"restriction_id": str(uuid4()), "cut_bp": 700}] * measures,
            "breaches": [
                {"breach_id": str(one.breach_id), "grade": one.grade, "cut_bp": one.cut_bp}
                for one in cuts
            ],
        },
    )  # fmt: skip


@pytest.mark.parametrize("of_fen", [0, 1, 333, 99_999])
def test_whatever_the_order_in_which_breaches_fall_all_of_the_cut_comes_back(of_fen):
    rules = SettlementRules()
    cuts = [
        Cut(breach_id=uuid4(), grade=Grade.GRAVE), Cut(breach_id=uuid4(), grade=Grade.GENERAL),
        Cut(breach_id=uuid4(), grade=Grade.GRAVE, cut_bp=3333),
    ]  # fmt: skip
    measures = (MeasureCut(restriction_id=uuid4(), cut_bp=700),)
    taken = share(of_fen, cut_rate(cuts, measures, rules))
    stays = share(of_fen, cut_rate((), measures, rules))
    for order in permutations(cuts):
        back = 0
        for month in range(len(order)):
            rows = [
                of(cut, of_fen, cuts, len(measures), given=n if n < month else None)
                for n, cut in enumerate(order[: month + 1])
            ]
            (item,) = given_back(rows, rules)
            assert item.amount_fen >= 0
            back += item.amount_fen
        assert back == taken - stays
        at_once = given_back([of(cut, of_fen, cuts, 1) for cut in order], rules)
        assert sum(item.amount_fen for item in at_once) == taken - stays
