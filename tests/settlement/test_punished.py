"""What penalties decided in a month's statement: fines of the book, cuts of breaches and officers."""

from uuid import uuid4

from spms.compensation.accounts import Account
from spms.compensation.journal import post, sp_chain
from spms.compensation.journal_model import Draft, EntryLine
from spms.core import db, invariants
from spms.penalties import collecting, effect
from spms.settlement import waterfall
from spms.settlement.invariant_queries import INVARIANTS
from tests import make
from tests.settlement.conftest import DAY, JANUARY, JOB


async def _collect(world):
    async with db.transaction(world.pool) as tx:
        return await collecting.collect(tx, actor=JOB, now=world.clock.now())


async def test_a_fine_of_penalties_is_taken_once_and_booked_once_and_comes_back_when_it_falls(
    world, tx, clock
):
    await world.charges(50)
    clock.at = JANUARY + 10 * DAY
    breach_id = await world.breach("general", "effective", JANUARY + 8 * DAY)
    fine = {"breach_id": breach_id, "sp_id": world.sp_id, "amount_fen": 5000, "state": "due"}
    await make._insert(tx, "fine", fine | {"imposed_at": JANUARY})
    assert await _collect(world) == 1
    await world.through(2)
    steps = await world.steps((await world.state())["id"])
    (item,) = steps["fines"]["inputs"]["items"]
    assert (item["about"], item["booked"]) == (f"fine of breach {breach_id}", True)
    assert (steps["fines"]["taken_fen"], steps["fines"]["inputs"]["to_book_fen"]) == (5000, 0)
    booked = await world.balances()
    assert (booked["fines"], -booked["sp_payable"]) == (-5000, (await world.state())["payable_fen"])
    assert await _failing(tx) == []

    async with db.transaction(world.pool) as own:
        breach = await effect.locked(own, breach_id)
        await effect.fall(own, breach, actor=JOB, now=clock.now())
    await world.charges(3, price_fen=100)
    await world.through(3)
    march = await world.steps((await world.state(month=JANUARY + 31 * DAY))["id"])
    assert (march["credits"]["arising_fen"], march["fines"]["arising_fen"]) == (5000, 0)
    assert "fines" not in await world.balances()
    assert await _failing(tx) == []


async def test_a_fine_that_a_month_cannot_take_is_owed_in_the_book_and_carried(world, tx, clock):
    await world.charges(5)
    clock.at = JANUARY + 10 * DAY
    breach_id = await world.breach("general", "effective", JANUARY + 8 * DAY)
    fine = {"breach_id": breach_id, "sp_id": world.sp_id, "amount_fen": 5000, "state": "due"}
    await make._insert(tx, "fine", fine | {"imposed_at": JANUARY})
    await _collect(world)
    await world.through(2)
    fines = (await world.steps((await world.state())["id"]))["fines"]
    assert fines["carried_fen"] == 5000 - fines["taken_fen"] > 0
    assert (await world.balances())["sp_payable"] == fines["carried_fen"], "the SP owes the rest"
    assert await _failing(tx) == []
    for n in range(40):
        await world.charge(31 + n / 10)
    await world.through(3)
    march = await world.state(month=JANUARY + 31 * DAY)
    assert (await world.steps(march["id"]))["fines"]["taken_fen"] == fines["carried_fen"]
    assert -(await world.balances())["sp_payable"] == march["payable_fen"]
    assert await _failing(tx) == []


async def test_what_an_old_statement_carried_without_booking_it_is_booked_by_the_next(
    world, tx, monkeypatch
):
    await world.charges(5)
    fine = {
        "id": uuid4(), "sp_id": world.sp_id, "kind": "fine", "amount_fen": 5000, "about": "late",
        "state": "approved", "proposed_at": JANUARY, "proposed_by": "staff:a",
        "decided_at": JANUARY, "decided_by": "staff:b",
    }  # fmt: skip
    await make._insert(tx, "settlement_adjustment", fine)
    with monkeypatch.context() as before_0055:
        before_0055.setattr(waterfall, "items", lambda listed: Unbooked({"items": listed}))
        await world.through(2)
    fines = (await world.steps((await world.state())["id"]))["fines"]
    assert "to_book_fen" not in fines["inputs"]
    assert -(await world.balances())["fines"] == fines["taken_fen"] < 5000
    for n in range(40):
        await world.charge(31 + n / 10)
    await world.through(3)
    march = await world.state(month=JANUARY + 31 * DAY)
    after = (await world.steps(march["id"]))["fines"]
    assert (after["taken_fen"], after["inputs"]["to_book_fen"]) == (fines["carried_fen"],) * 2
    booked = await world.balances()
    assert (-booked["fines"], -booked["sp_payable"]) == (5000, march["payable_fen"])
    assert await _failing(tx) == []


class Unbooked(dict[str, object]):
    """A step's inputs as they were before there was `to_book_fen`."""

    def __setitem__(self, key, value):
        assert key == "to_book_fen"

    def __missing__(self, key):
        return 0


