"""Landing on the real database: each finding, races, deliveries that repeat."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from spms.charging import actions
from spms.charging.model import Delivery, LineResult, Reason
from spms.core.db import transaction
from tests import make
from tests.charging.world import DAY, World, code_of, lines_of

HOUR = timedelta(hours=1)


async def event(tx, msisdn, kind, at, *, state, epoch=1, recorded_at=None):
    """Record a number's event as its registry would."""
    await tx.execute(
        """INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                                     state_after, epoch_after)
           VALUES ($1, $2, $3, 'operator', $4, $5, 'test', $6, $7)""",
        msisdn, uuid4(), kind, at, recorded_at or at, state, epoch,
    )  # fmt: skip


async def subscribed(tx, world, **values):
    return await make.subscription(
        tx, world.now - 2 * DAY, world.msisdn, world.monthly_id, **values
    )


async def end(tx, subscription_id, at, reason):
    await tx.execute(
        "UPDATE subscription SET status = 'ended', ended_at = $2, end_reason = $3 WHERE id = $1",
        subscription_id, at, reason,
    )  # fmt: skip


async def test_a_right_charge_cites_consent_tariff_and_rulebook(tx, world):
    relation = await subscribed(tx, world)
    landing = await world.land(world.record())
    (outcome,) = landing.outcomes
    assert (landing.lines, landing.landed, landing.quarantined, landing.duplicates) == (1, 1, 0, 0)
    assert (outcome.result, outcome.findings, outcome.due_fen) == (LineResult.LANDED, (), 800)
    row = await tx.fetchrow("SELECT * FROM charge_record WHERE id = $1", outcome.charge_id)
    assert row["consent_id"] == relation
    assert row["tariff_id"] is not None
    assert (row["rulebook_version"], row["findings"], row["due_fen"]) == (1, [], 800)
    assert row["received_at"] == world.now


async def test_nothing_is_due_before_the_first_charge_date(tx, world):
    charged_at = world.now - HOUR
    await subscribed(tx, world, charge_from=charged_at + timedelta(microseconds=1))
    assert await world.findings(charged_at=charged_at) == ({"in_trial"}, 0)
    assert await world.findings(charged_at=charged_at + timedelta(microseconds=1)) == (set(), 800)


async def test_an_sps_own_free_trial_licenses_nothing_whether_or_not_a_job_has_ended_it(tx, world):
    over = world.now - 2 * HOUR
    await subscribed(tx, world, charge_from=over, free_until=over)
    assert await world.findings(charged_at=over - HOUR) == ({"in_trial"}, 0)
    assert await world.findings(charged_at=over) == ({"no_consent"}, 0)


async def test_a_charge_without_any_relation_has_no_consent(world):
    assert await world.findings() == ({"no_consent"}, 0)


async def test_a_number_nobody_holds_cannot_have_consented(tx, world):
    assert await world.findings(msisdn="8619912345678") == ({"no_consent"}, 0)
    assert await tx.fetchval("SELECT count(*) FROM charge_finding") == 1


async def test_a_relation_that_was_never_confirmed_licenses_nothing(tx, world):
    await subscribed(tx, world, status="awaiting", active_from=None)
    assert await world.findings() == ({"no_consent"}, 0)


async def test_a_live_relation_without_a_consent_row_licenses_nothing(tx, owner, world):
    relation = await subscribed(tx, world)
    await owner.execute("ALTER TABLE subscription DROP CONSTRAINT subscription_live_has_consent")
    await owner.execute("DELETE FROM consent WHERE subscription_id = $1", relation)
    assert await world.findings() == ({"no_consent"}, 0)


async def test_a_consent_given_after_the_charge_does_not_license_it(tx, world):
    await make.subscription(tx, world.now, world.msisdn, world.monthly_id)
    assert await world.findings() == ({"no_consent"}, 0)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("subscriber", "after_unsubscribe"),
        ("agent", "after_unsubscribe"),
        ("operator", "no_consent"),
    ],
)
async def test_a_charge_after_the_end_is_named_by_how_it_ended(tx, world, reason, expected):
    relation = await subscribed(tx, world)
    await end(tx, relation, world.now - HOUR, reason)
    assert await world.findings() == ({expected}, 0)
    detail = await tx.fetchval("SELECT detail FROM charge_finding")
    assert detail["subscription_id"] == str(relation)


async def test_a_charge_before_the_end_is_right_although_it_arrives_after_it(tx, world):
    relation = await subscribed(tx, world)
    await end(tx, relation, world.now - timedelta(minutes=59), "subscriber")
    assert await world.findings() == (set(), 800)


