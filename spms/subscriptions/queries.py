"""What this room reads, how a relation moves and ends.

Writes `subscription`, `subscription_event` and `leave_list` only. What makes a relation is in
`order_queries`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

import asyncpg

from spms.core.db import Connection, changed, many, one
from spms.core.ids import new_id
from spms.messaging.model import MessageIn
from spms.subscribers.model import Number
from spms.subscriptions.model import HistoryLine, Subscription
from spms.subscriptions.notices import Terms
from spms.subscriptions.rules import Change, OwnerEvent

HOLD_NUMBER = """
    SELECT msisdn, epoch, state, state_since, epoch_since, language
      FROM number WHERE msisdn = $1 FOR NO KEY UPDATE
"""


async def hold_number(tx: Connection, msisdn: str) -> Number | None:
    """Hold a number: whatever decides about its relations queues here, as do its own events."""
    return one(Number, await tx.fetchrow(HOLD_NUMBER, msisdn))


SP_BEHIND = "SELECT sp_id FROM access_number WHERE number = $1"


async def sp_behind(read: Connection, called: str) -> UUID | None:
    """Return the SP that an access number is assigned to."""
    return cast("UUID | None", await read.fetchval(SP_BEHIND, called))


OUTCOME = """
    SELECT outcome FROM message_in
     WHERE msisdn = $1 AND received_at = $2 AND id = $3 AND handled_at IS NOT NULL
"""


async def outcome_of(read: Connection, message: MessageIn) -> str | None:
    """Return what came of a message, if it was handled already."""
    key = (message.msisdn, message.received_at, message.id)
    return cast("str | None", await read.fetchval(OUTCOME, *key))


TIMES_TOLD = """
    SELECT count(*) FROM message_out
     WHERE msisdn = $1 AND kind = 'info' AND about_kind = $2 AND about_id = $3 AND queued_at > $4
"""


async def times_told(
    read: Connection, msisdn: str, about_kind: str, about_id: str, *, since: datetime
) -> int:
    """Count the answers about one thing, so that two robots do not talk to each other for ever."""
    return cast("int", await read.fetchval(TIMES_TOLD, msisdn, about_kind, about_id, since))


APPLY = """
    WITH moved AS (
        UPDATE subscription SET status = $4, end_reason = $5,
               ended_at = CASE WHEN $4 IN ('ended', 'refused', 'expired') THEN $7::timestamptz END
         WHERE msisdn = $1 AND id = $2 AND status = $3
        RETURNING msisdn, id
    )
    INSERT INTO subscription_event
        (msisdn, id, subscription_id, action, from_status, to_status, at, actor, reason, cause)
    SELECT msisdn, $9, id, $6, $3, $4, $7, $8, $10, $11 FROM moved
"""


async def apply(
    tx: Connection, current: Subscription, change: Change, *, actor: str, reason: str | None
) -> bool:
    """Move the status and write its history line together; False when it moved meanwhile."""
    done = await tx.execute(
        APPLY, current.msisdn, current.id, change.before, change.after, change.end_reason,
        change.action, change.at, actor, new_id(), reason, change.cause,
    )  # fmt: skip
    return changed(done) == 1


FIND = "SELECT * FROM subscription_shown WHERE msisdn = $1 AND id = $2"


async def find(read: Connection, msisdn: str, subscription_id: UUID) -> Subscription | None:
    """Load one relation of a number."""
    return one(Subscription, await read.fetchrow(FIND, msisdn, subscription_id))


FIND_BY_ID = "SELECT * FROM subscription_shown WHERE id = $1"


async def find_by_id(read: Connection, subscription_id: UUID) -> Subscription | None:
    """Load one relation whose number the caller does not know."""
    return one(Subscription, await read.fetchrow(FIND_BY_ID, subscription_id))


LIVE = """
    SELECT * FROM subscription_shown
     WHERE msisdn = $1 AND status IN ('awaiting', 'active', 'suspended')
     ORDER BY requested_at, id
"""


async def live(read: Connection, msisdn: str) -> list[Subscription]:
    """Load what is not over, oldest first."""
    return many(Subscription, await read.fetch(LIVE, msisdn))


RECENT_PROMPTS = """
    SELECT * FROM subscription_shown
     WHERE msisdn = $1 AND epoch = $2 AND prompt_code IS NOT NULL
       AND requested_at > $3 AND requested_at <= $4
     ORDER BY requested_at DESC, id DESC LIMIT 100
"""


async def recent_prompts(
    read: Connection, number: Number, *, since: datetime, until: datetime
) -> list[Subscription]:
    """Load what a number was lately asked about, newest first, whatever came of it."""
    rows = await read.fetch(RECENT_PROMPTS, number.msisdn, number.epoch, since, until)
    return many(Subscription, rows)


TERMS = """
    SELECT n.sp_name, p.code AS sp_code, n.service_name, v.code AS service_code, n.price_fen,
           n.period, n.hotline, n.leave_command
      FROM notice n
      JOIN service v ON v.id = n.service_id
      JOIN sp p ON p.id = v.sp_id
     WHERE n.id = $1 AND n.state = 'approved'
"""


async def terms(read: Connection, notice_id: UUID) -> Terms | None:
    """Load what a person is told, by the approved notice a relation is made under."""
    return one(Terms, await read.fetchrow(TERMS, notice_id))


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
    RETURNING msisdn
"""


