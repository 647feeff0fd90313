"""A replay judges by what was on record at the decision's instant, not by what is known since.

Facts carry the instant at which they hold, and two of them can reach the record after it: a
restriction is dated by the request that imposes or lifts it, whose transaction may still be under
way when a decision is made; and a number event that arrives late corrects what follows from the
events after it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from spms.authorisation import hindsight_queries as queries
from spms.authorisation.dossier import NumberRow
from spms.authorisation.model import Facts
from spms.authorisation.queries import RecordedRow
from spms.core.db import Connection

UNDER_WAY: Final = timedelta(minutes=1)
"""Longer than any transaction lasts (see `core.db.SESSION`). What turned within it before a
decision is taken from the decision's own record; what turned earlier was there to be seen."""


async def numbers(read: Connection, rows: Sequence[NumberRow], *, at: datetime) -> list[NumberRow]:
    """Put back what followed from the numbers' events before a later record corrected it."""
    known = []
    for row in rows:
        before = await queries.standing(read, row.msisdn, row.event_id, at)
        known.append(
            row
            if before is None
            else msgspec.structs.replace(row, state=before.state, epoch=before.epoch)
        )
    return known


async def restricted(read: Connection, facts: Facts, recorded: RecordedRow) -> Facts:
    """Put back which restrictions were on record when this decision was made."""
    at, then = recorded.decided_at, recorded.facts
    turns = await queries.turns(read, recorded.sp_id, at - UNDER_WAY, at)
    seen = {one.id for one in then.restrictions}
    unseen = {turn.id for turn in turns if turn.began} - seen
    held = [one for one in facts.restrictions if one.id not in unseen]
    lifted = {turn.id for turn in turns} - {one.id for one in held}
    held += [one for one in then.restrictions if one.id in lifted]
    return msgspec.structs.replace(facts, restrictions=tuple(held))