async def test_a_new_relation_after_a_left_one_licenses_again(tx, world):
    relation = await subscribed(tx, world)
    await end(tx, relation, world.now - DAY, "subscriber")
    await make.subscription(tx, world.now - 2 * HOUR, world.msisdn, world.monthly_id)
    assert await world.findings() == (set(), 800)


async def test_a_suspended_number_owes_nothing(tx, world):
    await subscribed(tx, world)
    await event(tx, world.msisdn, "suspended", world.now - 2 * HOUR, state="suspended")
    await event(tx, world.msisdn, "resumed", world.now - HOUR / 2, state="active")
    assert await world.findings() == ({"number_suspended"}, 0)
    assert await world.findings(charged_at=world.now - HOUR / 2) == (set(), 800)


async def test_a_terminated_number_owes_nothing(tx, world):
    relation = await subscribed(tx, world)
    await event(tx, world.msisdn, "terminated", world.now - 2 * HOUR, state="terminated")
    assert await world.findings() == ({"number_terminated"}, 0)
    await end(tx, relation, world.now - 2 * HOUR, "number_terminated")
    assert await world.findings() == ({"number_terminated"}, 0)


async def test_the_former_holders_consent_never_licenses_a_charge_of_the_new_one(tx, world):
    await subscribed(tx, world)
    await event(tx, world.msisdn, "transferred", world.now - 2 * HOUR, state="active", epoch=2)
    assert await world.findings() == ({"after_transfer"}, 0)
    before = world.now - 3 * HOUR
    assert await world.findings(charged_at=before) == (set(), 800)
    await make.subscription(tx, world.now - HOUR, world.msisdn, world.game_id, epoch=2)
    assert await world.findings(service_code=world.game, price_fen=200) == (set(), 200)


async def test_more_than_agreed_is_due_as_agreed(tx, world):
    await subscribed(tx, world, price_fen=500)
    assert await world.findings() == ({"price_mismatch"}, 500)


async def test_the_agreed_price_holds_whatever_the_tariff_says_now(tx, world):
    await subscribed(tx, world)
    await tx.execute(
        """INSERT INTO tariff (id, service_id, version, price_fen, effective_from, created_at,
                               created_by)
           VALUES ($1, $2, 2, 900, $3, $3, 'test')""",
        uuid4(), world.monthly_id, world.now - DAY,
    )  # fmt: skip
    assert await world.findings(price_fen=900) == ({"price_mismatch"}, 800)


async def test_undelivered_is_not_due(tx, world):
    await subscribed(tx, world)
    assert await world.findings(delivery=Delivery.FAILED) == ({"undelivered"}, 0)


async def test_a_month_is_due_once_within_a_batch_and_across_batches(tx, world):
    await subscribed(tx, world)
    first, second = world.record(charged_at=world.now - 2 * HOUR), world.record()
    landing = await world.land(second, first)
    assert [o.findings for o in landing.outcomes] == [("duplicate",), ()]
    assert await world.findings() == ({"duplicate"}, 0)


async def test_a_record_made_earlier_but_arriving_later_does_not_make_a_month_due_twice(tx, world):
    await subscribed(tx, world)
    assert await world.findings() == (set(), 800)
    assert await world.findings(charged_at=world.now - 2 * HOUR) == ({"duplicate"}, 0)


async def test_the_charge_that_does_not_stand_is_no_earlier_charge(tx, world):
    await subscribed(tx, world)
    await world.findings(delivery=Delivery.FAILED)
    assert await world.findings() == (set(), 800)


async def test_the_month_is_that_of_shanghai(tx, world):
    turn = datetime(2026, 3, 31, 16, tzinfo=UTC)
    await subscribed(tx, world)
    at = {"now": turn + HOUR}
    landing = await world.land(
        world.record(charged_at=turn - timedelta(microseconds=1)),
        world.record(charged_at=turn),
        **at,
    )
    assert [o.findings for o in landing.outcomes] == [(), ()]


async def test_an_order_is_charged_once(tx, world):
    await make.subscription(tx, world.now - 3 * HOUR, world.msisdn, world.game_id)
    game = {"service_code": world.game, "price_fen": 200}
    assert await world.findings(**game) == (set(), 200)
    assert await world.findings(**game) == ({"duplicate"}, 0)
    await make.subscription(tx, world.now - 2 * HOUR, world.msisdn, world.game_id)
    assert await world.findings(**game) == (set(), 200)
    assert await world.findings(**game) == ({"duplicate"}, 0)


