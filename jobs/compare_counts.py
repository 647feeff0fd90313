"""Compares what was delivered, charged and billed again, one day a transaction.

Runs once a night over the days of the last two months that any side told of: charges may have come
since. Then it serves notice of differences that no SP explained in its time.
"""

from datetime import date, datetime

from jobs.timetable import Chunk
from spms.core.access import Actor
from spms.core.db import Connection
from spms.settlement import calendar


async def work(tx: Connection, *, position: str | None, actor: Actor, now: datetime) -> Chunk:
    """Compare the day after `position`, or begin with the earliest."""
    after = None if position is None else date.fromisoformat(position)
    day, words = await calendar.compare(tx, after, actor=actor, now=now)
    return Chunk(words=words, position=None if day is None else day.isoformat())
