"""Draws the day's spot checks of hotlines, unannounced.

Runs once a day at 10:00 in Shanghai. The seed's hash is published with the plan.
"""

from datetime import datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.inspections import actions as inspections


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Draw one plan."""
    return await inspections.draw_daily(tx, actor=actor, now=now)
