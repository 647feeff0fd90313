"""Anchors the heads of all hash chains that grew: consents, the book, calls; one Merkle root.

Runs every ten minutes. Before that it tells what nobody told: prompts that were sent and delivered
meanwhile. If it fails, what happened since the last anchor rests on the database's rights alone;
the next run makes up for it. `carry_out_anchors` signs and writes the files.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from spms.compensation import journal
from spms.core import anchors
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.heads import Chains
from spms.inspections import call_log
from spms.subscriptions import consent_log

BACK = timedelta(days=2)
CHAINS: Sequence[Chains] = (journal.CHAINS, call_log.CHAINS)
"""The kinds of chains that rooms keep in tables of their own."""


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:  # noqa: ARG001
    """Tell what is not told, and anchor."""
    before = await anchors.latest(tx)
    since = anchors.BEGINNING if before is None else before.at - BACK
    told = await consent_log.record_all(tx, since=since, now=now)
    return f"{await anchors.make(tx, now=now, others=CHAINS)} chains anchored, {told} entries told late"
