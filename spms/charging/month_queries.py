"""Statements about sealed months. Writes `charge_month`; the database seals."""

from datetime import date, datetime

from spms.core.clock import business_month, next_month
from spms.core.db import Connection

LONGEST_SECONDS = 3500
"""Writing a part anew takes a minute or two for six million records; a month that was made before
months had parts is one part. The job's chunk ends after an hour."""
PATIENCE = f"SELECT set_config('statement_timeout', '{LONGEST_SECONDS}s', true)"

SEALED = "SELECT month FROM charge_month"


async def sealed(read: Connection) -> set[date]:
    """Return the months that take no record any more."""
    return {row["month"] for row in await read.fetch(SEALED)}


# Four days after its end: records come at most 72 hours late. A part that was written anew is one
# whose table is marked as clustered.
OVER = """
    SELECT m.month FROM (
        SELECT inhrelid AS child, to_date(right(inhrelid::regclass::text, 6), 'YYYYMM') AS month
          FROM pg_inherits WHERE inhparent = 'charge_record'::regclass) m
     WHERE NOT EXISTS (SELECT FROM charge_month s WHERE s.month = m.month)
        OR EXISTS (SELECT FROM pg_partition_tree(m.child) p
                     JOIN pg_index i ON i.indrelid = p.relid AND i.indisprimary
                    WHERE p.isleaf AND NOT i.indisclustered)
     ORDER BY m.month
"""
GRACE_DAYS = 4


async def over(read: Connection, *, now: datetime) -> list[date]:
    """Return months with a partition that are over and not wholly sealed, the oldest first."""
    return [
        row["month"]
        for row in await read.fetch(OVER)
        if next_month(row["month"]) <= business_month(now)
        and (now.date() - next_month(row["month"])).days >= GRACE_DAYS
    ]


SEAL = "SELECT seal_charge_part($1, $2)"


async def seal(tx: Connection, month: date, *, now: datetime) -> bool:
    """Close a month, or write its next part in the order of bills; False when nothing is left."""
    await tx.execute(PATIENCE)
    return bool(await tx.fetchval(SEAL, month, now, timeout=LONGEST_SECONDS))
