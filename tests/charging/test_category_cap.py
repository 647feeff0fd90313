"""The operator's cap on a month over all services of a category holds whichever way charges come."""

from datetime import timedelta

import pytest

from spms.charging import files, month_audit
from spms.charging.file_model import FileFormat, Upload
from spms.charging.spooling import Manifest
from spms.core.clock import FixedClock
from spms.core.db import snapshot
from tests import make
from tests.charging.world import DAY, code_of, csv_of

MINUTE = timedelta(minutes=1)
RULEBOOK = "INSERT INTO rulebook VALUES (2, '2020-01-01', $1, 'a test', now(), 'staff:a')"
DUE = """
    SELECT c.record_id, LEAST(c.due_fen, f.due_fen), f.kind FROM charge_record c
      LEFT JOIN charge_finding f ON f.charge_id = c.id ORDER BY c.charged_at
"""


@pytest.fixture
async def chats(tx, world):
    """The codes of three services in one category, two of this SP and one of another's."""
    await tx.execute(RULEBOOK, {"cap": {"category_month_fen": {"chat": 1000, "game": 0}}})
    other = await make.sp(tx, world.now)
    codes = []
    for sp_id in (world.sp_id, world.sp_id, other):
        service_id = await make.service(tx, world.now, sp_id, category="chat")
        await make.subscription(tx, world.now - DAY, world.msisdn, service_id)
        codes.append(await code_of(tx, service_id))
    return other, codes


async def by_file(pool, tmp_path, world, sp_id, *records):
    """Deliver a file."""

    async def stream():
        yield csv_of(*records)

    await files.receive(
        stream(), upload=Upload(form=FileFormat.CSV), manifest=Manifest(), pool=pool,
        clock=FixedClock(world.now), directory=tmp_path, limit_bytes=10**6,
        actor=make.sp_actor(sp_id),
    )  # fmt: skip


@pytest.mark.parametrize("way", ["one file", "two files", "batch"])
async def test_what_no_longer_fits_is_not_due(pool, tx, world, chats, tmp_path, way):
    _, (first, second, _) = chats
    records = [
        world.record(service_code=code, charged_at=world.now - (9 - n) * MINUTE)
        for n, code in enumerate((first, second))
    ]
    if way == "batch":
        await world.land(*records)
    else:
        for part in [records] if way == "one file" else [[one] for one in records]:
            await by_file(pool, tmp_path, world, world.sp_id, *part)
    assert [tuple(row) for row in await tx.fetch(DUE)] == [
        (records[0].record_id, 800, None), (records[1].record_id, 200, "over_cap"),
    ]  # fmt: skip
    async with snapshot(pool) as read:
        assert await month_audit.contradictions(read, world.now.date()) == []


async def test_services_of_other_companies_count_as_well(pool, tx, world, chats, tmp_path):
    other, (first, _, third) = chats
    await by_file(pool, tmp_path, world, world.sp_id, world.record(service_code=first))
    theirs = world.record(service_code=third, charged_at=world.now)
    await by_file(pool, tmp_path, world, other, theirs)
    assert [tuple(row)[1:] for row in await tx.fetch(DUE)] == [(800, None), (200, "over_cap")]


async def test_another_category_is_not_held_to_it(pool, tx, world, chats, tmp_path):
    _, (first, _, _) = chats
    await make.subscription(tx, world.now - DAY, world.msisdn, world.monthly_id)
    for code in (first, world.monthly):
        await by_file(pool, tmp_path, world, world.sp_id, world.record(service_code=code))
    assert [tuple(row)[1:] for row in await tx.fetch(DUE)] == [(800, None)] * 2


async def test_the_month_audit_finds_what_stands_over_it(pool, tx, world, chats):
    for code in chats[1][:2]:
        service_id = await tx.fetchval("SELECT id FROM service WHERE code = $1", code)
        consent_id = await tx.fetchval(
            "SELECT id FROM subscription WHERE service_id = $1", service_id
        )
        await make.charge(
            tx, world.now - MINUTE, world.msisdn, service_id, consent_id=consent_id, price_fen=800
        )
    async with snapshot(pool) as read:
        (found,) = await month_audit.contradictions(read, world.now.date())
    assert (found.kind, found.charges) == ("over_category_cap", 1)
