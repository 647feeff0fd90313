"""The ground of the figures about bills: one business month of charges, 25 for each number.

The rows lie in the order of arrival (time, numbers at random), two in a hundred are wrong and given
back. Each part of the month is filled by itself, some side by side, before its indexes are there and
without the foreign keys of claims, and held to no consent: no page of a bill writes.
"""

import asyncio
from datetime import date, timedelta

import asyncpg

from benchmarks.charge_pair import cites_aside
from spms.core import db, migrate, roles
from spms.core.clock import month_range
from tests import make

A_NUMBER = 25
"""Charges of a number in a month, on average."""
SPS, SERVICES = 30, 10
MONTH = date(2026, 2, 1)
START, END = month_range(MONTH)
PIECE = 500_000
AT_ONCE = 3
HOURS = 3600 * 6

NUMBERS = """
    INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
    SELECT '86139' || lpad(n::text, 8, '0'), 1, 'active', $2, $2 FROM generate_series(0, $1 - 1) n
    ON CONFLICT DO NOTHING
"""
LEAVES = """
    SELECT p.relid::regclass::text AS leaf, pg_get_partition_constraintdef(p.relid) AS holds
      FROM pg_partition_tree('charge_record'::regclass) p
     WHERE p.isleaf AND p.relid::regclass::text LIKE $1 || '%' ORDER BY 1
"""
OF_LEAF = """
    CREATE TEMPORARY TABLE of_leaf AS
    SELECT msisdn, row_number() OVER (ORDER BY msisdn) AS nth
      FROM (SELECT msisdn, {start}::timestamptz AS charged_at FROM number) n WHERE {holds}
"""
# In the order of arrival: time goes on, the numbers are any. Ids rise with time, as ours do.
CHARGES = """
    INSERT INTO {leaf}
        (msisdn, charged_at, id, sp_id, service_id, record_id, kind, price_fen, delivery,
         received_at, consent_id, authorisation_id, findings, due_fen, rulebook_version)
    SELECT n.msisdn, g.at,
           (lpad(to_hex((extract(epoch FROM g.at) * 1000)::bigint), 12, '0')
            || lpad(to_hex(g.i), 20, '0'))::uuid,
           s.sp_id, s.id, 'r' || g.i, s.kind, 100 + g.i % 9 * 100, 'none',
           g.at + interval '2 hours', gen_random_uuid(), gen_random_uuid(),
           CASE WHEN g.wrong THEN '{{over_cap}}'::text[] ELSE '{{}}' END,
           CASE WHEN g.wrong THEN 0 ELSE 100 + g.i % 9 * 100 END, 1
      FROM (SELECT i, $1::timestamptz + i * ($2::interval / $3::float8) AS at,
                   1 + floor(random() * $6)::bigint AS number, random() < 0.02 AS wrong,
                   1 + (hashint8(i) & 2147483647) % (SELECT count(*) FROM service) AS service
              FROM generate_series($4::bigint, $5::bigint, $7::bigint) i) g
      JOIN of_leaf n ON n.nth = g.number
      JOIN (SELECT id, sp_id, kind, row_number() OVER (ORDER BY id) AS nth FROM service) s
           ON s.nth = g.service
"""
FINDINGS = """
    INSERT INTO charge_finding (msisdn, charge_id, charged_at, kind, due_fen, found_at, found_by)
    SELECT msisdn, id, charged_at, 'over_cap', 0, received_at, 'audit' FROM {leaf}
     WHERE findings <> '{{}}'
"""
CLAIMS = """
    INSERT INTO claim (msisdn, id, charge_id, charged_at, sp_id, source, reason, state, charged_fen,
                       due_fen, round, opened_at, opened_by, bearer, principal_fen,
                       compensation_fen, principal_so_far_fen, compensation_so_far_fen,
                       honoured_due_fen)
    SELECT msisdn, id, id, charged_at, sp_id, 'audit', 'over_cap', 'refunded', price_fen, 0, 1,
           received_at + interval '1 day', 'job', 'sp', price_fen, price_fen, price_fen, price_fen, 0
      FROM {leaf} WHERE findings <> '{{}}'
"""
KEYS = """
    SELECT conrelid::regclass::text AS of_table, conname AS name,
           pg_get_constraintdef(oid) AS definition
      FROM pg_constraint
     WHERE contype = 'f' AND conparentid = 0
       AND ('charge_record'::regclass IN (conrelid, confrelid)
            OR conrelid IN ('refund'::regclass, 'claim'::regclass))
"""
INDEXES = """
    SELECT i.indexrelid::regclass::text AS name, k.conname AS of_constraint,
           pg_get_constraintdef(k.oid) AS key, pg_get_indexdef(i.indexrelid) AS definition
      FROM pg_index i LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'p'
     WHERE i.indrelid = 'charge_record'::regclass
     ORDER BY k.conname NULLS LAST, 1
"""