async def test_two_orders_in_one_batch_each_license_one_charge(tx, world):
    for hours in (3, 2):
        await make.subscription(tx, world.now - hours * HOUR, world.msisdn, world.game_id)
    game = {"service_code": world.game, "price_fen": 200}
    landing = await world.land(*[world.record(**game) for _ in range(3)])
    assert [o.findings for o in landing.outcomes] == [(), (), ("duplicate",)]


async def test_an_order_ends_with_its_lifetime(tx, world):
    await make.subscription(tx, world.now - DAY - HOUR, world.msisdn, world.game_id)
    game = {"service_code": world.game, "price_fen": 200}
    assert await world.findings(**game, charged_at=world.now - HOUR) == ({"no_consent"}, 0)
    early = world.now - HOUR - timedelta(seconds=1)
    assert await world.findings(**game, charged_at=early) == (set(), 200)


async def test_over_a_cap_only_what_fits_is_due(tx, world):
    await make.subscription(tx, world.now - 2 * DAY, world.msisdn, world.monthly_id, price_fen=5000)
    assert await world.findings(price_fen=4000) == ({"over_cap"}, 3000)
    assert await world.findings(price_fen=6000) == (
        {"price_mismatch", "duplicate"}, 0,
    )  # fmt: skip


async def test_the_cap_over_all_services_counts_every_sp_and_service(tx, world):
    spent = []
    for _ in range(4):
        sp_id = await make.sp(tx, world.now)
        service_id = await make.service(tx, world.now, sp_id, price_fen=2800)
        await make.subscription(tx, world.now - DAY, world.msisdn, service_id)
        record = world.record(service_code=await code_of(tx, service_id), price_fen=2800)
        landing = await world.land(record, sp_id=sp_id)
        spent.append((landing.outcomes[0].findings, landing.outcomes[0].due_fen))
    assert spent == [((), 2800), ((), 2800), ((), 2800), (("over_cap",), 1600)]


async def test_the_caps_are_those_in_force_when_the_charge_was_made(tx, owner, world):
    await owner.execute(
        """INSERT INTO rulebook VALUES
           (2, $1, '{"cap": {"service_month_fen": 500}}', 'less', $1, 'test')""",
        world.now - 2 * HOUR,
    )
    await subscribed(tx, world)
    other = await make.number(tx, world.now)
    await make.subscription(tx, world.now - 2 * DAY, other, world.monthly_id)
    landing = await world.land(
        world.record(charged_at=world.now - 3 * HOUR), world.record(msisdn=other)
    )
    assert [(o.findings, o.due_fen) for o in landing.outcomes] == [((), 800), (("over_cap",), 500)]
    versions = await tx.fetch("SELECT rulebook_version FROM charge_record ORDER BY charged_at")
    assert [row[0] for row in versions] == [1, 2]


async def test_the_same_record_again_is_seen_and_nothing_is_done(tx, world):
    await subscribed(tx, world)
    record = world.record()
    first = await world.land(record)
    again = await world.land(record, record)
    assert [o.result for o in again.outcomes] == [LineResult.SEEN] * 2
    assert {o.charge_id for o in again.outcomes} == {first.outcomes[0].charge_id}
    assert (again.landed, again.duplicates, again.quarantined) == (0, 2, 0)
    assert await tx.fetchval("SELECT count(*) FROM charge_record") == 1


async def test_a_record_is_known_again_even_when_it_has_become_too_old(world):
    record = world.record()
    await world.land(record)
    later = await world.land(record, world.record(), now=world.now + 4 * DAY)
    assert [o.result for o in later.outcomes] == [LineResult.SEEN, LineResult.QUARANTINED]
    assert later.outcomes[1].reason is Reason.TIME_OLD


async def test_the_same_id_with_other_content_is_quarantined(tx, world):
    record = world.record()
    other = msgspec.structs.replace(record, price_fen=801)
    await world.land(record)
    landing = await world.land(other)
    assert landing.outcomes[0].reason is Reason.DUP_CONFLICT
    assert landing.quarantined == 1
    raw = await tx.fetchval("SELECT raw FROM charge_quarantine")
    assert msgspec.json.decode(raw)["price_fen"] == 801


async def test_within_one_batch_the_first_of_two_with_one_id_lands(tx, world):
    record = world.record()
    other = msgspec.structs.replace(record, price_fen=801)
    landing = await world.land(record, other)
    assert [o.reason for o in landing.outcomes] == [None, Reason.DUP_CONFLICT]
    assert await tx.fetchval("SELECT price_fen FROM charge_record") == 800


