"""Holds reservations against charges: charged and never delivered, delivered and never charged.

Runs every hour and looks ten days back. Writes suspicions (or findings) and observations.
"""

from datetime import datetime

from spms.charging import deliveries
from spms.core.access import Actor
from spms.core.db import Connection


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Look at what had its time."""
    doubted = await deliveries.reaudit_reserved(tx, now=now, actor=actor)
    uncharged = await deliveries.count_uncharged(tx, now=now)
    return f"{doubted} charged and not delivered, {uncharged} delivered and not charged"
