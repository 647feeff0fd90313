"""Month partitions, made ahead so that no row ever waits for one."""

from datetime import date, datetime, timedelta

from spms.core.clock import business_month, next_month
from spms.core.db import Connection

PARTITIONED = ("message_in", "message_out", "authorisation", "decision_pack", "charge_record")
BACK_DAYS = 40
AHEAD_MONTHS = 3

MAKE = "SELECT make_month_partition($1, $2)"


def months(now: datetime) -> list[date]:
    """Return the months that need partitions: the last one, this one and three ahead."""
    month = business_month(now - timedelta(days=BACK_DAYS))
    last = business_month(now)
    for _ in range(AHEAD_MONTHS):
        last = next_month(last)
    found = []
    while month <= last:
        found.append(month)
        month = next_month(month)
    return found


async def make_partitions(tx: Connection, *, now: datetime) -> int:
    """Make the partitions that are missing and return how many were."""
    made = 0
    for table in PARTITIONED:
        for month in months(now):
            made += bool(await tx.fetchval(MAKE, table, month))
    return made