async def test_what_comes_too_late_is_not_told_of_what_stands_below_it(world):
    right = world.record()
    late = msgspec.structs.replace(right, charged_at=world.now - 4 * DAY)
    landing = await world.land(late, right, late)
    assert [o.reason for o in landing.outcomes] == [Reason.TIME_OLD, None, Reason.DUP_CONFLICT]


async def test_the_same_record_id_of_two_sps_is_two_charges(tx, world):
    other_sp = await make.sp(tx, world.now)
    service_id = await make.service(tx, world.now, other_sp)
    record = world.record()
    theirs = msgspec.structs.replace(record, service_code=await code_of(tx, service_id))
    await world.land(record)
    assert (await world.land(theirs, sp_id=other_sp)).landed == 1


async def test_a_service_of_another_sp_is_unknown(tx, world):
    other = await make.service(tx, world.now, await make.sp(tx, world.now))
    landing = await world.land(
        world.record(service_code=await code_of(tx, other)), world.record(service_code="0000")
    )
    assert [o.reason for o in landing.outcomes] == [Reason.SERVICE_UNKNOWN] * 2
    assert await tx.fetchval("SELECT count(*) FROM charge_key") == 0


@pytest.mark.parametrize(
    ("ago", "reason"),
    [
        (-timedelta(minutes=5), None),
        (-timedelta(minutes=5, microseconds=1), Reason.TIME_FUTURE),
        (timedelta(hours=72), None),
        (timedelta(hours=72, microseconds=1), Reason.TIME_OLD),
    ],
)
async def test_a_record_must_be_near_our_clock(world, ago, reason):
    landing = await world.land(world.record(charged_at=world.now - ago))
    assert landing.outcomes[0].reason is reason


@dataclass
class Crowd:
    """Numbers with a relation each, and their records."""

    world: World
    numbers: list[str]

    @classmethod
    async def gather(cls, tx, world, size):
        numbers = [await make.number(tx, world.now) for _ in range(size)]
        for number in numbers:
            await make.subscription(tx, world.now - DAY, number, world.monthly_id)
        return cls(world, numbers)


@pytest.mark.parametrize("round_", range(3))
async def test_loaders_with_overlapping_batches_land_every_record_once(tx, world, round_):
    crowd = await Crowd.gather(tx, world, 30)
    records = [world.record(msisdn=number) for number in crowd.numbers for _ in range(2)]
    batches = [records[n * 10 : n * 10 + 40] for n in range(3)] + [records[::-1], records]
    landings = await asyncio.gather(*[world.land(*batch) for batch in batches])
    assert sum(landing.landed for landing in landings) == len(records)
    assert sum(landing.duplicates for landing in landings) == sum(map(len, batches)) - len(records)
    rows = await tx.fetch(
        "SELECT msisdn, array_agg(due_fen ORDER BY due_fen) AS due FROM charge_record GROUP BY 1"
    )
    assert [row["due"] for row in rows] == [[0, 800]] * len(crowd.numbers)


async def test_loaders_of_many_sps_never_pass_the_cap_over_all_services(tx, world):
    batches = []
    for _ in range(6):
        sp_id = await make.sp(tx, world.now)
        service_id = await make.service(tx, world.now, sp_id, price_fen=2800)
        await make.subscription(tx, world.now - DAY, world.msisdn, service_id)
        record = world.record(service_code=await code_of(tx, service_id), price_fen=2800)
        batches.append((record, sp_id))
    await asyncio.gather(*[world.land(record, sp_id=sp_id) for record, sp_id in batches])
    due = [row[0] for row in await tx.fetch("SELECT due_fen FROM charge_record ORDER BY due_fen")]
    assert due == [0, 0, 1600, 2800, 2800, 2800]


async def test_records_and_findings_can_only_be_added(tx, world):
    await world.land(world.record())
    for statement in (
        "UPDATE charge_record SET due_fen = 1",
        "DELETE FROM charge_record",
        "UPDATE charge_finding SET due_fen = 1",
        "DELETE FROM charge_finding",
        "UPDATE charge_key SET record_id = 'x'",
        "DELETE FROM charge_quarantine",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.execute(statement)


async def test_nothing_of_a_batch_lands_when_its_transaction_fails(tx, pool, world):
    async def doomed():
        async with transaction(pool) as inner:
            await actions.land(
                inner, lines_of(world.record()), sp_id=world.sp_id, file_id=None,
                actor=make.sp_actor(world.sp_id), now=world.now,
            )  # fmt: skip
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await doomed()
    for table in ("charge_key", "charge_record", "charge_finding"):
        assert await tx.fetchval(f"SELECT count(*) FROM {table}") == 0
