"""Months are made ahead, as Shanghai counts them, once, whoever else makes them at the same moment."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from jobs import make_partitions
from spms.core.db import transaction
from spms.core.partitions import PARTITIONED
from tests import make

DECEMBER = datetime(2026, 12, 15, 4, tzinfo=UTC)
FORTY_DAYS_BACK_TO_THREE_AHEAD = ["202611", "202612", "202701", "202702", "202703"]
MONTHS = """
    SELECT right(inhrelid::regclass::text, 6) AS month,
           pg_get_expr(c.relpartbound, c.oid) AS bounds,
           (SELECT count(*) FROM pg_partition_tree(inhrelid) WHERE isleaf) AS parts
      FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
     WHERE inhparent = $1::text::regclass AND right(inhrelid::regclass::text, 6) > '202608'
     ORDER BY month
"""


async def run(pool, now):
    async with transaction(pool) as tx:
        return await make_partitions.work(tx, actor=make.ADMIN, now=now)


async def months(owner, table):
    """Return the months of a table beyond those every test has."""
    await owner.execute("SET timezone = 'Asia/Shanghai'")
    return await owner.fetch(MONTHS, table)


async def test_the_last_month_this_one_and_three_ahead_are_made_for_each_table_and_once(
    pool, owner
):
    assert await run(pool, DECEMBER) == "25 made"
    for table in PARTITIONED:
        made = await months(owner, table)
        assert [row["month"] for row in made] == FORTY_DAYS_BACK_TO_THREE_AHEAD
        assert {row["parts"] for row in made} == {8 if table == "charge_record" else 1}
    assert await run(pool, DECEMBER) == "0 made"
    assert await run(pool, DECEMBER + timedelta(days=31)) == "5 made"
    assert [row["month"] for row in await months(owner, "authorisation")][-1] == "202704"


async def test_a_month_begins_and_ends_at_midnight_in_shanghai(pool, owner, tx):
    await run(pool, DECEMBER)
    edges = [f"{year}-{month:02d}-01 00:00:00+08" for year, month in (
        (2026, 11), (2026, 12), (2027, 1), (2027, 2), (2027, 3), (2027, 4),
    )]  # fmt: skip
    for table in PARTITIONED:
        assert [row["bounds"] for row in await months(owner, table)] == [
            f"FOR VALUES FROM ('{first}') TO ('{after}')" for first, after in pairwise(edges)
        ]
    new_year = datetime(2026, 12, 31, 16, tzinfo=UTC)
    for at, month in ((new_year - timedelta(microseconds=1), "202612"), (new_year, "202701")):
        found = await tx.fetchval(
            """INSERT INTO message_in (msisdn, received_at, id, called, raw, link, link_message_id)
               VALUES ('8613800000000', $1, gen_random_uuid(), '10010', '', 'sandbox', '1')
               RETURNING tableoid::regclass::text""",
            at,
        )
        assert found == f"message_in_{month}"


@pytest.mark.parametrize(("ahead", "last"), [(timedelta(microseconds=1), "202703"), (timedelta(0), "202704")])  # fmt: skip
async def test_which_month_it_is_is_asked_in_shanghai(pool, owner, ahead, last):
    await run(pool, datetime(2026, 12, 31, 16, tzinfo=UTC) - ahead)
    assert (await months(owner, "charge_record"))[-1]["month"] == last


async def test_two_at_once_make_each_month_once(pool, owner):
    told = await asyncio.gather(*[run(pool, DECEMBER) for _ in range(4)])
    assert sorted(told) == ["0 made", "0 made", "0 made", "25 made"]
    for table in PARTITIONED:
        found = [row["month"] for row in await months(owner, table)]
        assert found == FORTY_DAYS_BACK_TO_THREE_AHEAD
