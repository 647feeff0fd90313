"""What a month is counted from: controlled charges, messages, the three reports that hold it."""

from uuid import UUID, uuid4

from spms.core import db
from spms.core.ids import new_id
from spms.settlement import actions
from tests import make
from tests.settlement.conftest import DAY, JANUARY, PRICE


async def barred(tx, at, state="suspended", reason="arrears"):
    """Insert a number that was barred at an instant; return it."""
    msisdn = await make.number(tx, JANUARY)
    kind = "suspended" if state == "suspended" else "terminated"
    await make._insert(
        tx, "number_event",
        {"msisdn": msisdn, "id": uuid4(), "kind": kind, "reason": reason, "effective_at": at,
         "recorded_at": at, "actor": "test", "state_after": state, "epoch_after": 1},
    )  # fmt: skip
    return msisdn


async def test_charges_of_barred_numbers_are_controlled_less_what_went_back(world, tx, clock):
    await world.charges(30)
    suspended = await barred(tx, JANUARY + 25 * DAY)
    terminated = await barred(tx, JANUARY + 38 * DAY, "terminated", "subscriber_request")
    after = await barred(tx, JANUARY + 60 * DAY)
    again = await barred(tx, JANUARY + 20 * DAY)
    await make._insert(
        tx, "number_event",
        {"msisdn": again, "id": uuid4(), "kind": "resumed", "reason": "paid",
         "effective_at": JANUARY + 22 * DAY, "recorded_at": JANUARY + 22 * DAY, "actor": "test",
         "state_after": "active", "epoch_after": 1},
    )  # fmt: skip
    for msisdn in (suspended, terminated, after, again):
        await world.charge(3, msisdn)
    await world.charge(4, suspended, findings=["no_consent"], due_fen=0)
    clock.at = JANUARY + 10 * DAY
    await world.audit()
    await world.on(2, 10)
    steps = await world.steps((await world.state())["id"])
    controlled = steps["controlled"]
    assert (controlled["taken_fen"], controlled["inputs"]["charges"]) == (2 * PRICE, 3)
    assert steps["refunds"]["taken_fen"] == PRICE, "once, as a refund"


async def message(tx, at, msisdn, called):
    await make._insert(
        tx, "message_in",
        {"msisdn": msisdn, "received_at": at, "id": uuid4(), "called": called, "text": "1",
         "raw": b"1", "link": "t", "link_message_id": str(uuid4()), "handled_at": at},
    )  # fmt: skip


async def permitted(tx, at, world, msisdn):
    consent = await make.subscription(tx, at, msisdn, world.service_id)
    await make._insert(
        tx, "authorisation",
        {"msisdn": msisdn, "decided_at": at, "id": uuid4(), "purpose": "message",
         "sp_id": world.sp_id, "service_id": world.service_id, "service_code": "x",
         "price_fen": 0, "allowed": True, "reasons": [], "subscription_id": consent,
         "rulebook_version": 1, "facts": {}, "requested_by": "x"},
    )  # fmt: skip


async def permitted_in_a_pack(tx, at, world, allowed, denied):
    """Insert a pack whose first decisions were denials; return its id and its numbers."""
    pack_id = UUID(int=new_id().int >> 16 << 16)
    numbers = [await make.number(tx, JANUARY) for _ in range(allowed + denied)]
    await make._insert(
        tx, "decision_pack",
        {"sp_id": world.sp_id, "id": pack_id, "decided_at": at, "decisions": len(numbers),
         "numbers": ",".join(numbers), "denied": list(range(1, denied + 1)), "body": b"",
         "requested_by": "x"},
    )  # fmt: skip
    return pack_id, numbers


async def test_unbalanced_messages_are_those_permitted_less_those_that_came(world, tx):
    await world.charges(5)
    access = await tx.fetchval("SELECT number FROM access_number WHERE sp_id = $1", world.sp_id)
    await permitted_in_a_pack(tx, JANUARY + DAY, world, allowed=3, denied=2)
    for n in range(2):
        await permitted(tx, JANUARY + n * DAY, world, await make.number(tx, JANUARY))
    await message(tx, JANUARY + DAY, world.msisdn, access)
    await message(tx, JANUARY + DAY, world.msisdn, "10010")
    await world.on(2, 10)
    fee = (await world.steps((await world.state())["id"]))["mt_fee"]
    assert (fee["inputs"]["mt"], fee["inputs"]["mo"], fee["arising_fen"]) == (5, 1, 4 * 5)


async def test_reports_hold_a_settlement_until_somebody_has_looked(world, pool, tx, clock):
    """60 payers: 59 never use it; 20 are barred for arrears; one pays as few people would."""
    rules = {"settlement": {"report_least": 10, "self_consumption_bp": 1000}}
    await tx.execute(
        "INSERT INTO rulebook VALUES (2, '2020-01-01', $1, 'test', now(), 'test')", rules
    )
    payers = [await make.number(tx, JANUARY) for _ in range(40)]
    payers += [await barred(tx, JANUARY + 20 * DAY) for _ in range(20)]
    for msisdn in payers:
        await world.charge(2, msisdn)
    access = await tx.fetchval("SELECT number FROM access_number WHERE sp_id = $1", world.sp_id)
    await message(tx, JANUARY + DAY, payers[0], access)
    for n in range(9):
        await world.charge(3 + n / 10, payers[1], kind="on_demand")
    honest_id, honest_service = await world.another_sp()
    for msisdn in payers[:40]:
        await world.charge(2, msisdn, service_id=honest_service, kind="on_demand")
    await world.on(2, 10)
    rows = await tx.fetch("SELECT * FROM settlement_report WHERE sp_id = $1", world.sp_id)
    found = {row["kind"]: (row["part"], row["whole"], row["flagged"]) for row in rows}
    assert found == {
        "silent_users": (59, 60, True),
        "self_consumption": (10 * PRICE, 69 * PRICE, True),
        "arrears": (20 * PRICE, 69 * PRICE, True),
    }
    assert not await tx.fetchval(
        "SELECT count(*) FROM settlement_report WHERE sp_id = $1 AND flagged", honest_id
    )
    for day in (15, 22, 24):
        await world.on(2, day)
    served = await tx.fetch(
        "SELECT b.kind, b.sp_id, b.state, count(*) AS reports FROM breach b"
        "  JOIN breach_report r ON r.breach_id = b.id GROUP BY b.id ORDER BY b.kind"
    )
    assert [tuple(row) for row in served] == [  # two reports of one fraud are one breach
        ("charged_unused", world.sp_id, "proposed", 1),
        ("self_consumption", world.sp_id, "proposed", 2),
    ]
    mine = await world.state()
    assert mine["state"] == "locked", "figures are agreed; money waits"
    officer = {"actor": make.OFFICER, "now": clock.now()}
    shown = await actions.get(tx, mine["id"], **officer)
    assert shown.held == ["arrears", "self_consumption", "silent_users"]
    async with db.transaction(pool) as own:
        for hold in await tx.fetch("SELECT id FROM settlement_hold"):
            await actions.clear_hold(own, hold["id"], "looked", **officer)
    assert (await actions.get(tx, mine["id"], **officer)).held == []
    await make._insert(
        tx, "restriction",
        {"id": uuid4(), "sp_id": world.sp_id, "measure": "settlement_held", "cause_kind": "breach",
         "cause_id": "x", "reason": "x", "starts_at": JANUARY, "imposed_by": "x"},
    )  # fmt: skip
    assert (await actions.get(tx, mine["id"], **officer)).held == ["settlement_held"]
