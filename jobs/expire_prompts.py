"""Closes prompts that nobody answered, and on-demand orders past their time: silence is refusal.

Runs every minute. A late run does no harm: a reply after the window confirms nothing anyway.
"""

from datetime import datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.subscriptions import actions as subscriptions


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:  # noqa: ARG001
    """Close what is due."""
    return f"{await subscriptions.expire_due(tx, now=now)} closed"
