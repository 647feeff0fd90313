"""A replay judges by what was on record at the decision's instant, not by what is known since.

Facts carry the instant at which they hold, and two of them can reach the record after it: a
restriction is dated by the request that imposes or lifts it, whose transaction may still be under
way when a decision is made; and a number event that arrives late corrects what follows from the
events after it.
"""

from datetime import timedelta
from typing import Final

import msgspec

from spms.authorisation import hindsight_queries as queries
from spms.authorisation.dossier import Gathered
from spms.authorisation.queries import RecordedRow
from spms.core.db import Connection

UNDER_WAY: Final = timedelta(minutes=1)
"""Longer than any transaction lasts (see `core.db.SESSION`). What turned within it before a
decision is taken from the decision's own record; what turned earlier was there to be seen."""


async def as_known(read: Connection, gathered: Gathered, recorded: RecordedRow) -> Gathered:
    """Put back what was on record when this decision was made."""
    at, then = recorded.decided_at, recorded.facts
    turns = await queries.turns(read, recorded.sp_id, at - UNDER_WAY, at)
    seen = {one.id for one in then.restrictions}
    unseen = {turn.id for turn in turns if turn.began} - seen
    held = [one for one in gathered.restrictions if one.id not in unseen]
    lifted = {turn.id for turn in turns} - {one.id for one in held}
    held += [one for one in then.restrictions if one.id in lifted]
    numbers = []
    for number in gathered.numbers:
        before = await queries.standing(read, number.msisdn, number.event_id, at)
        numbers.append(
            number
            if before is None
            else msgspec.structs.replace(number, state=before.state, epoch=before.epoch)
        )
    return msgspec.structs.replace(gathered, restrictions=held, numbers=numbers)
