"""What was not on record yet at a decision's instant, though it is dated before it. Only reads."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, many, one


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A restriction that began or was lifted within a span."""

    id: UUID
    began: bool


TURNS = """
    SELECT id, starts_at > $2 AS began FROM restriction
     WHERE sp_id = $1
       AND (starts_at > $2 AND starts_at <= $3
            OR ends_at > $2 AND ends_at <= $3 AND lifted_by IS NOT NULL)
"""


async def turns(read: Connection, sp_id: UUID, since: datetime, until: datetime) -> list[Turn]:
    """List which of an SP's restrictions began or were lifted in `(since, until]`."""
    return many(Turn, await read.fetch(TURNS, sp_id, since, until))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What followed from a number event before a later record corrected it."""

    state: str
    epoch: int


CORRECTED = """
    SELECT state_before AS state, epoch_before AS epoch FROM number_correction
     WHERE msisdn = $1 AND event_id = $2 AND replaced_at > $3
     ORDER BY replaced_at LIMIT 1
"""


async def standing(read: Connection, msisdn: str, event_id: UUID, at: datetime) -> Standing | None:
    """Return what was held to follow from an event at an instant; None: what is held now."""
    return one(Standing, await read.fetchrow(CORRECTED, msisdn, event_id, at))


USED = """
    SELECT EXISTS (SELECT FROM order_use
                    WHERE msisdn = $1 AND subscription_id = $2 AND used_at > $3)
"""


async def used_since(read: Connection, msisdn: str, subscription_id: UUID, since: datetime) -> bool:
    """Whether an order was used after an instant."""
    found: bool = await read.fetchval(USED, msisdn, subscription_id, since)
    return found
