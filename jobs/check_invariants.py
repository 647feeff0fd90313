"""Asks every room's invariants, and says in the slot's outcome which do not hold.

Reads only. A run that finds something is done all the same: the finding is the outcome, and a
warning in the log names each offending id.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from spms.authorisation.invariant_queries import INVARIANTS as AUTHORISATION
from spms.compensation.invariant_queries import INVARIANTS as MONEY
from spms.core import invariants
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.invariants import Invariant
from spms.settlement.invariant_queries import INVARIANTS as SETTLEMENT

INVARIANTS: Final[Sequence[Invariant]] = (*AUTHORISATION, *MONEY, *SETTLEMENT)
"""All rooms' invariants: a room that has some is added here."""

log = structlog.get_logger()


async def work(tx: Connection, *, actor: Actor, now: datetime) -> str:  # noqa: ARG001 - reads only
    """Ask all of them."""
    found = await invariants.check(tx, INVARIANTS)
    broken = [finding for finding in found if not finding.holds]
    for finding in broken:
        log.warning("invariant_broken", name=finding.name, offending=finding.offending)
    if broken:
        return "broken: " + ", ".join(finding.name for finding in broken)
    return f"{len(found)} hold"
