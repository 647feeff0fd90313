"""When the charges of a month that was counted are to be read through again.

To compare a month with what was counted of it is to read it whole. A month that is counted has long
been sealed, and nothing should change in it any more: so it is read again when something did, and once
a day in any case, because whoever can change a sealed month may also know how not to be counted.
"""

from datetime import datetime, timedelta
from typing import Final

from spms.core.db import Connection
from spms.settlement import recount_queries
from spms.settlement.recount_queries import Seen

READS_A_MONTH: Final = "charges_are_counted"
"""The invariant that this is about."""
AT_LEAST_EVERY: Final = timedelta(hours=23)
"""An hour less than a day, so that one run in each day reads, however late a run before it was."""


async def seen(tx: Connection) -> Seen | None:
    """Look at what could show a change, before anything is read: None while no month is counted."""
    return await recount_queries.seen(tx)


async def is_due(tx: Connection, found: Seen | None, *, now: datetime) -> bool:
    """Whether the month is to be read: something has changed since it was right, or a day is over."""
    if found is None:
        return True  # there is nothing to read then
    at = await recount_queries.read_at(tx, found)
    return at is None or not timedelta() <= now - at < AT_LEAST_EVERY


async def keep(tx: Connection, found: Seen, *, now: datetime) -> None:
    """Keep that the month was read, after `found` was seen, and is what was counted."""
    await recount_queries.keep(tx, found, now=now)
