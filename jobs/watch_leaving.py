"""Watches the 12 h clocks of leavings through agents: done, or run out.

Runs every minute. A clock that ran out becomes an outbox item and stays on its row; a missed slot
is made up for by the next.
"""

from datetime import datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.subscriptions import duties


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Look at the clocks that run."""
    return f"{await duties.watch(tx, actor=actor, now=now)} clocks stopped"
