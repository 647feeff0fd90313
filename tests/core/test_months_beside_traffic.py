"""A month's tables are made while others read and write: nobody is waited for."""

from datetime import date

import pytest

from spms.core import db
from spms.core.partitions import MAKE, PARTITIONED

MONTH = date(2027, 1, 1)
COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull, attcollation, attstorage,
           attcompression, pg_get_expr(d.adbin, d.adrelid)
      FROM pg_attribute a
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE attrelid = $1::text::regclass AND attnum > 0
"""
INDEXES = "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index WHERE indrelid = $1::text::regclass"
KEYS = """
    SELECT pg_get_constraintdef(oid), contype, convalidated, conislocal
      FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype <> 'n'
"""
# Those of whole statements a part has for itself: they are not handed down (tests/charging/test_cited.py).
TRIGGERS = """
    SELECT tgname, tgtype, tgenabled, tgfoid FROM pg_trigger
     WHERE tgrelid = $1::text::regclass AND NOT tgisinternal AND tgtype & 1 = 1
"""
PART = "SELECT pg_get_partkeydef($1::text::regclass)"


@pytest.mark.parametrize("table", PARTITIONED)
async def test_it_waits_neither_for_who_reads_nor_for_who_writes(owner, pool, table):
    async with db.transaction(pool) as busy:
        for each in PARTITIONED:
            await busy.fetchval(f"SELECT count(*) FROM {each}")
        await busy.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
        await owner.execute("SET lock_timeout = '1s'")
        assert await owner.fetchval(MAKE, table, MONTH) is True
        await busy.fetchval(f"SELECT count(*) FROM {table}")
    assert await owner.fetchval(MAKE, table, MONTH) is False


@pytest.mark.parametrize("table", PARTITIONED)
async def test_it_is_what_a_part_made_in_its_place_would_be(owner, table):
    await owner.fetchval(MAKE, table, MONTH)
    by_number = "PARTITION BY HASH (msisdn)" if table == "charge_record" else ""
    await owner.execute(
        f"CREATE TABLE {table}_202701_x PARTITION OF {table}"
        f" FOR VALUES FROM ('2027-02-01') TO ('2027-02-02') {by_number}"
    )
    for statement in (COLUMNS, INDEXES, KEYS, TRIGGERS, PART):
        made, other = [
            sorted(str(tuple(row)) for row in await owner.fetch(statement, name))
            for name in (f"{table}_202701", f"{table}_202701_x")
        ]
        assert made == [each.replace("_202701_x", "_202701") for each in other]
