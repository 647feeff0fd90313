"""What a charge cites is there, and stays: a consent of its number, a service of its SP."""

import asyncio
from contextlib import asynccontextmanager
from datetime import date
from uuid import uuid4

import asyncpg
import pytest

from jobs.check_invariants import INVARIANTS
from spms.core import db, invariants
from spms.core.partitions import MAKE
from tests import make

LAND = """
    INSERT INTO charge_record (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen,
                               delivery, received_at, consent_id, findings, due_fen, rulebook_version)
    SELECT r.msisdn, $1, gen_random_uuid(), r.sp_id, r.service_id, gen_random_uuid()::text, 'monthly',
           800, 'none', $1, r.consent_id, CASE WHEN r.consent_id IS NULL THEN '{no_consent}'::text[]
                                               ELSE '{}' END, 0, 1
      FROM unnest($2::text[], $3::uuid[], $4::uuid[], $5::uuid[])
           AS r (msisdn, sp_id, service_id, consent_id)
"""
KEYS = """
    SELECT conrelid::regclass::text AS of_table, conname AS name FROM pg_constraint
     WHERE (confrelid IN ('consent'::regclass, 'service'::regclass)
            OR conrelid = 'consent'::regclass) AND contype = 'f' AND conparentid = 0
"""
UNHELD = """
    SELECT p.relid::regclass::text, e.name
      FROM pg_partition_tree('charge_record') p,
           (VALUES ('charge_record_cites'), ('charge_record_cites_still')) e (name)
     WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = p.relid AND tgname = e.name)
"""


@asynccontextmanager
async def as_if(connection):
    """Undo what was done, at the end."""
    work = connection.transaction()
    await work.start()
    yield
    await work.rollback()


async def broken(connection):
    """Return the names of the promises that `spms invariants` finds broken."""
    return {one.name for one in await invariants.check(connection, INVARIANTS) if not one.holds}


async def without_keys(owner):
    """Take away the keys that would hold consents and services too: then it is the charge's turn."""
    for key in await owner.fetch(KEYS):
        await owner.execute(f"ALTER TABLE {key['of_table']} DROP CONSTRAINT {key['name']}")


@pytest.fixture
async def land(tx, world):
    async def landed(*rows):
        """Store rows of (number, SP, service, consent) in one statement."""
        return await tx.execute(
            LAND, world.now, *(list(column) for column in zip(*rows, strict=True))
        )

    return landed


async def test_one_charge_of_a_statement_that_cites_no_consent_stops_all_of_it(tx, world, land):
    relation = await make.subscription(tx, world.now, world.msisdn, world.monthly_id)
    right = (world.msisdn, world.sp_id, world.monthly_id, relation)
    assert await land(right, (world.msisdn, world.sp_id, world.monthly_id, None)) == "INSERT 0 2"
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
        await land(right, (world.msisdn, world.sp_id, world.monthly_id, uuid4()))
    assert refused.value.constraint_name == "charge_record_consent"
    assert await tx.fetchval("SELECT count(*) FROM charge_record") == 2


