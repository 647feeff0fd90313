"""Seals months of charge records that are over: closed, and written anew as bills read them.

Runs daily at 05:00 in Shanghai, a part of a month at a time. Bills of the numbers in that part wait
while it is written.
"""

from datetime import datetime

from jobs.timetable import Chunk
from spms.charging import sealing
from spms.core.access import Actor
from spms.core.db import Connection


async def work(
    tx: Connection,
    *,
    position: str | None,
    actor: Actor,  # noqa: ARG001 - nobody's own act
    now: datetime,
) -> Chunk:
    """Seal the next part of what is over."""
    month = await sealing.seal_next(tx, now=now)
    steps = int(position or 0)
    if month is None:
        return Chunk(words=f"sealed in {steps} steps")
    return Chunk(words=f"{month:%Y-%m} is being sealed", position=str(steps + 1))
