"""What serves for a while is dropped after it; what is still needed stays."""

from datetime import timedelta
from uuid import uuid4

from jobs import forget_leftovers
from spms.core.access import job_actor
from tests import make

ADD_OUTBOX = """
    INSERT INTO outbox (id, topic, payload, created_at, due_at, done_at)
    VALUES (gen_random_uuid(), $1, '{}', $2, $2, $3)
"""
ADD_CODE = """
    INSERT INTO one_time_code (msisdn, id, code_hmac, issued_at, expires_at)
    VALUES ($1, gen_random_uuid(), '', $2, $2)
"""
ADD_ATTEMPT = """
    INSERT INTO webhook_attempt (id, endpoint_id, position, at, result, duration_ms)
    VALUES (gen_random_uuid(), $1, 1, $2, 'timeout', 1)
"""
ADD_ENDPOINT = """
    INSERT INTO webhook_endpoint (id, sp_id, url, types, state, state_at, created_at, created_by)
    VALUES ($1, $2, 'https://sp.example/hook', '{}', 'enabled', $3, $3, 'test')
"""
ADD_DELIVERY = """
    INSERT INTO webhook_delivery (endpoint_id, position, sp_id, subject, state, due_at, round_at)
    VALUES ($1, 1, $2, 'x', 'given_up', $3, $3)
"""
ADD_EVENT = """
    INSERT INTO partner_event (id, sp_id, position, type, subject, occurred_at, data)
    VALUES (gen_random_uuid(), $1, 1, 'test.made', 'x', $2, '{}')
"""
ADD_SLOT = "INSERT INTO job_slot (job, slot_at, state) VALUES ('tidy', $1, $2)"
ADD_FAILURE = "INSERT INTO sign_in_failure (kind, subject_hash, at) VALUES ('staff', '', $1)"


async def test_rows_that_prove_nothing_are_dropped_and_the_others_stay(tx, now):
    """Every kind has one row too old and one that is still needed."""

    def days(count: float):
        return now - timedelta(days=count)

    sp_id, msisdn, endpoint = await make.sp(tx, now), await make.number(tx, now), uuid4()
    await tx.execute(ADD_ENDPOINT, endpoint, sp_id, now)
    await tx.execute(ADD_EVENT, sp_id, now)
    await tx.execute(ADD_DELIVERY, endpoint, sp_id, now)
    for old in (True, False):
        await tx.execute(ADD_OUTBOX, "told" if old else "kept", days(30), days(8 if old else 6))
        await tx.execute(ADD_CODE, msisdn, days(1) if old else now)
        await tx.execute(ADD_ATTEMPT, endpoint, days(91 if old else 89))
        await tx.execute(ADD_FAILURE, days(8 if old else 6))
        await tx.execute(ADD_SLOT, days(8 if old else 6), "done")
        await tx.execute(ADD_SLOT, days(91 if old else 89), "failed")
    await tx.execute(ADD_OUTBOX, "kept", days(400), None)
    assert await forget_leftovers.work(tx, actor=job_actor("tidy"), now=now) == "6 rows dropped"
    assert {row[0] for row in await tx.fetch("SELECT topic FROM outbox")} == {"kept"}
    assert [row[0] for row in await tx.fetch("SELECT expires_at FROM one_time_code")] == [now]
    for table, column, left in (
        ("webhook_attempt", "at", {89}), ("sign_in_failure", "at", {6}),
        ("job_slot", "slot_at", {6, 89}),
    ):  # fmt: skip
        rows = await tx.fetch(f"SELECT {column} FROM {table}")
        assert {(now - row[0]).days for row in rows} == left
    assert await tx.fetchval("SELECT count(*) FROM webhook_delivery") == 1


async def test_the_latest_slot_of_a_job_stays_however_old(tx, now):
    """From it the next slots are counted."""
    await tx.execute(ADD_SLOT, now - timedelta(days=400), "failed")
    await forget_leftovers.work(tx, actor=job_actor("tidy"), now=now)
    assert await tx.fetchval("SELECT count(*) FROM job_slot") == 1
