"""Sums up the months that are over: how soon every SP's hotlines answered.

Runs once a day at 04:00 in Shanghai. A month that is summed up stays as it is.
"""

from datetime import datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.inspections import proving


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:  # noqa: ARG001 - nobody's act
    """Sum up what is not summed up yet."""
    return await proving.sum_up_months(tx, now=now)
