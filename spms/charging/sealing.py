"""Months that are over are sealed: written anew as bills read them, and closed to late records."""

from datetime import date, datetime

from spms.charging import month_queries
from spms.core.db import Connection


async def seal_months(tx: Connection, *, now: datetime) -> list[date]:
    """Seal months that are over so long that no record of them can come any more; return them."""
    return [
        month
        for month in await month_queries.over(tx, now=now)
        if await month_queries.seal(tx, month, now=now)
    ]
