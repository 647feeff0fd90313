"""What a charge cites is there, and stays: a consent of its number, a service of its SP."""

from uuid import uuid4

import asyncpg
import pytest

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
     WHERE confrelid IN ('consent'::regclass, 'service'::regclass) AND conparentid = 0
"""


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
    # Other keys would hold them too; without those it is the charge's turn.
    for key in await owner.fetch(KEYS):
        await owner.execute(f"ALTER TABLE {key['of_table']} DROP CONSTRAINT {key['name']}")
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
