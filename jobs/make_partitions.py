"""Makes month partitions ahead, so that no row ever waits for one.

Runs every six hours. Writes no rows. If it fails for three months, inserts fail with 503.
"""

from datetime import datetime

from spms.core import partitions
from spms.core.access import Actor
from spms.core.db import Connection


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:  # noqa: ARG001
    """Make what is missing."""
    return f"{await partitions.make_partitions(tx, now=now)} made"
