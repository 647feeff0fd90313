"""Months that are over are sealed: closed to late records, and written anew as bills read them."""

from datetime import date, datetime

from spms.charging import month_queries
from spms.core.db import Connection


async def seal_next(tx: Connection, *, now: datetime) -> date | None:
    """Close the oldest month of which no record can come any more, or write its next part anew.

    Return the month; None when there is nothing to seal.
    """
    for month in await month_queries.over(tx, now=now):
        if await month_queries.seal(tx, month, now=now):
            return month
    return None
