"""What this room reads about relations; nothing is written here."""

from datetime import datetime
from uuid import UUID

import asyncpg

from spms.core.db import Connection, many, one
from spms.subscribers.model import Number
from spms.subscriptions.model import HistoryLine, Subscription
from spms.subscriptions.notices import Terms
from spms.subscriptions.rules import OwnerEvent

HOLD_NUMBER = """
    SELECT msisdn, epoch, state, state_since, epoch_since, language
      FROM number WHERE msisdn = $1 FOR NO KEY UPDATE
"""


async def hold_number(tx: Connection, msisdn: str) -> Number | None:
    """Hold a number: whatever decides about its relations queues here, as do its own events."""
    return one(Number, await tx.fetchrow(HOLD_NUMBER, msisdn))


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


ENDED_SINCE = """
    SELECT * FROM subscription_shown
     WHERE msisdn = $1 AND status = 'ended' AND active_from IS NOT NULL
       AND COALESCE(request_received_at, requested_at) <= $2 AND ended_at > GREATEST($2, active_from)
     ORDER BY requested_at, id
"""


async def ended_since(read: Connection, msisdn: str, at: datetime) -> list[Subscription]:
    """Load what a number had or had been asked about at an instant, and what ended after it."""
    return many(Subscription, await read.fetch(ENDED_SINCE, msisdn, at))


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


OWNER_EVENTS = """
    SELECT kind, effective_at, state_after, epoch_after, recorded_at FROM number_event
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
