"""Draws the responsible persons of SPs for the quarter's call to their mobiles.

Runs once a day at 10:00 in Shanghai, so that an SP that starts later in the quarter has its turn.
"""

from datetime import datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.inspections import proving


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Draw whoever was not drawn in this quarter."""
    return await proving.draw_persons(tx, actor=actor, now=now)
