"""Every statement about the feed.

Writes partner_event, event_feed_head, event_feed_read and webhook_delivery.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.core.db import Connection, changed, many
from spms.partners.event_feed_model import FeedEvent, News

TELL = """
    INSERT INTO partner_event (id, sp_id, type, subject, occurred_at, data)
    SELECT id, sp_id, type, subject, occurred_at, data
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::jsonb[])
           WITH ORDINALITY AS told (id, sp_id, type, subject, occurred_at, data, n)
     ORDER BY n
    ON CONFLICT (id) DO NOTHING
"""


async def tell(tx: Connection, news: Sequence[News]) -> None:
    """Store news in the order given; what was stored before stays as it is."""
    await tx.execute(
        TELL, [one.id for one in news], [one.sp_id for one in news], [one.type for one in news],
        [one.subject for one in news], [one.occurred_at for one in news],
        [one.data for one in news],
    )  # fmt: skip


TURN = "SELECT pg_try_advisory_xact_lock(hashtext('event feed'))"


async def take_turn(tx: Connection) -> bool:
    """Become the one who numbers until the transaction ends; False while another is."""
    mine: bool = await tx.fetchval(TURN)
    return mine


NUMBER = """
    WITH taken AS MATERIALIZED (
        SELECT id, sp_id, row_number() OVER (PARTITION BY sp_id ORDER BY seq) AS n,
               count(*) OVER (PARTITION BY sp_id) AS size
          FROM (SELECT id, sp_id, seq FROM partner_event
                 WHERE position IS NULL ORDER BY seq LIMIT $1) AS oldest
    ), head AS (
        INSERT INTO event_feed_head AS h (sp_id, position)
        SELECT DISTINCT sp_id, size FROM taken
        ON CONFLICT (sp_id) DO UPDATE SET position = h.position + EXCLUDED.position
        RETURNING sp_id, position
    ), numbered AS (
        UPDATE partner_event e
           SET position = head.position - taken.size + taken.n, told_at = $2
          FROM taken JOIN head ON head.sp_id = taken.sp_id
         WHERE e.id = taken.id AND e.position IS NULL
        RETURNING e.sp_id, e.position, e.type, e.subject
    ), addressed AS (
        INSERT INTO webhook_delivery (endpoint_id, position, sp_id, subject, state, due_at, round_at)
        SELECT p.id, n.position, n.sp_id, n.subject, 'waiting', $2, $2
          FROM numbered n JOIN webhook_endpoint p ON p.sp_id = n.sp_id
         WHERE p.state IN ('enabled', 'paused')
           AND (cardinality(p.types) = 0 OR n.type = ANY (p.types))
    )
    SELECT count(*) FROM numbered
"""


async def number(tx: Connection, *, limit: int, now: datetime) -> int:
    """Give the next positions of their SPs' feeds to committed events; queue them for endpoints."""
    count: int = await tx.fetchval(NUMBER, limit, now)
    return count


PAGE = """
    SELECT id, position, type, subject, occurred_at AS timestamp, data FROM partner_event
     WHERE sp_id = $1 AND position > $2 ORDER BY position LIMIT $3
"""


async def page(read: Connection, sp_id: UUID, after: int, limit: int) -> list[FeedEvent]:
    """Load an SP's events behind a position, in order."""
    return many(FeedEvent, await read.fetch(PAGE, sp_id, after, limit))


READ_TO = """
    WITH further AS (
        UPDATE event_feed_head SET read_position = $2, read_at = $3
         WHERE sp_id = $1 AND read_position < $2
        RETURNING sp_id
    )
    INSERT INTO event_feed_read (sp_id, position, at) SELECT sp_id, $2, $3 FROM further
    ON CONFLICT DO NOTHING
"""


async def read_to(tx: Connection, sp_id: UUID, position: int, *, now: datetime) -> None:
    """Remember how far an SP has read, and since when; it never reads back."""
    await tx.execute(READ_TO, sp_id, position, now)


FORGET_READS = "DELETE FROM event_feed_read WHERE at < $1"


async def forget_reads(tx: Connection, before: datetime) -> int:
    """Drop when SPs came further before an instant; how far they have come stays known."""
    return changed(await tx.execute(FORGET_READS, before))
