"""Escalates breaches whose cure date passed in silence; lifts what earlier years' cured ones brought.

Every ten minutes. A late run escalates late, to the SP's advantage; nothing is escalated twice.
"""

from datetime import datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.penalties import remedies


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Look at the cure dates."""
    return f"{await remedies.watch(tx, actor=actor, now=now)} escalated"
