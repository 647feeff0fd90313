"""Looks at what SPs did the day before and serves notice of what a person should decide.

Once a day at 03:00 in Shanghai. Writes proposed breaches, which the SP may answer and a second person
decides. It looks at the day before the one it runs on; that twice finds the same breaches.
"""

from datetime import datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.penalties import audits


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Look at yesterday."""
    return f"{await audits.look(tx, actor=actor, now=now)} findings"
