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


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    """A relation or a bar that was done with, or begun, by a clock that was ahead."""

    id: UUID
    over: bool


AHEAD = """
    SELECT x.id, x.ended_at IS NOT NULL AS over
      FROM subscription x
      LEFT JOIN consent c ON c.msisdn = x.msisdn AND c.subscription_id = x.id
      LEFT JOIN message_in m
             ON m.msisdn = c.msisdn AND m.received_at = c.message_received_at AND m.id = c.message_id
     WHERE x.msisdn = $1
       AND (x.ended_at > $2 AND x.ended_at <= $3 OR m.handled_at > $2 AND m.handled_at <= $3)
    UNION ALL
    SELECT id, true FROM number_bar WHERE msisdn = $1 AND ends_at > $2 AND ends_at <= $3
"""


async def ahead(read: Connection, msisdn: str, at: datetime, until: datetime) -> dict[UUID, bool]:
    """Return what is dated within `(at, until]` and may have been seen before; whether as over."""
    rows = many(Ahead, await read.fetch(AHEAD, msisdn, at, until))
    return {row.id: row.over for row in rows}


USED_LATER = "SELECT subscription_id FROM order_use WHERE msisdn = $1 AND used_at >= $2"


async def used_later(read: Connection, msisdn: str, at: datetime) -> set[UUID]:
    """Return the orders of a number that were used at an instant or after it."""
    return {row["subscription_id"] for row in await read.fetch(USED_LATER, msisdn, at)}


USED = """
    SELECT EXISTS (SELECT FROM order_use
                    WHERE msisdn = $1 AND subscription_id = $2 AND used_at > $3)
"""


async def used_since(read: Connection, msisdn: str, subscription_id: UUID, since: datetime) -> bool:
    """Whether an order was used after an instant."""
    found: bool = await read.fetchval(USED, msisdn, subscription_id, since)
    return found
