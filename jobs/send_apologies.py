"""Sends every affected number an apology for breaches that ask for one, in chunks.

Every ten minutes. A worker that dies loses its chunk; the next goes on behind the last one that is
committed, and a number that has its letter gets no second one.
"""

from datetime import datetime

from jobs.timetable import Chunk
from spms.core.access import Actor
from spms.core.db import Connection
from spms.penalties import apologies


async def work(
    tx: Connection,
    *,
    position: str | None,
    actor: Actor,  # noqa: ARG001 - the messages are the operator's
    now: datetime,
) -> Chunk:
    """Send the next ones."""
    following, sent = await apologies.send_chunk(tx, position, now=now)
    return Chunk(words=f"{sent} sent" if sent else "everybody has theirs", position=following)
