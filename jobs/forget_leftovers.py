"""Drops what nobody needs any more: expired tokens, old idempotency keys, finished slots.

Runs once a day. History, evidence and money are never touched: the application's role could not.
"""

from datetime import datetime, timedelta

from spms.core import leftovers
from spms.core.access import Actor
from spms.core.db import Connection
from spms.messaging import actions as messaging
from spms.partners import webhook_actions as webhooks

KEEP = timedelta(days=7)


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:  # noqa: ARG001
    """Drop what is older than a week, and of messaging and webhooks what their rules do not keep."""
    dropped = await leftovers.forget(tx, before=now - KEEP)
    dropped += await messaging.forget(tx, now=now)
    return f"{dropped + await webhooks.forget(tx, now=now)} rows dropped"
