"""Tells each number by SMS what its bill of the month before came to, in chunks.

Daily at 10:00 in Shanghai; it does something on three days of a month. Each holder of a number is
told of each month once, whatever dies or runs twice.
"""

from datetime import datetime

from jobs.timetable import Chunk
from spms.charging import summaries
from spms.core.access import Actor
from spms.core.db import Connection


async def work(
    tx: Connection,
    *,
    position: str | None,
    actor: Actor,  # noqa: ARG001 - the messages are the operator's
    now: datetime,
) -> Chunk:
    """Tell the next numbers."""
    following, told = await summaries.push(tx, position, now=now)
    return Chunk(words=f"{told} told in the last chunk", position=following)
