"""A refund that was a fraud leaves an SP, months later, where it would be had there been none.

Beside it lives a twin with the same charges and refunds but that one. To the fen: it says nothing of
which month brings what.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from spms.compensation import clawback, mass_correction, payout
from spms.compensation.accounts import Cause
from spms.compensation.clawback_model import ClawbackRequest, Proof
from spms.compensation.gateways import Answer
from spms.compensation.invariant_queries import INVARIANTS as MONEY
from spms.compensation.mass_correction_model import CorrectionRequest
from spms.core import db, invariants
from spms.settlement import actions
from spms.settlement.draw_queries import of_month
from spms.settlement.invariant_queries import INVARIANTS as SETTLED
from spms.settlement.life_model import NewObjection, ObjectionDecision
from spms.settlement.model import Kind
from spms.settlement.record_queries import Asked, owed, refunds
from tests import make
from tests.settlement.conftest import DAY, JANUARY, PRICE

SETTLING = [(month, day) for month in (2, 3, 4, 5, 6) for day in (10, 15, 22, 24)]
MONTHS = [JANUARY, JANUARY + 31 * DAY, JANUARY + 59 * DAY]


class Prompt:
    """Billing that does what it is told at once."""

    async def pay(self, _):
        return Answer.DONE


class Wrong(NamedTuple):
    """On a day, some charges of the day before are refunded double."""

    on: tuple[int, int]
    many: int = 1
    due_fen: int = 0


class Fraud(NamedTuple):
    """On a day, a charge of the SP, and not of its twin, is refunded double."""

    on: tuple[int, int]


class Taken(NamedTuple):
    """On a day, a refund of the SP alone turns out to have been a fraud: the first, or a later one."""

    on: tuple[int, int]
    which: int = 0


class Unseen(NamedTuple):
    """On a day, the first is taken back while statements are drawn, which do not see it yet."""

    on: tuple[int, int]


class Redrawn(NamedTuple):
    """On a day, the SP objects to its January, and it is drawn again."""

    on: tuple[int, int]


def noon(month, day):
    return datetime(2026, month, day, 4, tzinfo=UTC)


async def twins(world, tx, *, joint=False):
    """Return two SPs with the same twenty charges a month; one refunds another in January.

    Joint: a mass correction refunds it together with one that was wrong, as was its twin's.
    """
    twin_id, twin_service = await world.another_sp()
    for service_id in (world.service_id, twin_service):
        for n in range(60):
            await world.charge(1 + n * 1.4, service_id=service_id)
    if not joint:
        wrong = await world.charge(4, findings=["no_consent"], due_fen=0)
        await world.charge(4.1, service_id=twin_service)
        await refund(world, noon(1, 6))
        return twin_id, twin_service, wrong
    wrong = await world.charge(4, price_fen=PRICE + 1)
    await world.charge(7, service_id=twin_service, price_fen=PRICE + 1)
    for service_id in (world.service_id, twin_service):
        await world.charge(4.2, service_id=service_id, price_fen=PRICE + 1)
        await correct(world, service_id, noon(1, 6))
    assert await tx.fetchval("SELECT count(*) FROM claim WHERE joint_id IS NOT NULL") == 2
    return twin_id, twin_service, wrong


async def correct(world, service_id, at):
    """Put right what cost a fen too much, as if nothing had been due, and pay it out."""
    wanted = CorrectionRequest(
        service_id=service_id, wrong_fen=PRICE + 1, due_fen=1, from_at=JANUARY, until_at=at,
        cause=Cause.NOT_AS_PUBLISHED, reason="loaded wrongly", apology="很抱歉。",
    )  # fmt: skip
    async with db.transaction(world.pool) as tx:
        row = await mass_correction.propose(tx, wanted, actor=make.OFFICER, now=at)
        await mass_correction.decide(
            tx, row.id, accept=True, reason="seen", actor=make.OFFICER_2, now=at
        )
    more = 1
    while more:
        async with db.transaction(world.pool) as tx:
            more = await mass_correction.work_chunk(tx, now=at)
    world.clock.at = at
    await payout.pump(world.pool, Prompt(), world.clock)


async def refund(world, at):
    world.clock.at = at
    assert await world.audit() > 0
    await payout.pump(world.pool, Prompt(), world.clock)


async def records_come_to_their_figures(world, tx):
    for month in MONTHS:
        found = await world.state(month=month)
        steps = await world.steps(found["id"])
        window = await of_month(tx, month.date())
        drawn_at = await tx.fetchval(
            "SELECT drawn_at FROM settlement_statement WHERE settlement_id = $1 AND revision = $2",
            found["id"], found["revision"],
        )  # fmt: skip
        asked = Asked(sp_id=world.sp_id, window=window, drawn_at=drawn_at, after=None, limit=200)
        for kind, reading, figure in (
            (Kind.REFUNDS, refunds, "advanced_fen"), (Kind.COMPENSATION, owed, "owed_fen"),
        ):  # fmt: skip
            rows = await reading(tx, asked)
            assert sum(row.amount_fen for row in rows) == steps[kind]["inputs"][figure], kind


async def take_back(world, charge_id, at):
    world.clock.at = at
    claim_id = await world.tx.fetchval("SELECT id FROM claim WHERE charge_id = $1", charge_id)
    asked = ClawbackRequest(
        msisdn=world.msisdn, claim_id=claim_id, proof=Proof.CONFESSION, reference="case 7",
        document_sha256="ab" * 32, reason="she signed",
    )  # fmt: skip
    async with db.transaction(world.pool) as tx:
        made = await clawback.propose(tx, asked, actor=make.OFFICER, now=at)
    async with db.transaction(world.pool) as tx:
        await clawback.decide(tx, made.id, accept=True, reason="seen", actor=make.OFFICER_2, now=at)
    await payout.pump(world.pool, Prompt(), world.clock)


async def draw_again(world, at):
    world.clock.at = at
    january = (await world.state())["id"]
    async with db.transaction(world.pool) as tx:
        said = NewObjection(statement="count it again", lines=[])
        await actions.object_to(tx, january, said, actor=make.sp_actor(world.sp_id), now=at)
        again = ObjectionDecision(redraw=True, reason="counted again")
        await actions.decide_objection(tx, january, again, actor=make.OFFICER, now=at)


LIVES = {
    "nothing else": [Taken((3, 1))],
    "another refund after it": [Taken((3, 1)), Wrong((3, 3))],
    "another refund before it": [Wrong((2, 27)), Taken((3, 1))],
    "a smaller one before it": [Wrong((2, 27), due_fen=PRICE - 500), Taken((3, 1))],
    "a smaller one after it": [Taken((3, 1)), Wrong((3, 3), due_fen=PRICE - 500)],
    "before anything was settled": [Taken((1, 20))],
    "between cut-off and lock of its own month": [Taken((2, 12))],
    "between cut-off and lock of the next": [Wrong((2, 27)), Taken((3, 12)), Wrong((3, 14))],
    "the same, and it is drawn again": [Wrong((2, 27)), Taken((3, 12))],
    "the same, with a smaller one before": [
        Wrong((2, 27), due_fen=PRICE - 500), Taken((3, 12)), Wrong((3, 14)),
    ],
    "while second multiples are owed": [Wrong((2, 5), many=8), Taken((3, 1))],
    "while more is owed, and more comes": [
        Wrong((2, 5), many=8), Taken((2, 27)), Wrong((3, 3), many=2),
    ],
    "between cut-off and lock of its own month, with a refund after": [
        Taken((2, 12)), Wrong((3, 1)),
    ],
    "booked while its own month was drawn": [Unseen((2, 10)), Wrong((2, 13))],
    "after its own month was confirmed": [Taken((2, 23)), Wrong((3, 1), due_fen=PRICE - 500)],
    "the same, beside a smaller one": [
        Wrong((2, 23), due_fen=PRICE - 500), Taken((2, 23)), Wrong((3, 1), due_fen=PRICE - 500),
    ],
    "the same, and its own month was drawn again": [Taken((2, 16)), Redrawn((2, 17)), Wrong((3, 1))],
    "two of one month, before and after it was drawn again": [
        Fraud((2, 4)), Taken((2, 12)), Taken((3, 1), which=1),
        Wrong((3, 2), due_fen=PRICE - 500),
    ],
    "of its own month, of which more is owed than it can pay": [
        Wrong((2, 5), many=8), Taken((2, 12)),
    ],
    "of its own month, which carries some": [
        Wrong((2, 5), many=24), Taken((2, 12)), Wrong((3, 3), due_fen=PRICE - 500),
    ],
    "of a locked month, which carried some": [
        Wrong((2, 5), many=24), Taken((2, 27)), Fraud((2, 6)), Taken((2, 28), which=1),
    ],
    "refunded and taken back after a cut-off, and drawn again": [
        Wrong((2, 5)), Fraud((2, 12)), Taken((2, 16), which=1), Taken((2, 16)), Redrawn((2, 17)),
    ],
    "between cut-off and lock of the next, with a smaller one after": [
        Wrong((2, 27)), Taken((3, 12)), Wrong((3, 14), due_fen=PRICE - 500),
    ],
    "of two SPs' own months at once": [Wrong((2, 5)), Taken((2, 12)), Wrong((2, 13))],
}  # fmt: skip


@pytest.mark.parametrize("joint", [False, True], ids=["by itself", "joint"])
@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_a_fraud_taken_back_leaves_the_sp_as_if_it_had_not_been(life, joint, world, tx):
    twin_id, twin_service, fraud = await twins(world, tx, joint=joint)
    frauds = [fraud]
    for on in sorted({*SETTLING, *(deed.on for deed in life)}):
        for deed in (each for each in life if each.on == on and not isinstance(each, Unseen)):
            day = (noon(*on) - JANUARY) / DAY - 1
            if isinstance(deed, Taken):
                await take_back(world, frauds[deed.which], noon(*on) + timedelta(hours=1))
                continue
            if isinstance(deed, Redrawn):
                await draw_again(world, noon(*on))
                continue
            if isinstance(deed, Fraud):
                frauds.append(await world.charge(day, findings=["no_consent"], due_fen=0))
                await world.charge(day, service_id=twin_service)
                await refund(world, noon(*on))
                continue
            for n in range(deed.many):
                for service_id in (world.service_id, twin_service):
                    await world.charge(
                        day + n / 100, service_id=service_id, findings=["no_consent"],
                        due_fen=deed.due_fen,
                    )  # fmt: skip
            await refund(world, noon(*on))
        if on in SETTLING:
            await world.on(*on)
        if any(isinstance(deed, Unseen) and deed.on == on for deed in life):
            await take_back(world, fraud, noon(*on) - timedelta(hours=1))
    came, due = [
        [await world.state(sp_id, month=month) for month in MONTHS]
        for sp_id in (world.sp_id, twin_id)
    ]  # fmt: skip
    assert {each["state"] for each in (*came, *due)} == {"locked"}
    assert sum(each["payable_fen"] for each in came) == sum(each["payable_fen"] for each in due)
    assert await world.balances(world.sp_id) == await world.balances(twin_id)
    assert joint or "sp_receivable" not in await world.balances(twin_id), "all of it was recovered"
    checked = await invariants.check(tx, [*MONEY, *SETTLED])
    assert [one.name for one in checked if not one.holds] == []
    await records_come_to_their_figures(world, tx)


async def test_the_records_under_a_month_that_gives_back_come_to_its_figures(world, tx):
    _, _, fraud = await twins(world, tx)
    await world.through(2)
    await world.charge(52, findings=["no_consent"], due_fen=0)
    await refund(world, noon(2, 27))
    await world.on(3, 10)
    drawn = await world.state(month=MONTHS[1])
    await take_back(world, fraud, noon(3, 12))
    for day in (15, 22, 24):
        await world.on(3, day)
    await world.on(4, 10)
    await records_come_to_their_figures(world, tx)
    found = await world.state(month=MONTHS[2])
    assert (await world.steps(found["id"]))["returned"]["arising_fen"] == PRICE
    assert (await world.state(month=MONTHS[1]))["revision"] > drawn["revision"], "drawn again"
