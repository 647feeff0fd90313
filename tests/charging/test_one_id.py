"""One record id, charged in one step and delivered as a record at the same time: the first has it."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from spms.charging import queries
from tests import make
from tests.charging.world import DAY, csv_of, waiters

FREE = "INSERT INTO charge_key VALUES ($1, $2, '', gen_random_uuid())"
CHARGES = "SELECT record_id, id::text, msisdn, file_id IS NULL FROM charge_record"


@pytest.fixture
async def sp(sign_in, world):
    return await sign_in(make.sp_actor(world.sp_id))


@pytest.fixture
def ways(http, sp):
    """Return both ways to deliver records; each tells how many landed, came before, were refused."""

    async def file(*records):
        headers = sp | {"Content-Type": "text/csv"}
        return tally(await http.post("/charge-files", content=csv_of(*records), headers=headers))

    async def batch(*records):
        body = {"records": [as_body(record) for record in records]}
        return tally(await http.post("/charge-records", json=body, headers=sp))

    return {"file": file, "batch": batch}


@pytest.fixture(params=["file", "batch"])
def deliver(request, ways):
    """Deliver records, one way or the other."""
    return ways[request.param]


@pytest.fixture
def charge(http, sp, world):
    """Charge in one step; return the result with the charge's id, or why there is none."""

    async def charge(reference, msisdn):
        asked = {
            "reference": reference, "msisdn": msisdn, "service_code": world.monthly,
            "price_fen": 800,
        }  # fmt: skip
        answer = await http.post("/charges", json=asked, headers=sp)
        told = answer.json()
        if answer.status_code != 200:
            return told["code"], None
        if "charge" not in told:
            return "denied", None
        return told["charge"]["result"], told["charge"]["charge_id"]

    return charge


@pytest.fixture
async def numbers(tx, world):
    """Return six numbers with the monthly service, the lowest first."""
    found = sorted([world.msisdn, *[await make.number(tx, world.now) for _ in range(5)]])
    for msisdn in found:
        await make.subscription(tx, world.now - DAY, msisdn, world.monthly_id)
    return found


def tally(answer):
    assert answer.status_code in {200, 201}, answer.text
    told = answer.json()
    return told["landed"], told["duplicates"], told["quarantined"]


def as_body(record):
    return {
        "record_id": record.record_id, "service_code": record.service_code,
        "msisdn": record.msisdn, "charged_at": record.charged_at.isoformat(),
        "price_fen": record.price_fen, "delivery": record.delivery,
    }  # fmt: skip


@asynccontextmanager
async def number_held(pool, msisdn):
    """Keep a number: whoever takes numbers in their order has those below it, and waits."""
    async with pool.acquire() as connection:
        held = connection.transaction()
        await held.start()
        await queries.hold_numbers(connection, [msisdn])
        yield
        await held.rollback()


@asynccontextmanager
async def id_held(pool, sp_id, record_id):
    """Keep a record id: whoever takes ids in their order has those below it, and waits."""
    async with pool.acquire() as connection:
        held = connection.transaction()
        await held.start()
        await connection.execute(FREE, sp_id, record_id)
        yield
        await held.rollback()


async def waits_or_is_through(owner, task, least):
    """Return once a task is done, or so many sessions wait for a lock."""
    waiting = asyncio.create_task(waiters(owner, least))
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def contested(world, numbers, *, about):
    """Return three records: one of the id that is charged in one step, about that number or another."""
    low, other, charged = numbers[0], numbers[1], numbers[-1]
    return [
        world.record(record_id="a", msisdn=low),
        world.record(record_id="one", msisdn=charged if about == "it" else other),
        world.record(record_id="z", msisdn=charged),
    ]


@pytest.mark.parametrize("about", ["it", "another"])
async def test_a_record_that_has_the_id_keeps_it(
    tx, owner, pool, world, numbers, deliver, charge, about
):
    async with id_held(pool, world.sp_id, "z"):
        records = asyncio.create_task(deliver(*contested(world, numbers, about=about)))
        await waiters(owner, 1)
        charged = asyncio.create_task(charge("one", numbers[-1]))
        await waiters(owner, 2)
    assert await records == (3, 0, 0)
    assert await charged == ("record_id_taken", None)
    assert await charge("one", numbers[-1]) == ("record_id_taken", None)
    assert await tx.fetchval("SELECT count(*) FROM charge_record") == 3
    assert await tx.fetchval("SELECT count(*) FROM reservation") == 0


