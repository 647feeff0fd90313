"""Keeps the calendar of settlement: opens months, takes silence for assent, hands sheets over.

Runs once a day, just after midnight in Shanghai. A missed day is made up for by the next: what is
due is found by date, and everything is dated as it was due. A second run finds nothing to do.
"""

from datetime import datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.settlement import calendar


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Do what the day brings."""
    return await calendar.keep(tx, actor=actor, now=now)
