"""Gives back charges that were held and not captured in time.

Runs every minute. A late run does no harm but to the person's caps: past its time nothing can be
captured, whether this job has seen it or not. Several at once skip what another one holds.
"""

from datetime import datetime

from spms.authorisation import reservations
from spms.core.access import Actor
from spms.core.db import Connection


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Give back what is due."""
    return f"{await reservations.expire(tx, actor=actor, now=now)} given back"
