"""Judges charges again that a fact recorded later makes wrong: a late TD, a late number event.

Runs every five minutes and looks a week back. Writes findings; refunds follow by themselves.
"""

from datetime import datetime

from spms.charging import actions as charging
from spms.core.access import Actor
from spms.core.db import Connection


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:
    """Judge again what is affected."""
    return f"{await charging.reaudit_recent(tx, now=now, actor=actor)} found wrong"