async def expire(
    tx: Connection, *, before: datetime, limit: int, actor: str, msisdn: str | None = None
) -> list[str]:
    """Close prompts whose window closed and no unread message may answer; return whose they were."""
    return [row["msisdn"] for row in await tx.fetch(EXPIRE, before, msisdn, limit, actor)]


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


OWNER_EVENTS = """
    SELECT kind, effective_at, state_after, epoch_after FROM number_event
     WHERE msisdn = $1 ORDER BY effective_at
"""


async def owner_events(read: Connection, msisdn: str) -> list[OwnerEvent]:
    """Load a number's dated events."""
    return many(OwnerEvent, await read.fetch(OWNER_EVENTS, msisdn))


LAST_MOVES = """
    SELECT subscription_id, max(at) AS at FROM subscription_event
     WHERE msisdn = $1 GROUP BY subscription_id
"""


async def last_moves(read: Connection, msisdn: str) -> dict[UUID, datetime]:
    """Return when each of a number's relations last moved."""
    rows = await read.fetch(LAST_MOVES, msisdn)
    return {row["subscription_id"]: row["at"] for row in rows}


ADD_LIST = """
    INSERT INTO leave_list (msisdn, id, subscription_ids, made_at, expires_at)
    VALUES ($1, $2, $3, $4, $5)
"""


async def add_list(
    tx: Connection, msisdn: str, subscription_ids: Sequence[UUID], *, now: datetime,
    expires_at: datetime,
) -> None:  # fmt: skip
    """Remember which relation stands behind which number of a list."""
    await tx.execute(ADD_LIST, msisdn, new_id(), list(subscription_ids), now, expires_at)


OPEN_LIST = """
    SELECT subscription_ids FROM leave_list
     WHERE msisdn = $1 AND made_at >= $2 AND made_at <= $3 AND expires_at > $3
     ORDER BY made_at DESC, id DESC LIMIT 1
"""


async def open_list(
    read: Connection, msisdn: str, *, since: datetime, at: datetime
) -> list[UUID] | None:
    """Return the newest list made for this owner that may still be answered at an instant."""
    return cast("list[UUID] | None", await read.fetchval(OPEN_LIST, msisdn, since, at))


OF_NUMBER = """
    SELECT * FROM subscription_shown
     WHERE msisdn = $1 AND ($2::integer IS NULL OR epoch = $2)
       AND ($3::timestamptz IS NULL OR (requested_at, id) < ($3, $4::uuid))
     ORDER BY requested_at DESC, id DESC LIMIT $5
"""


async def of_number(
    read: Connection, msisdn: str, epoch: int | None, after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Subscription]:  # fmt: skip
    """List a number's relations, newest first; of one owner when an epoch is given."""
    place = after or (None, None)
    return many(Subscription, await read.fetch(OF_NUMBER, msisdn, epoch, *place, limit))


OF_SP = """
    SELECT * FROM subscription_shown
     WHERE sp_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""


async def of_sp(
    read: Connection, sp_id: UUID, after: UUID | None, limit: int
) -> list[Subscription]:
    """List an SP's relations, newest first."""
    return many(Subscription, await read.fetch(OF_SP, sp_id, after, limit))


HISTORY = """
    SELECT action, from_status, to_status, at, actor, cause, reason FROM subscription_event
     WHERE msisdn = $1 AND subscription_id = $2 ORDER BY at, id
"""


async def history(read: Connection, msisdn: str, subscription_id: UUID) -> list[HistoryLine]:
    """Load everything that happened to a relation, in order."""
    return many(HistoryLine, await read.fetch(HISTORY, msisdn, subscription_id))


PROOFS = """
    SELECT t.version AS tariff_version, t.effective_from AS tariff_from, n.version AS notice_version,
           n.sp_name, n.service_name, n.period, n.hotline, n.leave_command,
           n.decided_at AS approved_at, n.decided_by AS approved_by,
           r.link AS request_link, r.link_message_id AS request_link_message_id,
           r.called AS request_called,
           o.id AS prompt_id, o.sender, o.queued_at, o.sent_at, o.delivered_at, o.state,
           c.kind AS consent_kind, c.reply_text, c.prompt_text AS agreed_prompt,
           c.price_fen AS agreed_fen, c.given_at, c.message_id, m.called, m.link, m.link_message_id
      FROM subscription s
      JOIN tariff t ON t.id = s.tariff_id
      JOIN notice n ON n.id = s.notice_id
      LEFT JOIN message_in r ON r.msisdn = s.msisdn AND r.received_at = s.request_received_at
           AND r.id = s.request_message_id
      LEFT JOIN message_out o ON o.msisdn = s.msisdn AND o.kind = 'prompt'
           AND o.about_id = s.id::text AND o.queued_at >= s.requested_at
           AND o.queued_at < s.requested_at + interval '1 day'
      LEFT JOIN consent c ON c.msisdn = s.msisdn AND c.subscription_id = s.id
      LEFT JOIN message_in m ON m.msisdn = c.msisdn AND m.received_at = c.message_received_at
           AND m.id = c.message_id
     WHERE s.msisdn = $1 AND s.id = $2
     LIMIT 1
"""


async def proofs(read: Connection, msisdn: str, subscription_id: UUID) -> asyncpg.Record | None:
    """Load the rows of other rooms that a relation cites: terms, prompt, request, consent."""
    return await read.fetchrow(PROOFS, msisdn, subscription_id)
