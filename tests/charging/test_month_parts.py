"""Months of charges in parts by number, and months that were begun before there were parts."""

from datetime import UTC, date, datetime, timedelta

import pytest

from spms.charging import sealing
from spms.core import migrate
from spms.core.clock import month_range
from spms.core.db import transaction

KINDS = """
    SELECT c.relname, c.relkind::text, (SELECT count(*) FROM pg_inherits p WHERE p.inhparent = c.oid)
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'charge_record'::regclass ORDER BY 1
"""


async def kinds(owner):
    return {name: (kind, parts) for name, kind, parts in await owner.fetch(KINDS)}


@pytest.fixture
async def whole(owner):
    """Make February and March as they were before there were parts."""
    for month in (date(2026, 2, 1), date(2026, 3, 1)):
        name = f"charge_record_{month:%Y%m}"
        first, end = month_range(month)
        await owner.execute(f"""
            ALTER TABLE charge_record DETACH PARTITION {name};
            DROP TABLE {name};
            CREATE TABLE {name} PARTITION OF charge_record FOR VALUES FROM ('{first}') TO ('{end}');
        """)


async def test_a_month_has_eight_parts_and_each_number_one(owner, tx, world):
    assert await kinds(owner) == {f"charge_record_20260{n}": ("p", 8) for n in range(1, 9)}
    await world.land(world.record(), world.record())
    parts = await tx.fetch("SELECT DISTINCT tableoid::regclass::text FROM charge_record")
    assert len(parts) == 1


async def test_a_month_with_rows_stays_whole_and_one_made_ahead_is_made_again(
    owner, pool, world, whole
):
    world.now = datetime(2026, 2, 28, 15, 0, tzinfo=UTC)
    await world.land(*(world.record(charged_at=world.now - timedelta(hours=n)) for n in (3, 1, 2)))
    (parts,) = [m for m in migrate.read() if m.name == "0127_months_in_parts.sql"]
    await owner.execute(parts.sql)
    found = await kinds(owner)
    assert found["charge_record_202602"] == ("r", 0)
    assert found["charge_record_202603"] == ("p", 8)

    months, now = [], datetime(2026, 3, 5, 21, tzinfo=UTC)
    async with transaction(pool) as work:
        while month := await sealing.seal_next(work, now=now):
            months.append(month)
    assert months.count(date(2026, 2, 1)) == 2  # closed, and written in one piece
    rows = await owner.fetch("SELECT charged_at FROM charge_record_202602 ORDER BY ctid")
    assert rows == sorted(rows)
    assert len(rows) == 3