async def test_a_cut_is_what_its_measure_says_and_an_officers_cuts_the_months_it_is_in_force(
    world, tx, clock
):
    await world.charges(50)
    breach = {"state": "effective", "appeal_by": JANUARY + 8 * DAY}
    cut = await world.breach("general", **breach)
    lifted = await world.breach("grave", **breach)
    await world.breach("grave", **breach, source_kind="linkage")  # another province's
    for cause, percent, by in ((cut, 25, None), (lifted, 50, "staff:x")):
        await _measure(world, cause_kind="breach", cause_id=f"{cause}/settlement_cut",
                       cut_percent=percent, lifted_by=by)  # fmt: skip
    officers = await _measure(world, cut_percent=5, ends_at=JANUARY + 40 * DAY)
    await _measure(world, cut_percent=7, starts_at=JANUARY + 70 * DAY, ends_at=None)
    await world.through(2)
    inputs = (await world.steps((await world.state())["id"]))["grade_cut"]["inputs"]
    assert [each["breach_id"] for each in inputs["breaches"]] == [str(cut)]
    assert inputs["measures"] == [{"restriction_id": str(officers), "cut_bp": 500}]
    assert inputs["cut_bp"] == 2500 + 500
    await world.on(3, 10)
    february = await world.steps((await world.state(month=JANUARY + 31 * DAY))["id"])
    assert february["grade_cut"]["inputs"]["cut_bp"] == 500, "the breach has cut, the measure held"


async def test_what_a_clawback_owes_an_sp_is_a_credit_that_is_in_the_book_before(world, tx, clock):
    await world.charges(5)
    clock.at = JANUARY + 10 * DAY
    line = EntryLine(
        id=uuid4(), debit=Account.SP_RECEIVABLE, credit=Account.SP_PAYABLE, sp_id=world.sp_id,
        amount_fen=700, reason="clawback_due",
    )  # fmt: skip
    draft = Draft(msisdn=sp_chain(world.sp_id), id=uuid4(), kind="clawback", lines=[line])
    async with db.transaction(world.pool) as own:
        await post(own, [draft], actor=JOB, now=clock.now())
    await world.through(2)
    steps = await world.steps((await world.state())["id"])
    assert steps["credits"]["arising_fen"] == 700
    assert (await world.balances())["sp_payable"] == -(await world.state())["payable_fen"]
    assert await _failing(tx) == []


async def test_first_multiples_of_a_fraud_come_back_where_they_came_off_before_the_share(
    world, tx, clock
):
    await world.charges(5)
    clock.at = JANUARY + 10 * DAY
    lines = [
        EntryLine(
            id=uuid4(), debit=Account.SP_RECEIVABLE, credit=Account.SP_PAYABLE,
            sp_id=world.sp_id, amount_fen=amount_fen, reason=reason,
        )
        for reason, amount_fen in (("clawback_first", 600), ("clawback_due", 100))
    ] + [  # of the refund that it takes back, which is long past
        EntryLine(
            id=uuid4(), debit=Account.SUBSCRIBER_PAYABLE, credit=Account.SP_RECEIVABLE,
            sp_id=world.sp_id, amount_fen=amount_fen, reason=reason, reverses=uuid4(),
        )
        for reason, amount_fen in (("refund_principal", 600), ("refund_compensation", 100))
    ]  # fmt: skip
    draft = Draft(msisdn=sp_chain(world.sp_id), id=uuid4(), kind="clawback", lines=lines)
    async with db.transaction(world.pool) as own:
        await post(own, [draft], actor=JOB, now=clock.now())
    await world.through(2)
    steps = await world.steps((await world.state())["id"])
    kinds = list(steps)
    assert kinds[kinds.index("returned") + 1] == "refunds"
    assert (steps["returned"]["arising_fen"], steps["credits"]["arising_fen"]) == (600, 100)
    rates_fen = steps["bad_debt"]["taken_fen"] + steps["service_fee"]["taken_fen"]
    base_fen = steps["gross"]["arising_fen"] + 600 - rates_fen
    assert steps["share"]["inputs"]["base_fen"] == base_fen, "both sides get what they had borne"
    assert (await world.balances())["sp_payable"] == -(await world.state())["payable_fen"]
    assert await _failing(tx) == []
    await world.on(3, 10)
    february = await world.steps((await world.state(month=JANUARY + 31 * DAY))["id"])
    assert "returned" not in february, "a locked statement took it"


async def _measure(world, **values):
    row = {
        "id": uuid4(), "sp_id": world.sp_id, "measure": "settlement_cut", "cause_kind": "officer",
        "cause_id": str(uuid4()), "reason": "x", "starts_at": JANUARY + 9 * DAY,
        "ends_at": JANUARY + 30 * DAY, "imposed_by": "staff:a",
    } | values  # fmt: skip
    await make._insert(world.tx, "restriction", row)
    return row["id"]


async def _failing(tx):
    return [one.name for one in await invariants.check(tx, INVARIANTS) if not one.holds]