@pytest.mark.parametrize("about", ["it", "another"])
async def test_a_charge_that_has_the_id_keeps_it(
    tx, owner, pool, world, numbers, deliver, charge, about
):
    async with number_held(pool, numbers[0]):
        records = asyncio.create_task(deliver(*contested(world, numbers, about=about)))
        await waiters(owner, 1)
        charged = asyncio.create_task(charge("one", numbers[-1]))
        await waits_or_is_through(owner, charged, 2)
    assert await records == (2, 0, 1)
    result, charge_id = await charged
    assert result == "landed"
    assert await charge("one", numbers[-1]) == ("seen", charge_id)
    assert await tx.fetchval("SELECT array_agg(reason) FROM charge_quarantine") == ["dup_conflict"]
    mine = [row for row in await tx.fetch(CHARGES) if row["record_id"] == "one"]
    assert [tuple(row) for row in mine] == [("one", charge_id, numbers[-1], True)]


@pytest.mark.parametrize("first", ["record", "charge"])
async def test_the_same_charge_both_ways_is_one_charge(
    http, tx, owner, pool, world, sp, numbers, deliver, charge, first
):
    """Held in two steps, and then both delivered as a record and charged in one step."""
    asked = {
        "reference": "one", "msisdn": numbers[-1], "service_code": world.monthly, "price_fen": 800
    }  # fmt: skip
    assert (await http.post("/reservations", json=asked, headers=sp)).status_code == 200
    same = world.record(record_id="one", msisdn=numbers[-1], charged_at=world.now)
    beside = world.record(record_id="z", msisdn=numbers[0])
    record_first = first == "record"
    held = id_held(pool, world.sp_id, "z") if record_first else number_held(pool, numbers[0])
    async with held:
        records = asyncio.create_task(deliver(same, beside))
        await waiters(owner, 1)
        charged = asyncio.create_task(charge("one", numbers[-1]))
        await waits_or_is_through(owner, charged, 2)
    assert await records == ((2, 0, 0) if record_first else (1, 1, 0))
    (charge_id,) = [row["id"] for row in await tx.fetch(CHARGES) if row["record_id"] == "one"]
    assert await charged == ("seen" if record_first else "landed", charge_id)


async def test_one_reference_of_two_numbers_at_once_is_the_charge_of_one(tx, numbers, charge):
    told = await asyncio.gather(*[charge("one", msisdn) for msisdn in numbers])
    assert sorted(result for result, _ in told) == ["landed"] + 5 * ["record_id_taken"]
    assert await tx.fetchval("SELECT count(*) FROM charge_record") == 1


@pytest.mark.parametrize("held", ["number", "id"])
async def test_files_batches_and_charges_crosswise_give_each_id_to_one(
    tx, owner, pool, world, numbers, ways, charge, held
):
    ids = [f"id-{n}" for n in range(len(numbers))]
    straight = [world.record(record_id=one, msisdn=n) for one, n in zip(ids, numbers, strict=True)]
    crosswise = [
        world.record(record_id=one, msisdn=n)
        for one, n in zip(ids, reversed(numbers), strict=True)
    ]  # fmt: skip
    blocked = (
        number_held(pool, numbers[2]) if held == "number" else id_held(pool, world.sp_id, ids[2])
    )
    async with blocked:
        delivered = [
            asyncio.create_task(deliver(*records))
            for records in (straight, crosswise, straight[::-1], crosswise[::-1])
            for deliver in ways.values()
        ]
        await waiters(owner, 1)
        charged = [
            asyncio.create_task(charge(*one))
            for one in [*zip(ids, numbers, strict=True), *zip(ids, reversed(numbers), strict=True)]
        ]
        await waiters(owner, 12)
    landed = sum(told[0] for told in await asyncio.gather(*delivered))
    told = await asyncio.gather(*charged)
    assert {result for result, _ in told} <= {"landed", "record_id_taken", "not_due", "denied"}
    assert landed + sum(result == "landed" for result, _ in told) == len(ids)
    rows = await tx.fetch(CHARGES)
    assert sorted(row["record_id"] for row in rows) == ids
    assert {one for result, one in told if result == "landed"} <= {row["id"] for row in rows}
