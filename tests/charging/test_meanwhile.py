"""What happens while a chunk lands, after it was looked at and before its numbers are held."""

from datetime import timedelta
from uuid import uuid4

import pytest

from spms.charging import actions, files, plain_queries, staging_queries
from spms.charging.file_model import FileFormat, Upload
from spms.charging.spooling import Manifest
from spms.core.access import job_actor
from spms.core.clock import FixedClock
from spms.core.db import transaction
from tests import make
from tests.charging.world import csv_of

FOUND = """
    SELECT c.record_id, f.kind FROM charge_record c
      LEFT JOIN charge_finding f ON f.msisdn = c.msisdn AND f.charge_id = c.id
"""
BAR = """
    INSERT INTO number_bar (msisdn, id, epoch, scope, target, starts_at, set_by)
    VALUES ($1, $2, 1, 'sp', $3, $4, 'subscriber:sms')
"""
CAP = """
    INSERT INTO number_cap (msisdn, id, epoch, scope, limit_fen, starts_at, set_by)
    VALUES ($1, $2, 1, 'total', 700, $3, 'subscriber:sms')
"""
SUSPENDED = """
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                              state_after, epoch_after)
    VALUES ($1, $2, 'suspended', 'operator', $3, $4, 'test', 'suspended', 1)
"""


@pytest.fixture
async def deliver(pool, tx, world, tmp_path, monkeypatch):
    """Land one right charge as a file; something happens once it was found to be right."""
    await make.subscription(tx, world.now - timedelta(days=2), world.msisdn, world.monthly_id)

    async def deliver(record, meanwhile):
        judge = plain_queries.judge

        async def interrupted(tx, spans):
            await judge(tx, spans)
            assert await tx.fetchval("SELECT bool_and(plain) FROM staged_verdict")
            await meanwhile()

        monkeypatch.setattr(plain_queries, "judge", interrupted)

        async def stream():
            yield csv_of(record)

        await files.receive(
            stream(), upload=Upload(form=FileFormat.CSV), manifest=Manifest(), pool=pool,
            clock=FixedClock(world.now), directory=tmp_path, limit_bytes=10**6,
            actor=make.sp_actor(world.sp_id),
        )  # fmt: skip
        return dict(await tx.fetch(FOUND))

    return deliver


async def test_a_charge_of_the_same_month_that_lands_meanwhile_makes_this_one_a_duplicate(
    world, deliver
):
    first, second = world.record(), world.record()
    assert await deliver(second, lambda: world.land(first)) == {
        first.record_id: None, second.record_id: "duplicate",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["barred", "over_cap"])
async def test_a_limit_that_is_set_meanwhile_holds(tx, world, deliver, kind):
    record = world.record()
    at = record.charged_at - timedelta(minutes=1)

    async def meanwhile():
        if kind == "barred":
            await tx.execute(BAR, world.msisdn, uuid4(), str(world.sp_id), at)
        else:
            await tx.execute(CAP, world.msisdn, uuid4(), at)

    assert await deliver(record, meanwhile) == {record.record_id: kind}


async def test_an_event_that_is_told_meanwhile_re_opens_the_charge(pool, tx, world, deliver):
    record = world.record()
    at = record.charged_at - timedelta(minutes=1)

    async def meanwhile():
        await tx.execute(SUSPENDED, world.msisdn, uuid4(), at, world.now)

    assert await deliver(record, meanwhile) == {record.record_id: None}
    async with transaction(pool) as again:
        actor = job_actor("reaudit_charges")
        assert await actions.reaudit_recent(again, now=world.now, actor=actor) == 1
    assert dict(await tx.fetch(FOUND)) == {record.record_id: "number_suspended"}


async def test_what_stands_of_a_month_is_read_from_the_index_alone(pool, world):
    """Its rows lie apart in a full month: to fetch each of them is most of what a charge costs."""
    async with transaction(pool) as tx:
        await tx.execute(staging_queries.STAGE)
        await tx.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        nothing = [[]] * 10
        rows = await tx.fetch(f"EXPLAIN {plain_queries.CROWD}", world.sp_id, *nothing)
    plan = "\n".join(row[0] for row in rows)
    assert "Index Only Scan using charge_record_" in plan
    assert "Index Scan using charge_record_" not in plan


async def test_relations_and_decisions_are_judged_from_their_indexes_alone(pool):
    """A page of either table for each charge is more than the memory of a month's server holds."""
    async with transaction(pool) as tx:
        await tx.execute(staging_queries.STAGE)
        await tx.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        nothing = [[]] * 6
        rows = await tx.fetch(f"EXPLAIN {plain_queries.JUDGE}", *nothing)
    plan = "\n".join(row[0] for row in rows)
    assert "Index Only Scan using subscription_history on subscription s " in plan
    assert "Index Only Scan Backward using authorisation_2" in plan
    assert "Index Scan Backward using authorisation_2" not in plan


async def test_a_part_that_was_analysed_while_empty_is_not_read_from_end_to_end(owner, pool, world):
    await owner.execute("ANALYZE charge_record")
    async with transaction(pool) as tx:
        await tx.execute(staging_queries.STAGE)
        await staging_queries.hold(tx)
        nothing = [[]] * 10
        rows = await tx.fetch(f"EXPLAIN {plain_queries.CROWD}", world.sp_id, *nothing)
    plan = "\n".join(row[0] for row in rows)
    assert "charge_record_2" in plan
    assert "Seq Scan on charge_record" not in plan
