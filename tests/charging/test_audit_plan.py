"""How what the audit reads is carried out, on a book that is large enough to matter."""

from datetime import date, timedelta

import pytest

from spms.charging import delivery_queries, queries, reopening_queries, stray_queries
from spms.charging.model import Finding
from spms.core.clock import business_month, month_range
from tests import plans
from tests.plans import plan_of, require_narrow

LIFETIME = timedelta(days=3)
LONG = timedelta(days=365)
BATCH = 100
LIMIT = 1_000
MODES = ("force_generic_plan", "force_custom_plan", "auto")
SUSPENDED = """
    INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                              state_after, epoch_after)
    SELECT msisdn, gen_random_uuid(), 'suspended', 'lost', $1, $2, 'test', 'suspended', 1
      FROM number WHERE substr(msisdn, 6)::int % 100 = 3
"""
ENDED = """
    WITH ended AS (
        UPDATE subscription SET status = 'ended', ended_at = $1, end_reason = 'left'
         WHERE kind = 'monthly' AND substr(msisdn, 6)::int % 100 = 4
        RETURNING msisdn, id
    )
    INSERT INTO subscription_event (msisdn, id, subscription_id, action, to_status, at, actor, cause)
    SELECT msisdn, gen_random_uuid(), id, 'leave', 'ended', $2, 'test', 'test' FROM ended
"""


@pytest.fixture
async def book(tx, owner, now):
    """Fill the book up to an instant in the middle of March; return it."""
    at = now + timedelta(days=20)
    await plans.fill(tx, owner, at)
    return at


async def test_charges_are_judged_by_what_is_found_number_by_number(tx, book):
    """However many there are, in a batch or a file: the plan that is kept is as good as any."""
    services = await tx.fetch("SELECT id, kind, sp_id FROM service ORDER BY code")
    for many in (1, BATCH):
        numbers = [f"86139{n:08d}" for n in range(0, many * 20, 20)]
        of = [services[n % len(services)] for n in range(many)]
        places, ids = [*range(many)], [service["id"] for service in of]
        kinds, sps = [service["kind"] for service in of], [service["sp_id"] for service in of]
        times = [book] * many
        turn = month_range(business_month(book))[0]
        since = [turn if kind == "monthly" else turn - LONG for kind in kinds]
        for mode in MODES:
            facts = await plan_of(
                tx, queries.FACTS, places, numbers, ids, kinds, times, since, LIFETIME, mode=mode
            )
            require_narrow(
                facts, {"number_event", "authorisation", "reservation", "subscription", "consent"},
                months={"202602", "202603"}, sorted_most=many,
            )  # fmt: skip
            month = await plan_of(
                tx, queries.MONTH, numbers, *month_range(date(2026, 2, 1)), mode=mode
            )
            require_narrow(
                month, {"charge_record", "subscription", "charge_finding"},
                months={"202602"}, sorted_most=20,
            )  # fmt: skip
            assert {node["Actual Loops"] for node in plans.scans(month)} <= {*range(1, many + 1)}
            uses = await plan_of(
                tx, queries.USES, numbers, book - timedelta(days=5), book, sps[0], mode=mode
            )
            require_narrow(
                uses, {"charge_record", "subscription"}, months={"202603"}, sorted_most=0
            )
            strays = await plan_of(
                tx, stray_queries.STRAYS, places, numbers, ids, times, [800] * many, [2] * many, sps,
                mode=mode,
            )  # fmt: skip
            require_narrow(strays, {"subscription"}, months=set(), sorted_most=20)
            assert plans.touched(facts) <= 25 * many
            assert plans.touched(month) <= 15 * many + 15


async def test_what_is_told_late_is_found_from_what_was_told_and_not_from_all_charges(
    tx, owner, book
):
    told, since = book - timedelta(days=1), book - timedelta(days=7)
    await owner.execute(SUSPENDED, book - timedelta(days=6), told)
    await owner.execute(ENDED, book - timedelta(days=6), told)
    await owner.execute("VACUUM ANALYZE number_event, subscription, subscription_event")
    wrong = await plan_of(tx, reopening_queries.MADE_WRONG, since, LIMIT)
    assert wrong["Actual Rows"] == 20 * 4 + 20 * 2
    require_narrow(
        wrong,
        {"number_event", "subscription_event", "subscription", "leave_wish", "charge_record", "charge_finding"},
        months={"202603"}, sorted_most=LIMIT,
    )  # fmt: skip


async def test_reservations_that_ended_unused_are_looked_at_for_ten_days_and_no_others(tx, book):
    ended = await plan_of(
        tx, delivery_queries.ENDED_UNUSED, book - timedelta(days=10),
        Finding.RESERVED_NOT_DELIVERED, LIMIT,
    )  # fmt: skip
    assert ended["Actual Rows"] > 0
    require_narrow(
        ended, {"reservation", "charge_record", "charge_finding", "charge_suspicion"},
        months={"202603"}, sorted_most=LIMIT,
    )  # fmt: skip
