"""Reminds of monthly relations that renew, from noon of the day before the last of a month.

Runs every ten minutes and does nothing before its time. Each relation is reminded of each month
once; a missed slot is made up for by the next.
"""

from datetime import datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.subscriptions import reminders


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:  # noqa: ARG001
    """Remind of what renews next."""
    return f"{await reminders.remind(tx, now=now)} relations reminded"