async def test_the_consent_of_another_number_is_none(tx, world, land):
    other = await make.number(tx, world.now)
    relation = await make.subscription(tx, world.now, other, world.monthly_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
        await land((world.msisdn, world.sp_id, world.monthly_id, relation))
    assert refused.value.constraint_name == "charge_record_consent"


async def test_a_charge_for_the_service_of_another_sp_is_refused(tx, world, land):
    other = await make.sp(tx, world.now)
    for sp_id, service_id in ((other, world.monthly_id), (world.sp_id, uuid4())):
        with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
            await land((world.msisdn, sp_id, service_id, None))
        assert refused.value.constraint_name == "charge_record_own_service"


async def test_a_charge_cannot_be_turned_to_what_is_not_there(tx, owner, world, land):
    relation = await make.subscription(tx, world.now, world.msisdn, world.monthly_id)
    await land((world.msisdn, world.sp_id, world.monthly_id, relation))
    for change in ("consent_id = gen_random_uuid()", "service_id = gen_random_uuid()"):
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await owner.execute(f"UPDATE charge_record SET {change}")


async def test_what_a_charge_cites_cannot_be_taken_away_even_by_the_owner(tx, owner, world, land):
    relation = await make.subscription(tx, world.now, world.msisdn, world.monthly_id)
    await land((world.msisdn, world.sp_id, world.monthly_id, relation))
    await without_keys(owner)
    for taking in (
        "DELETE FROM consent",
        "UPDATE consent SET subscription_id = gen_random_uuid()",
        "TRUNCATE consent",
        "DELETE FROM service",
        "UPDATE service SET id = gen_random_uuid()",
        "TRUNCATE service",
    ):
        with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
            await owner.execute(taking)
        assert refused.value.constraint_name == "charge_record_cites"
    await owner.execute("DELETE FROM service WHERE id = $1", world.game_id)


async def test_a_charge_written_straight_into_a_month_or_a_part_is_held_to_it_too(
    tx, owner, world, land
):
    relation = await make.subscription(tx, world.now, world.msisdn, world.monthly_id)
    right = (world.msisdn, world.sp_id, world.monthly_id, relation)
    await land(right)
    leaf = await tx.fetchval("SELECT tableoid::regclass::text FROM charge_record")
    made = date(2027, 1, 1)
    await owner.fetchval(MAKE, "charge_record", made)
    for table in ("charge_record_202603", leaf):
        straight = LAND.replace("INTO charge_record", f"INTO {table}")
        assert await owner.execute(straight, world.now, *([one] for one in right)) == "INSERT 0 1"
        for wrong in ((*right[:3], uuid4()), (right[0], uuid4(), *right[2:])):
            with pytest.raises(asyncpg.ForeignKeyViolationError):
                await owner.execute(straight, world.now, *([one] for one in wrong))
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await owner.execute(f"UPDATE {table} SET consent_id = gen_random_uuid()")
    untold = await owner.fetch(UNHELD)
    assert untold == [], "months made by the migrations, by the tests and just now"


async def test_a_consent_goes_or_a_charge_for_it_lands_never_both(tx, owner, pool, world, land):
    relation = await make.subscription(tx, world.now, world.msisdn, world.monthly_id)
    await owner.execute("ALTER TABLE subscription DROP CONSTRAINT subscription_live_has_consent")
    right = (world.msisdn, world.sp_id, world.monthly_id, relation)
    going = owner.transaction()
    await going.start()
    await owner.execute("DELETE FROM consent")
    landing = asyncio.create_task(land(right))
    await asyncio.sleep(0.3)
    assert not landing.done(), "it waits for who takes its consent away"
    await going.commit()
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await landing

    relation = await make.subscription(tx, world.now, world.msisdn, world.monthly_id, kind="monthly",
                                       status="ended", ended_at=world.now)  # fmt: skip
    async with db.transaction(pool) as other:
        await other.execute(LAND, world.now, *([one] for one in (*right[:3], relation)))
        taking = asyncio.create_task(owner.execute("DELETE FROM consent"))
        await asyncio.sleep(0.3)
        assert not taking.done(), "it waits for the charge that is landing"
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await taking


async def test_who_sees_one_moment_throughout_takes_nothing_away(owner, world):
    await without_keys(owner)
    async with owner.transaction(isolation="repeatable_read"):
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await owner.execute("DELETE FROM service WHERE id = $1", world.game_id)


async def test_a_key_set_to_what_it_was_is_no_change_and_one_that_a_trigger_changes_is(
    tx, owner, world, land
):
    relation = await make.subscription(tx, world.now, world.msisdn, world.monthly_id)
    await land((world.msisdn, world.sp_id, world.monthly_id, relation))
    await owner.execute("UPDATE consent SET subscription_id = subscription_id, msisdn = msisdn")
    await owner.execute("UPDATE service SET id = id, sp_id = sp_id")
    await without_keys(owner)
    await owner.execute("""
        CREATE FUNCTION other_key() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.subscription_id = gen_random_uuid(); RETURN NEW; END $$;
        CREATE TRIGGER other_key BEFORE UPDATE ON consent
            FOR EACH ROW EXECUTE FUNCTION other_key();
    """)
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
        await owner.execute("UPDATE consent SET reply_text = 'no'")
    assert refused.value.constraint_name == "charge_record_cites"


async def test_what_came_while_nobody_looked_is_found(tx, owner, world, land):
    await owner.execute("ALTER TABLE charge_record DISABLE TRIGGER USER")
    relation = await make.subscription(tx, world.now, world.msisdn, world.monthly_id)
    await land((world.msisdn, world.sp_id, world.monthly_id, relation))
    assert await broken(owner) == set()
    for change in (
        "UPDATE charge_record SET consent_id = gen_random_uuid(), findings = '{in_trial}'",
        "UPDATE charge_record SET service_id = gen_random_uuid()",
    ):
        async with as_if(owner):
            await owner.execute(change)
            assert await broken(owner) == {"no_charge_without_decision"}


async def test_a_table_of_a_session_is_not_taken_for_the_consents(tx, world, land):
    relation = uuid4()
    await tx.execute("CREATE TEMPORARY TABLE consent (msisdn text, subscription_id uuid)")
    await tx.execute("INSERT INTO consent VALUES ($1, $2)", world.msisdn, relation)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await land((world.msisdn, world.sp_id, world.monthly_id, relation))
