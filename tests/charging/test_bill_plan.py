"""How the statements of bills are carried out, on a month that is large enough to matter.

Twenty thousand charges of eight hundred numbers in the order of arrival, beside a second month. The
planner is left as it is: were an index missing, it would read the whole table or sort it, and so
these fail.
"""

from datetime import date, timedelta
from uuid import UUID

import pytest

from spms.charging import bill_queries, own_charge_queries, sealing, summary_queries
from spms.charging.bill_model import BillFilter
from spms.core.clock import month_range
from spms.core.db import transaction
from tests import make
from tests.plans import BY_INDEX, nodes, plan_of, touched

MONTH = date(2026, 2, 1)
START, END = month_range(MONTH)
LAST_ID = UUID(int=2**128 - 1)
LIMIT = 20
PAGE = (END, LAST_ID, LIMIT)
ANY = (None, None, None, False)
LARGE = ("charge_record", "charge_finding", "claim", "refund", "number")
CHARGES = """
    INSERT INTO charge_record
        (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen, delivery,
         received_at, findings, due_fen, rulebook_version)
    SELECT '86139' || lpad((i * 7919 % 800)::text, 8, '0'), at,
           (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
            || substr(md5(i::text), 1, 20))::uuid, s.sp_id, s.id,
           'r' || i, 'monthly', 800, 'none', at, '{over_cap}', 0, 1
      FROM generate_series(1, 20000) i
      JOIN LATERAL (SELECT $1::timestamptz + i * interval '2 minutes' AS at) t ON true
      JOIN (SELECT id, sp_id, row_number() OVER (ORDER BY id) - 1 AS nth FROM service) s
           ON s.nth = i % 4
"""
NUMBERS = """
    INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
    SELECT DISTINCT msisdn, 1, 'active', $1::timestamptz, $1::timestamptz FROM charge_record
"""
FINDINGS = """
    INSERT INTO charge_finding (msisdn, charge_id, charged_at, kind, due_fen, found_at, found_by)
    SELECT msisdn, id, charged_at, 'over_cap', 0, received_at, 'test' FROM charge_record
     WHERE substr(msisdn, 6)::int % 4 = 0
"""
CLAIMS = """
    INSERT INTO claim (msisdn, id, charge_id, charged_at, sp_id, source, reason, state, charged_fen,
                       due_fen, turn, opened_at, opened_by)
    SELECT msisdn, gen_random_uuid(), id, charged_at, sp_id, 'agent', 'over_cap', 'stands',
           price_fen, price_fen, 1, received_at, 'test' FROM charge_record
     WHERE substr(msisdn, 6)::int % 4 = 0
"""

REFUNDS = """
    INSERT INTO claim (msisdn, id, charge_id, charged_at, sp_id, source, reason, state, charged_fen,
                       due_fen, round, cause, opened_at, opened_by, bearer, principal_fen,
                       compensation_fen, principal_so_far_fen, compensation_so_far_fen,
                       honoured_due_fen)
    SELECT msisdn, gen_random_uuid(), id, charged_at, sp_id, 'batch', 'x', 'refunded', price_fen,
           0, 1, 'metering', received_at, 'test', 'operator', price_fen, price_fen, price_fen,
           price_fen, 0
      FROM charge_record
"""
RATE = """
    INSERT INTO rulebook VALUES (2, $1, '{"points": {"per_yuan": 1}}', 'test', $1, 'test')
"""
READ = """
    SELECT relname, COALESCE(seq_scan, 0) AS whole, COALESCE(idx_scan, 0) AS by_index
      FROM pg_stat_xact_user_tables WHERE relname IN ('claim', 'charge_finding', 'clawback')
"""


@pytest.fixture
async def month(tx, owner, now):
    """Fill the month and half the next one; return an SP and a number with nothing found wrong."""
    sps = [await make.sp(tx, START) for _ in range(2)]
    for sp_id in sps:
        for _ in range(2):
            await make.service(tx, START, sp_id)
    await owner.execute(CHARGES, START)
    await owner.execute(NUMBERS, START - timedelta(days=90))
    await owner.execute(FINDINGS)
    await owner.execute(CLAIMS)
    await owner.execute("VACUUM ANALYZE charge_record, charge_finding, claim, number, service, sp")
    return sps[0], "8613900000401"


def large(plan):
    """Return the scans of tables that grow with the numbers and their charges."""
    return [
        node for node in nodes(plan)
        if node.get("Relation Name", "").startswith(LARGE) and node["Actual Loops"]
    ]  # fmt: skip


def require_narrow(plan, *, sorted_most=LIMIT + 1):
    """Each large table by an index, one month only, nothing sorted but a page."""
    scans = large(plan)
    assert scans
    assert {node["Node Type"] for node in scans} <= BY_INDEX
    partitions = {
        node["Relation Name"] for node in nodes(plan)
        if node.get("Relation Name", "").startswith("charge_record_2")
    }  # fmt: skip
    assert all(name.startswith("charge_record_202602") for name in partitions)
    for node in nodes(plan):
        if "Sort" in node["Node Type"]:
            assert node["Actual Rows"] <= sorted_most


