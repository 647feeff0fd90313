"""Statements about sealed months. Writes `charge_month`; the database seals."""

from datetime import date, datetime

from spms.core.clock import business_month, next_month
from spms.core.db import Connection

LONGEST_SECONDS = 3500
"""Writing a month anew takes minutes for fifty million records; the job's slot ends after an hour."""
PATIENCE = f"SELECT set_config('statement_timeout', '{LONGEST_SECONDS}s', true)"

SEALED = "SELECT month FROM charge_month"


async def sealed(read: Connection) -> set[date]:
    """Return the months that take no record any more."""
    return {row["month"] for row in await read.fetch(SEALED)}


# Four days after its end: records come at most 72 hours late.
OVER = """
    SELECT to_date(right(c.relname, 6), 'YYYYMM') AS month
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'charge_record'::regclass
       AND NOT EXISTS (SELECT FROM charge_month m
                        WHERE m.month = to_date(right(c.relname, 6), 'YYYYMM'))
     ORDER BY month
"""
GRACE_DAYS = 4


async def over(read: Connection, *, now: datetime) -> list[date]:
    """Return months with a partition that are over and not sealed, the oldest first."""
    return [
        row["month"]
        for row in await read.fetch(OVER)
        if next_month(row["month"]) <= business_month(now)
        and (now.date() - next_month(row["month"])).days >= GRACE_DAYS
    ]


SEAL = "SELECT seal_charge_month($1, $2)"


async def seal(tx: Connection, month: date, *, now: datetime) -> bool:
    """Write a month anew in the order of bills and close it; False when it was sealed already."""
    await tx.execute(PATIENCE)
    return bool(await tx.fetchval(SEAL, month, now, timeout=LONGEST_SECONDS))
