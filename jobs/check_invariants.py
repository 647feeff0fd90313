"""Asks every room's invariants, and says in the slot's outcome which do not hold.

A run that finds something is done all the same: the finding is the outcome, and a warning in the log
names each offending id. Only the one that reads a whole month is left out while nothing has changed
there since it held; `spms invariants` always asks all of them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from spms.authorisation.invariant_queries import INVARIANTS as AUTHORISATION
from spms.charging.invariant_queries import INVARIANTS as CHARGING
from spms.compensation.invariant_queries import INVARIANTS as MONEY
from spms.core import invariants
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.invariants import Invariant
from spms.settlement import recount
from spms.settlement.invariant_queries import INVARIANTS as SETTLEMENT

INVARIANTS: Final[Sequence[Invariant]] = (*AUTHORISATION, *CHARGING, *MONEY, *SETTLEMENT)
"""All rooms' invariants: a room that has some is added here."""

log = structlog.get_logger()


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:  # noqa: ARG001 - no act
    """Ask all of them, but none that would read a month again in which nothing has changed."""
    seen = await recount.seen(tx)
    due = await recount.is_due(tx, seen, now=now)
    asked = [one for one in INVARIANTS if due or one.name != recount.READS_A_MONTH]
    found = await invariants.check(tx, asked)
    broken = [finding for finding in found if not finding.holds]
    for finding in broken:
        log.warning("invariant_broken", name=finding.name, offending=finding.offending)
    # What is broken is read, and told, again with every run.
    if seen is not None and due and recount.READS_A_MONTH not in {one.name for one in broken}:
        await recount.keep(tx, seen, now=now)
    if broken:
        return "broken: " + ", ".join(finding.name for finding in broken)
    return f"{len(found)} hold"