async def load(url: str, rows: int) -> None:
    """Make one month of charges in an empty database."""
    owner = await _arranged(url)
    try:
        await owner.execute(NUMBERS, rows // A_NUMBER, START - timedelta(days=400), timeout=HOURS)
        await fill(url, owner, rows)
    finally:
        await owner.close()


async def _patient(url: str) -> asyncpg.Connection:
    owner = await db.connect(url)
    await owner.execute("SET statement_timeout = 0; SET synchronous_commit = off")
    await owner.execute("SET maintenance_work_mem = '512MB'; SET work_mem = '128MB'")
    await owner.execute("SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0")
    return owner


async def _arranged(url: str) -> asyncpg.Connection:
    owner = await _patient(url)
    await roles.ensure_group(owner)
    await roles.make_login(owner, url)
    await migrate.migrate(owner)
    await owner.execute("SELECT make_month_partition('charge_record', $1)", MONTH)
    for _ in range(SPS):
        sp_id = await make.sp(owner, START)
        for _ in range(SERVICES):
            await make.service(owner, START, sp_id)
    return owner


async def fill(url: str, owner: asyncpg.Connection, rows: int) -> None:
    """Fill the month; numbers and services are there."""
    keys = await owner.fetch(KEYS)
    for key in keys:
        await owner.execute(f"ALTER TABLE {key['of_table']} DROP CONSTRAINT {key['name']}")
    indexes = await owner.fetch(INDEXES)
    for index in indexes:
        await owner.execute(
            f"ALTER TABLE charge_record DROP CONSTRAINT {index['of_constraint']}"
            if index["of_constraint"]
            else f"DROP INDEX {index['name']}"
        )
    await owner.execute("VACUUM ANALYZE number")
    leaves = [
        (row["leaf"], row["holds"])
        for row in await owner.fetch(LEAVES, f"charge_record_{MONTH:%Y%m}")
    ]
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(nth: int) -> None:
        async with turn:
            await _fill_leaf(url, leaves, nth, indexes, rows)

    async with cites_aside(owner):
        await asyncio.gather(*(one(nth) for nth in range(len(leaves))))
    for index in indexes:  # what each part has is hung in
        await owner.execute(
            f"ALTER TABLE charge_record ADD CONSTRAINT {index['of_constraint']} {index['key']}"
            if index["of_constraint"]
            else index["definition"].replace(" ON ONLY ", " ON "),
            timeout=HOURS,
        )
    for key in keys:  # of what is ingested into the month; what was filled is known to be right
        if key["of_table"] in {"charge_finding", "charge_suspicion"}:
            await owner.execute(
                f"ALTER TABLE {key['of_table']} ADD CONSTRAINT {key['name']} {key['definition']}"
                " NOT VALID"
            )
    await owner.execute("VACUUM ANALYZE", timeout=HOURS)


async def _fill_leaf(
    url: str,
    parts: list[tuple[str, str]],
    nth: int,
    indexes: list[asyncpg.Record],
    rows: int,
) -> None:
    """Fill one part in one transaction, which a server that keeps no log for copies has no log of."""
    owner = await _patient(url)
    (leaf, holds), leaves = parts[nth], len(parts)
    try:
        await owner.execute(OF_LEAF.format(holds=holds, start=f"'{START}'"), timeout=HOURS)
        await owner.execute("ANALYZE of_leaf")
        numbers = await owner.fetchval("SELECT count(*) FROM of_leaf")
        async with owner.transaction():
            await owner.execute(f"TRUNCATE {leaf}")
            await owner.execute("SELECT setseed(0.5)")
            for first in range(nth, rows, PIECE * leaves):
                last = min(first + PIECE * leaves, rows) - 1
                await owner.execute(
                    CHARGES.format(leaf=leaf), START, END - START, float(rows), first, last,
                    numbers, leaves, timeout=HOURS,
                )  # fmt: skip
            for index in indexes:
                await owner.execute(
                    f"ALTER TABLE {leaf} ADD {index['key']}"
                    if index["of_constraint"]
                    else index["definition"]
                    .replace(f"INDEX {index['name']} ", "INDEX ")
                    .replace(" ON ONLY public.charge_record ", f" ON {leaf} "),
                    timeout=HOURS,
                )
        await owner.execute(FINDINGS.format(leaf=leaf), timeout=HOURS)
        await owner.execute(CLAIMS.format(leaf=leaf), timeout=HOURS)
    finally:
        await owner.close()


UNSEALED = """
    ALTER TABLE charge_record_{month} DROP CONSTRAINT IF EXISTS charge_record_{month}_sealed;
    DELETE FROM charge_month
"""
SEALED = """
    SELECT p.relid::regclass::text AS leaf
      FROM pg_partition_tree($1::text::regclass) p JOIN pg_index i ON i.indrelid = p.relid
     WHERE p.isleaf AND i.indisclustered ORDER BY 1
"""
BY_ARRIVAL = """
    SELECT indexrelid::regclass::text FROM pg_index
     WHERE indrelid = $1::text::regclass AND pg_get_indexdef(indexrelid) LIKE '%(id)'
"""


async def opened(url: str) -> None:
    """Make a month as it was before it was sealed, wholly or in part.

    Its rows are put in the order of their ids, which is that of arrival.
    """
    owner = await _patient(url)
    await owner.execute(UNSEALED.format(month=f"{MONTH:%Y%m}"))
    await owner.execute("SET enable_indexscan = off")
    for leaf in [row["leaf"] for row in await owner.fetch(SEALED, f"charge_record_{MONTH:%Y%m}")]:
        await owner.execute(
            f"CLUSTER {leaf} USING {await owner.fetchval(BY_ARRIVAL, leaf)}", timeout=HOURS
        )
        await owner.execute(f"ALTER TABLE {leaf} SET WITHOUT CLUSTER")
    await owner.execute("VACUUM ANALYZE charge_record", timeout=HOURS)
    await owner.close()
