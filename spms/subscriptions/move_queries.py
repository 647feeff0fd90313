"""How a relation moves and ends. Writes `subscription` and `subscription_event` only.

What makes a relation is in `order_queries`.
"""

from datetime import datetime, timedelta
from uuid import UUID

from spms.core.db import Connection, changed
from spms.core.ids import new_id
from spms.subscriptions.model import Subscription
from spms.subscriptions.rules import Change

APPLY = """
    WITH moved AS (
        UPDATE subscription SET status = $4, end_reason = $5,
               ended_at = CASE WHEN $4 IN ('ended', 'refused', 'expired') THEN $7::timestamptz END
         WHERE msisdn = $1 AND id = $2 AND status = $3 AND (ended_at IS NULL OR ended_at > $7)
        RETURNING msisdn, id
    )
    INSERT INTO subscription_event
        (msisdn, id, subscription_id, action, from_status, to_status, at, actor, reason, cause,
         message_id)
    SELECT msisdn, $9, id, $6, $3, $4, $7, $8, $10, $11, $12 FROM moved
"""


async def apply(
    tx: Connection, current: Subscription, change: Change, *, actor: str, reason: str | None,
    message_id: UUID | None = None,
) -> bool:  # fmt: skip
    """Move the status and write its history line together; False when it moved meanwhile.

    The end of what is over moves to an earlier instant only.

    The line cites the message that the move follows from, if there is one.
    """
    done = await tx.execute(
        APPLY, current.msisdn, current.id, change.before, change.after, change.end_reason,
        change.action, change.at, actor, new_id(), reason, change.cause,
        message_id,
    )  # fmt: skip
    return changed(done) == 1


EXPIRE = """
    WITH due AS (
        SELECT s.msisdn, s.id FROM subscription s
         WHERE s.status = 'awaiting' AND s.confirm_by <= $1 AND ($2::text IS NULL OR s.msisdn = $2)
           AND NOT EXISTS (SELECT FROM message_in m
                            WHERE m.msisdn = s.msisdn AND m.handled_at IS NULL
                              AND m.received_at >= s.requested_at AND m.received_at < s.confirm_by)
         ORDER BY s.confirm_by LIMIT $3 FOR UPDATE OF s SKIP LOCKED
    ), moved AS (
        UPDATE subscription s SET status = 'expired', ended_at = s.confirm_by, end_reason = 'silence'
          FROM due WHERE s.msisdn = due.msisdn AND s.id = due.id AND s.status = 'awaiting'
        RETURNING s.msisdn, s.id, s.confirm_by
    )
    INSERT INTO subscription_event
        (msisdn, id, subscription_id, action, from_status, to_status, at, actor, cause)
    SELECT msisdn, gen_random_uuid(), id, 'expire', 'awaiting', 'expired', confirm_by, $4, 'silence'
      FROM moved
    RETURNING msisdn, subscription_id
"""


async def expire(
    tx: Connection, *, before: datetime, limit: int, actor: str, msisdn: str | None = None
) -> list[tuple[str, UUID]]:
    """Close prompts whose window closed and no unread message may answer.

    Return whose they were, and which.
    """
    rows = await tx.fetch(EXPIRE, before, msisdn, limit, actor)
    return [(row["msisdn"], row["subscription_id"]) for row in rows]


LAPSE = """
    WITH due AS (
        SELECT msisdn, id, status, COALESCE(free_until, active_from + $3::interval) AS over_at,
               CASE WHEN free_until IS NULL THEN 'lapsed' ELSE 'trial_over' END AS cause
          FROM subscription
         WHERE status IN ('active', 'suspended')
           AND (kind = 'on_demand' AND active_from <= $1 OR free_until <= $5)
         LIMIT $2 FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE subscription s SET status = 'ended', ended_at = due.over_at, end_reason = due.cause
          FROM due WHERE s.msisdn = due.msisdn AND s.id = due.id AND s.status = due.status
        RETURNING s.msisdn, s.id, s.ended_at, due.status AS from_status, due.cause
    )
    INSERT INTO subscription_event
        (msisdn, id, subscription_id, action, from_status, to_status, at, actor, cause)
    SELECT msisdn, gen_random_uuid(), id, 'lapse', from_status, 'ended', ended_at, $4, cause
      FROM moved
    RETURNING msisdn
"""


async def lapse(
    tx: Connection, *, now: datetime, open_for: timedelta, limit: int, actor: str
) -> list[str]:
    """End orders on demand, and free trials of an SP, that ran for their whole time, as of then.

    Return whose they were.
    """
    ended = await tx.fetch(LAPSE, now - open_for, limit, open_for, actor, now)
    return [row["msisdn"] for row in ended]
