"""The messages under a fee for unbalanced ones, a page at a time. Writes nothing.

Those to people are decisions that let one go: most are in packs, whose key is followed and which hold
their numbers as a text; what was decided before there were packs is a row. Those from people are the
messages that came to the SP's numbers.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from spms.core.db import Connection, many
from spms.settlement.model import Window

PACKS_LOOKED: Final = 200
"""Packs that one statement looks at; those that let nothing go give no row."""
DECISIONS_LOOKED: Final = 200_000
"""No pack is opened once so many decisions were, some 3 MB of numbers; a pack has 65,536 at most."""


class MessageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One message."""

    msisdn: str
    epoch: int | None
    """Of whoever held the number then, as it was known then."""
    id: UUID
    """Of the decision that let it go, or of what came."""
    at: datetime


class PackedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pack of decisions without what they rest on."""

    id: UUID
    decided_at: datetime
    numbers: str | None
    """Null: it let nothing go."""
    denied: list[int] | None
    """Places from 1."""


# As many packs as hold a page's messages. Of the one in which the page before ended, $4, nobody knows
# how many are left, so that none of it count.
PACKED = """
    SELECT id, decided_at, numbers, denied
      FROM (SELECT id, decided_at, CASE WHEN went > 0 THEN numbers END AS numbers,
                   CASE WHEN went > 0 THEN denied END AS denied,
                   COALESCE(sum(CASE WHEN id = $4 THEN 0 ELSE went END) OVER before, 0) AS so_far,
                   COALESCE(sum(CASE WHEN went > 0 THEN decisions END) OVER before, 0) AS opened
              FROM (SELECT id, decided_at, decisions, numbers, denied,
                           decisions - cardinality(denied) AS went
                      FROM decision_pack
                     WHERE sp_id = $1 AND decided_at >= $2 AND decided_at < $3 AND id >= $4
                     ORDER BY id LIMIT $6) looked
            WINDOW before AS (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) counted
     WHERE so_far < $5 AND opened < $7
     ORDER BY id
"""


async def packed(
    read: Connection, sp_id: UUID, window: Window, *, first: UUID, limit: int
) -> list[PackedRow]:
    """Load an SP's packs from an id on, as they were decided: at most what `limit` messages need.

    None: there are no more in the month.
    """
    rows = await read.fetch(
        PACKED, sp_id, window.from_at, window.until_at, first, limit, PACKS_LOOKED,
        DECISIONS_LOOKED,
    )  # fmt: skip
    return many(PackedRow, rows)


HOLDERS = """
    SELECT a.msisdn, holder_epoch(a.msisdn, a.at, a.at) AS epoch, a.id, a.at
      FROM unnest($1::text[], $2::uuid[], $3::timestamptz[])
           WITH ORDINALITY AS a (msisdn, id, at, place)
     ORDER BY a.place
"""


async def with_holders(
    read: Connection, found: Sequence[tuple[str, UUID, datetime]]
) -> list[MessageRow]:
    """Add who held the numbers: all at once, in their order."""
    columns = [[each[n] for each in found] for n in range(3)]
    return many(MessageRow, await read.fetch(HOLDERS, *columns))


SINGLE = """
    SELECT msisdn, holder_epoch(msisdn, at, at) AS epoch, id, at
      FROM (SELECT a.msisdn, a.id, a.decided_at AS at
              FROM authorisation a
             WHERE a.sp_id = $1 AND a.decided_at >= $2 AND a.decided_at < $3 AND a.id > $4
               AND a.purpose = 'message' AND a.allowed
             ORDER BY a.id LIMIT $5) page
     ORDER BY id
"""


async def single(
    read: Connection, sp_id: UUID, window: Window, *, after: UUID, limit: int
) -> list[MessageRow]:
    """Load messages that were let go by decisions which are rows of their own, by id."""
    rows = await read.fetch(SINGLE, sp_id, window.from_at, window.until_at, after, limit)
    return many(MessageRow, rows)


# Each of the SP's numbers gives as many as a page has at most.
CAME = """
    SELECT msisdn, holder_epoch(msisdn, at, at) AS epoch, id, at
      FROM (SELECT m.msisdn, m.id, m.at
              FROM access_number n
             CROSS JOIN LATERAL (
                   SELECT i.msisdn, i.id, i.received_at AS at FROM message_in i
                    WHERE i.called = n.number AND i.received_at >= $2 AND i.received_at < $3
                      AND (i.received_at, i.id) > ($4, $5)
                    ORDER BY i.received_at, i.id LIMIT $6) m
             WHERE n.sp_id = $1
             ORDER BY m.at, m.id LIMIT $6) page
     ORDER BY at, id
"""


async def came(
    read: Connection, sp_id: UUID, window: Window, *, after: tuple[datetime, UUID], limit: int
) -> list[MessageRow]:
    """Load what came from people to the SP's numbers, oldest first."""
    rows = await read.fetch(CAME, sp_id, window.from_at, window.until_at, *after, limit)
    return many(MessageRow, rows)
