"""Every statement about packs of decisions. Writes `decision_pack`, and only adds to it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.authorisation.packs import PLACES, PackRow, pack_id
from spms.core.db import Connection, many, one

KEEP = """
    INSERT INTO decision_pack (sp_id, id, decided_at, decisions, numbers, denied, body, requested_by)
    SELECT sp_id, id, $1, decisions, numbers, string_to_array(denied, ',')::integer[], body,
           requested_by
      FROM unnest($2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::text[], $7::bytea[],
                  $8::text[])
           AS p (sp_id, id, decisions, numbers, denied, body, requested_by)
"""


async def keep(tx: Connection, packs: Sequence[PackRow], *, now: datetime) -> None:
    """Record decisions about messages."""
    await tx.execute(
        KEEP, now,
        [pack.sp_id for pack in packs],
        [pack.id for pack in packs],
        [pack.decisions for pack in packs],
        [pack.numbers for pack in packs],
        [",".join(map(str, pack.denied)) for pack in packs],
        [pack.body for pack in packs],
        [pack.requested_by for pack in packs],
    )  # fmt: skip


GET = """
    SELECT sp_id, id, decided_at, decisions, numbers, denied, body, requested_by
      FROM decision_pack WHERE id = $1
"""


async def get(read: Connection, pack_id: UUID) -> PackRow | None:
    """Load one pack."""
    return one(PackRow, await read.fetchrow(GET, pack_id))


# Only as many packs as hold a page's decisions. Of the one in which the page before ended, $4, those
# count that lie before that place, $5.
PAGE = """
    SELECT p.sp_id, p.id, p.decided_at, p.decisions, p.numbers, p.denied, p.body, p.requested_by
      FROM (SELECT id, decided_at, sum(left_over) OVER (ORDER BY id DESC) - left_over AS newer
              FROM (SELECT id, decided_at,
                           CASE WHEN id = $4 THEN LEAST(decisions, $5) ELSE decisions END
                               AS left_over
                      FROM decision_pack
                     WHERE sp_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3 + 1) newest) counted
      JOIN decision_pack p
        ON p.sp_id = $1 AND p.id = counted.id AND p.decided_at = counted.decided_at
     WHERE counted.newer < $3
     ORDER BY p.id DESC
"""


async def page(read: Connection, sp_id: UUID, *, before: UUID, limit: int) -> list[PackRow]:
    """Load an SP's newest packs that hold `limit` decisions with smaller ids than `before`."""
    place = before.int % PLACES
    return many(PackRow, await read.fetch(PAGE, sp_id, before, limit, pack_id(before), place))
