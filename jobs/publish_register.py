"""Publishes the breaches that have become final, each under its audit number.

Weekly, Tuesdays at 02:00 in Shanghai (reference domain P14). A failed week is published late.
"""

from datetime import datetime

from spms.core.access import Actor
from spms.core.db import Connection
from spms.penalties import register_queries


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:  # noqa: ARG001
    """Publish what is final."""
    return f"{await register_queries.publish(tx, now=now)} published"