async def require_a_good_page(read, number):
    for mode in ("force_generic_plan", "force_custom_plan", "auto"):
        plan = await plan_of(read, bill_queries.LINES, number, START, END, *ANY, *PAGE, mode=mode)
        require_narrow(plan)
        (lines,) = (n for n in large(plan) if n["Relation Name"].startswith("charge_record"))
        assert (lines["Node Type"], lines["Heap Fetches"]) == ("Index Only Scan", 0)
        assert plan["Actual Rows"] == LIMIT
        assert touched(plan) <= 8  # in an open month the rows lie on twenty pages of the table


async def test_a_page_is_read_from_one_index_of_one_month_open_or_sealed(owner, tx, pool, month):
    _, number = month
    await require_a_good_page(tx, number)
    wrong = await plan_of(tx, bill_queries.LINES, "8613900000400", START, END, *ANY, *PAGE)
    require_narrow(wrong)
    totals = await plan_of(tx, bill_queries.TOTALS, number, START, END, *ANY)
    require_narrow(totals, sorted_most=25)
    assert touched(totals) <= 8
    for statement, more in ((bill_queries.LINES, PAGE), (bill_queries.TOTALS, ())):
        wanted = (*ANY[:3], True)
        require_narrow(await plan_of(tx, statement, number, START, END, *wanted, *more))
    sealed = set()
    async with transaction(pool) as work:
        while month := await sealing.seal_next(work, now=END + timedelta(days=9)):
            sealed.add(month)
    assert MONTH in sealed
    await owner.execute("VACUUM charge_record")
    await require_a_good_page(tx, number)


async def test_an_sps_page_and_summaries_are_ranges_of_an_index(tx, month):
    sp_id, _ = month
    wanted = (*ANY[1:],)
    page = await plan_of(tx, own_charge_queries.OF_SP, sp_id, START, END, *wanted, *PAGE)
    require_narrow(page)
    # Merged from the parts of the month: each gives the rows that are cut, and one more.
    parts = [n for n in large(page) if n["Relation Name"].startswith("charge_record")]
    assert LIMIT <= sum(n["Actual Rows"] for n in parts) <= LIMIT + len(parts)
    assert all("sp_id" in n["Index Name"] for n in parts)
    told = await plan_of(tx, summary_queries.SUMMED, "8613900000100", START, END, 50)
    require_narrow(told, sorted_most=50)
    # Each number is looked up in its own part alone.
    parts = [n for n in large(told) if n["Relation Name"].startswith("charge_record")]
    assert sum(n["Actual Loops"] for n in parts) == 50
    assert {n["Actual Rows"] for n in parts} == {25}


async def test_a_page_planned_for_an_empty_book_reads_no_table_through_when_it_has_filled(
    owner, pool, month
):
    """A connection keeps its plans; the first mass correction comes before the next ANALYZE."""
    _, number = month
    filled = "8613900000400"
    await owner.execute("TRUNCATE claim, charge_finding CASCADE")
    await owner.execute("VACUUM ANALYZE claim, charge_finding")
    await owner.execute(RATE, START)
    async with transaction(pool) as read:
        await read.execute("SET LOCAL plan_cache_mode = force_generic_plan")

        async def page_of(msisdn, wanted):
            return await bill_queries.lines(
                read, msisdn, (START, END), wanted, before=PAGE[:2], limit=LIMIT
            )

        async def points_of(msisdn):
            totals = await bill_queries.totals(read, msisdn, (START, END), BillFilter())
            return totals.lines, totals.points

        for wanted in (BillFilter(), BillFilter(refunded=True)):
            await page_of(number, wanted)
        assert await points_of(filled) == (25, 25 * 8)
        await owner.execute(REFUNDS)
        await owner.execute(FINDINGS)
        before = {row["relname"]: row for row in await read.fetch(READ)}
        given = await page_of(filled, BillFilter())
        assert all(len(line.corrections) == 2 and line.findings for line in given)
        assert await page_of(filled, BillFilter(refunded=True)) == given
        assert len(given) == LIMIT
        assert await points_of(filled) == (25, 0), "all of it came back"
        after = {row["relname"]: row for row in await read.fetch(READ)}
        for table in ("claim", "charge_finding"):
            assert after[table]["whole"] == before[table]["whole"] == 0
            assert after[table]["by_index"] - before[table]["by_index"] >= 2
        assert after["clawback"]["whole"] == before.get("clawback", {"whole": 0})["whole"]
        kept = "force_generic_plan"
        plan = await plan_of(read, bill_queries.LINES, filled, START, END, *ANY, *PAGE, mode=kept)
        assert touched(plan) <= 60, "what lies about one number, not twenty thousand claims"
        plan = await plan_of(read, bill_queries.TOTALS, filled, START, END, *ANY, mode=kept)
        assert touched(plan) <= 240, "and its points likewise"
