"""Statements on what a link delivered under no number of ours. Writes message_in_stray only."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many
from spms.messaging.model import Stray, StrayShown

KEEP = """
    INSERT INTO message_in_stray AS s (link, digest, id, why, raw, first_at, last_at, times)
    SELECT $1, sha256(n.raw), (array_agg(n.id))[1], min(n.why), n.raw, $2, $2, count(*)
      FROM unnest($3::uuid[], $4::text[], $5::bytea[]) AS n (id, why, raw)
     GROUP BY n.raw ORDER BY sha256(n.raw)
    ON CONFLICT (link, digest) DO UPDATE
       SET times = s.times + excluded.times, last_at = excluded.last_at
"""


async def keep(tx: Connection, link: str, strays: Sequence[Stray], now: datetime) -> None:
    """Keep strays; one that came before is counted."""
    await tx.execute(
        KEEP, link, now, [one.id for one in strays], [one.why for one in strays],
        [one.raw for one in strays],
    )  # fmt: skip


PAGE = """
    SELECT id, link, why, first_at, last_at, times FROM message_in_stray
     WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2
"""


async def page(read: Connection, before: UUID | None, limit: int) -> list[StrayShown]:
    """List strays, newest first, without what was in them."""
    return many(StrayShown, await read.fetch(PAGE, before, limit))


RAW = "SELECT raw FROM message_in_stray WHERE id = $1"


async def raw(read: Connection, stray_id: UUID) -> bytes | None:
    """Return what came, octet by octet."""
    found: bytes | None = await read.fetchval(RAW, stray_id)
    return found


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How many strays a link brought since an instant."""

    contents: int
    times: int


COUNT = """
    SELECT count(*) AS contents, COALESCE(sum(times), 0)::bigint AS times FROM message_in_stray
     WHERE link = $1 AND last_at > $2
"""


async def count(read: Connection, link: str, since: datetime) -> Counted:
    """Count what came over a link under no number since an instant."""
    return many(Counted, await read.fetch(COUNT, link, since))[0]


FORGET = "DELETE FROM message_in_stray WHERE last_at < $1"


async def forget(tx: Connection, before: datetime) -> int:
    """Drop strays that have not come again since an instant."""
    return changed(await tx.execute(FORGET, before))
