"""Anchors the heads of all hash chains that grew: one Merkle root for all of them.

Runs every ten minutes. Before that it tells what nobody told: prompts that were sent and delivered
meanwhile. If it fails, what happened since the last anchor rests on the database's rights alone;
the next run makes up for it. `carry_out_anchors` signs and writes the files.
"""

from datetime import datetime, timedelta

from spms.core import anchors
from spms.core.access import Actor
from spms.core.db import Connection
from spms.subscriptions import consent_log

BACK = timedelta(days=2)


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:  # noqa: ARG001
    """Tell what is not told, and anchor."""
    before = await anchors.latest(tx)
    since = anchors.BEGINNING if before is None else before.at - BACK
    told = await consent_log.record_all(tx, since=since, now=now)
    return f"{await anchors.make(tx, now=now)} chains anchored, {told} entries told late"
