"""Makes breaches final whose time to appeal is over; books their fines, cuts, orders apologies.

Every five minutes. Nothing is collected while an appeal is open; a late run collects late.
"""

from datetime import datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.penalties import collecting


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Collect what is due."""
    return f"{await collecting.collect(tx, actor=actor, now=now)} fines booked"
