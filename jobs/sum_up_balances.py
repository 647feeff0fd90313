"""Sums up the days that are over per SP and account, so that a balance is quick to derive.

A snapshot is a cache: nothing depends on a run, and a second one finds the keys taken.
"""

from datetime import datetime

from spms.compensation import journal
from spms.core.access import Actor
from spms.core.db import Connection


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:  # noqa: ARG001 - keeps sums
    """Sum up."""
    return f"kept {await journal.take_snapshot(tx, now=now)} balances"
