"""Seals months of charge records that are over: written anew as bills read them, and closed.

Runs daily at 05:00 in Shanghai. Bills of that month wait while it is written.
"""

from datetime import datetime

from spms.charging import sealing
from spms.core.access import Actor
from spms.core.db import Connection


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:  # noqa: ARG001
    """Seal what is over."""
    return f"{len(await sealing.seal_months(tx, now=now))} sealed"
