"""Every statement about deliveries: what is due at an endpoint, each try, and replays.

Writes webhook_delivery and webhook_attempt. Whoever changes an endpoint and its deliveries in one
transaction takes the endpoint first (`webhook_queries`).
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many
from spms.partners.webhook_model import Answer, Attempt, DeliveryState, Letter, NewReplay

GIVE_UP_OPEN = """
    UPDATE webhook_delivery SET state = 'given_up', lease = NULL, done_at = $2
     WHERE endpoint_id = $1 AND state IN ('waiting', 'sending')
"""


async def give_up_open(tx: Connection, endpoint_id: UUID, *, at: datetime) -> None:
    """Give up everything that waits for an endpoint."""
    await tx.execute(GIVE_UP_OPEN, endpoint_id, at)


TAKE = """
    WITH room AS (
        SELECT p.id, CASE WHEN p.failing_since IS NULL THEN $3::integer ELSE 1 END
               - (SELECT count(*) FROM webhook_delivery f
                   WHERE f.endpoint_id = p.id AND f.state = 'sending' AND f.due_at > $2) AS free
          FROM webhook_endpoint p WHERE p.id = ANY ($1::uuid[])
    ), picked AS (
        SELECT d.endpoint_id, d.position FROM room CROSS JOIN LATERAL (
            SELECT o.endpoint_id, o.position, o.due_at FROM webhook_delivery o
             WHERE o.endpoint_id = room.id AND o.state IN ('waiting', 'sending') AND o.due_at <= $2
               AND NOT EXISTS (
                   SELECT FROM webhook_delivery b
                    WHERE b.endpoint_id = o.endpoint_id AND b.subject = o.subject
                      AND b.position < o.position AND b.state IN ('waiting', 'sending'))
             ORDER BY o.due_at, o.position LIMIT GREATEST(room.free, 0)
             FOR UPDATE SKIP LOCKED) AS d
         ORDER BY d.due_at LIMIT $4
    )
    UPDATE webhook_delivery d SET state = 'sending', due_at = $5, lease = gen_random_uuid()
      FROM picked
      JOIN webhook_endpoint p ON p.id = picked.endpoint_id
      JOIN partner_event e ON e.sp_id = p.sp_id AND e.position = picked.position
     WHERE d.endpoint_id = picked.endpoint_id AND d.position = picked.position
    RETURNING d.endpoint_id, d.position, d.lease, d.tries, d.round_at, p.url, e.id, e.type,
              e.subject, e.occurred_at AS timestamp, e.data
"""


async def take(
    tx: Connection, endpoint_ids: Sequence[UUID], *, parallel: int, limit: int, now: datetime,
    lease_until: datetime,
) -> list[Letter]:  # fmt: skip
    """Take what is due for endpoints held, of each subject the oldest that is not through.

    At most `parallel` at once at one endpoint, one while it fails.
    """
    rows = await tx.fetch(TAKE, list(endpoint_ids), now, parallel, limit, lease_until)
    return many(Letter, rows)


FINISH_TRY = """
    UPDATE webhook_delivery
       SET state = $4, lease = NULL, tries = tries + 1, due_at = COALESCE($5, due_at),
           done_at = CASE WHEN $4 = 'waiting' THEN NULL ELSE $6::timestamptz END,
           first_delivered_at = COALESCE(first_delivered_at,
                                         CASE WHEN $4 = 'delivered' THEN $6::timestamptz END)
     WHERE endpoint_id = $1 AND position = $2 AND lease = $3
"""


async def finish_try(
    tx: Connection, letter: Letter, state: DeliveryState, *, due_at: datetime | None, now: datetime
) -> bool:
    """Write how far a delivery has come; False when its lease has gone to another."""
    done = await tx.execute(
        FINISH_TRY, letter.endpoint_id, letter.position, letter.lease, state, due_at, now
    )
    return changed(done) == 1


ADD_ATTEMPT = """
    INSERT INTO webhook_attempt
        (id, endpoint_id, position, at, result, http_status, duration_ms, response_start)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def add_attempt(
    tx: Connection, attempt_id: UUID, letter: Letter, answer: Answer, *, at: datetime
) -> None:
    """Store what came of one try."""
    await tx.execute(
        ADD_ATTEMPT, attempt_id, letter.endpoint_id, letter.position, at, answer.result,
        answer.http_status, answer.duration_ms, answer.response_start,
    )  # fmt: skip


ATTEMPTS = """
    SELECT a.id, a.position, e.id AS event_id, a.at, a.result, a.http_status, a.duration_ms,
           a.response_start
      FROM webhook_attempt a
      JOIN webhook_endpoint p ON p.id = a.endpoint_id
      JOIN partner_event e ON e.sp_id = p.sp_id AND e.position = a.position
     WHERE a.endpoint_id = $1 AND ($2::uuid IS NULL OR a.id < $2)
     ORDER BY a.id DESC LIMIT $3
"""


async def attempts(
    read: Connection, endpoint_id: UUID, before: UUID | None, limit: int
) -> list[Attempt]:
    """List the tries at an endpoint, newest first."""
    return many(Attempt, await read.fetch(ATTEMPTS, endpoint_id, before, limit))


FORGET_ATTEMPTS = "DELETE FROM webhook_attempt WHERE at < $1"


async def forget_attempts(tx: Connection, before: datetime) -> int:
    """Drop tries from before an instant; what was delivered stays known by its delivery."""
    return changed(await tx.execute(FORGET_ATTEMPTS, before))


REPLAY = """
    WITH wanted AS (
        SELECT e.sp_id, e.position, e.subject
          FROM webhook_endpoint p JOIN partner_event e ON e.sp_id = p.sp_id
         WHERE p.id = $1 AND e.position >= $2 AND ($3::bigint IS NULL OR e.position <= $3)
           AND ($4::timestamptz IS NULL OR e.occurred_at >= $4)
           AND ($5::timestamptz IS NULL OR e.occurred_at <= $5)
           AND (cardinality(p.types) = 0 OR e.type = ANY (p.types))
         ORDER BY e.position LIMIT $6
    ), queued AS (
        INSERT INTO webhook_delivery AS d
            (endpoint_id, position, sp_id, subject, state, due_at, round_at)
        SELECT $1, position, sp_id, subject, 'waiting', $7, $7 FROM wanted ORDER BY position
        ON CONFLICT (endpoint_id, position) DO UPDATE
           SET state = 'waiting', due_at = $7, round_at = $7, tries = 0, lease = NULL,
               replays = d.replays + 1, done_at = NULL
         WHERE d.state IN ('delivered', 'given_up')
        RETURNING position
    )
    SELECT (SELECT count(*) FROM queued) AS queued, (SELECT count(*) FROM wanted) AS wanted,
           (SELECT max(position) FROM wanted) AS last
"""


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found and queued."""

    queued: int
    wanted: int
    last: int | None


async def replay(
    tx: Connection, endpoint_id: UUID, asked: NewReplay, *, limit: int, now: datetime
) -> Queued:
    """Queue events again, the oldest first; what is on its way already stays there."""
    row = await tx.fetchrow(
        REPLAY, endpoint_id, asked.from_position or 1, asked.to_position, asked.from_time,
        asked.to_time, limit, now,
    )  # fmt: skip
    return msgspec.convert(dict(row or {}), Queued)
