"""All that was decided about one number in a month. Writes nothing.

A charge's decision is found by its number. Messages are in packs, which have no index by number (to
keep one would cost more than to decide): their numbers are looked through, a bounded part of a month
at a time, in the order of the packs' key.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from spms.authorisation.packs import PackRow
from spms.authorisation.recorded_queries import DecidedRow
from spms.core.db import Connection, many

LOOKED_MAX: Final = 2_000_000
"""Decisions looked through by one statement: some 28 MB of numbers."""
PACKS_MAX: Final = 20_000

CHARGES = """
    SELECT msisdn, (facts -> 'number' ->> 'epoch')::integer AS epoch, decided_at, id, purpose,
           sp_id, service_id, service_code, access_number,
           price_fen, allowed, reasons, subscription_id, rulebook_version
      FROM authorisation
     WHERE msisdn = $1 AND decided_at >= $2 AND decided_at < $3
       AND (decided_at, id) < ($4, $5) AND ($6::uuid IS NULL OR sp_id = $6)
     ORDER BY decided_at DESC, id DESC LIMIT $7
"""


async def rows(
    read: Connection,
    msisdn: str,
    month: tuple[datetime, datetime],
    before: tuple[datetime, UUID],
    *,
    sp_id: UUID | None,
    limit: int,
) -> list[DecidedRow]:
    """Load a number's decisions that are rows of their own, newest first, before a key."""
    return many(
        DecidedRow, await read.fetch(CHARGES, msisdn, *month, *before, sp_id, limit)
    )  # fmt: skip


class Looked(NamedTuple):
    """How far packs were looked through, and those with the number."""

    packs: Sequence[PackRow]
    through: tuple[UUID, UUID] | None
    """Key of the last pack that was looked at; None: the month is through."""


# The numbers of a pack are 13 digits each, with commas between: what is found is a whole number.
PACKS = """
    WITH next AS (
        SELECT sp_id, id, decided_at, decisions FROM decision_pack
         WHERE decided_at >= $2 AND decided_at < $3 AND (sp_id, id) > ($4, $5) AND sp_id <= $6
         ORDER BY sp_id, id LIMIT $7
    ), summed AS (
        SELECT sp_id, id, decided_at, sum(decisions) OVER (ORDER BY sp_id, id) - decisions AS before,
               row_number() OVER (ORDER BY sp_id, id) AS n
          FROM next
    ), found AS (
        SELECT p.sp_id, p.id, p.decided_at, p.decisions, p.numbers, p.denied, p.body,
               p.requested_by, s.n
          FROM summed s
          JOIN decision_pack p
            ON p.sp_id = s.sp_id AND p.id = s.id AND p.decided_at = s.decided_at
         WHERE s.before < $8 AND position($1 in p.numbers) > 0
         ORDER BY p.sp_id, p.id LIMIT $9
    )
    SELECT f.sp_id, f.id, f.decided_at, f.decisions, f.numbers, f.denied, f.body, f.requested_by,
           l.sp_id AS last_sp_id, l.id AS last_id, l.more
      FROM (SELECT sp_id, id, (SELECT count(*) FROM next) = $7
                   OR n < (SELECT count(*) FROM next) AS more
              FROM summed WHERE before < $8 ORDER BY n DESC LIMIT 1) l
      LEFT JOIN found f ON true
     ORDER BY f.sp_id, f.id
"""
LAST: Final = UUID(int=2**128 - 1)


async def packs(
    read: Connection,
    msisdn: str,
    month: tuple[datetime, datetime],
    after: tuple[UUID, UUID],
    *,
    sp_id: UUID | None,
    limit: int,
) -> Looked:
    """Look through a bounded part of a month's packs after a key for those with a number."""
    found = await read.fetch(
        PACKS, msisdn, *month, *after, sp_id or LAST, PACKS_MAX, LOOKED_MAX, limit
    )
    if not found:
        return Looked((), None)
    last = found[0]
    packs = many(PackRow, [row for row in found if row["id"] is not None])
    if len(packs) == limit:
        return Looked(packs, (packs[-1].sp_id, packs[-1].id))
    return Looked(packs, (last["last_sp_id"], last["last_id"]) if last["more"] else None)
