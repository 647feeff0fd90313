"""Statements on messages out and in, and one-time codes. Writes only tables of this room."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many, one
from spms.messaging.model import (
    IncomingSms,
    MessageIn,
    MessageKind,
    MessageOut,
    MessageState,
    Sent,
)

# --- out -------------------------------------------------------------------------------------

ENQUEUE = """
    WITH queued AS (
        INSERT INTO message_out
            (msisdn, queued_at, id, sender, text, kind, about_kind, about_id, state, due_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9)
    )
    SELECT pg_notify('spms_work', '')
"""


async def enqueue(tx: Connection, message: MessageOut, *, due_at: datetime) -> None:
    """Queue a message; at commit, listening pumps wake."""
    await tx.execute(
        ENQUEUE, message.msisdn, message.queued_at, message.id, message.sender, message.text,
        message.kind, message.about_kind, message.about_id, due_at,
    )  # fmt: skip


ENQUEUE_MANY = """
    WITH queued AS (
        INSERT INTO message_out
            (msisdn, queued_at, id, sender, text, kind, about_kind, about_id, state, due_at)
        SELECT m.msisdn, $1, m.id, m.sender, m.text, m.kind, m.about_kind, m.about_id, 'queued',
               m.due_at
          FROM unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                      $8::text[], $9::timestamptz[])
            AS m (msisdn, id, sender, text, kind, about_kind, about_id, due_at)
    )
    SELECT pg_notify('spms_work', '')
"""


async def enqueue_many(tx: Connection, rows: Sequence[MessageOut], due: Sequence[datetime]) -> None:
    """Queue messages of one instant, at least one; at commit, listening pumps wake."""
    await tx.execute(
        ENQUEUE_MANY, rows[0].queued_at, [row.msisdn for row in rows], [row.id for row in rows],
        [row.sender for row in rows], [row.text for row in rows], [row.kind for row in rows],
        [row.about_kind for row in rows], [row.about_id for row in rows], due,
    )  # fmt: skip


# A lease that ended means a courier died, or could not know: once more if it is the first time.
TAKE_DUE = """
    WITH due AS (
        SELECT msisdn, queued_at, id,
               CASE WHEN attempts >= 2 THEN 'unknown twice'
                    WHEN due_at <= $1::timestamptz - $3::interval THEN 'too late' END AS fault
          FROM message_out
         WHERE state IN ('queued', 'sending', 'unknown')
           AND coalesce(lease_until, due_at) <= $1::timestamptz
         ORDER BY coalesce(lease_until, due_at), id
         LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE message_out m
       SET state = CASE WHEN d.fault IS NULL THEN 'sending' ELSE 'failed' END,
           attempts = m.attempts + CASE WHEN d.fault IS NULL THEN 1 ELSE 0 END,
           lease_until = CASE WHEN d.fault IS NULL THEN $1::timestamptz + $4::interval END,
           error = d.fault
      FROM due d
     WHERE m.msisdn = d.msisdn AND m.queued_at = d.queued_at AND m.id = d.id
    RETURNING m.msisdn, m.queued_at, m.id, m.sender, m.text, m.kind, m.about_kind, m.about_id,
              m.state, m.attempts
"""


async def take_due(
    tx: Connection, *, now: datetime, limit: int, validity: timedelta, lease: timedelta
) -> list[MessageOut]:
    """Lease due messages to the caller, oldest first; give up those without a chance left."""
    rows = many(MessageOut, await tx.fetch(TAKE_DUE, now, limit, validity, lease))
    taken = [message for message in rows if message.state is MessageState.SENDING]
    return sorted(taken, key=lambda message: (message.queued_at, message.id))


# The array is sorted, so that two who want several never wait for each other.
LOCK_LINK_MESSAGES = """
    SELECT pg_advisory_xact_lock(hashtextextended($1 || chr(31) || name, 5))
      FROM unnest($2::text[]) AS name
"""


async def lock_link_messages(tx: Connection, link: str, names: Sequence[str]) -> None:
    """Let a receipt and the record of what it is about come one after the other."""
    await tx.execute(LOCK_LINK_MESSAGES, link, sorted(set(names)))


# That it was sent is a fact, whoever took the message over in the meantime.
SUBMITTED = """
    UPDATE message_out m SET state = 'sent', sent_at = $1, lease_until = NULL, error = NULL,
                             link = $2, link_message_id = s.name
      FROM unnest($3::text[], $4::timestamptz[], $5::uuid[], $6::text[])
        AS s (msisdn, queued_at, id, name)
     WHERE m.msisdn = s.msisdn AND m.queued_at = s.queued_at AND m.id = s.id
       AND m.state NOT IN ('sent', 'delivered')
"""


async def submitted(tx: Connection, link: str, sent: Sequence[Sent], *, now: datetime) -> None:
    """Record that the network has these messages."""
    messages = [each.message for each in sent]
    await tx.execute(
        SUBMITTED, now, link, [m.msisdn for m in messages], [m.queued_at for m in messages],
        [m.id for m in messages], [each.link_message_id for each in sent],
    )  # fmt: skip


# Only whoever still has the lease may say anything but 'sent'.
LET_GO = """
    UPDATE message_out SET state = $5, attempts = $6, lease_until = $7, error = $8
     WHERE msisdn = $1 AND queued_at = $2 AND id = $3 AND state = 'sending' AND attempts = $4
"""


async def let_go(
    tx: Connection,
    message: MessageOut,
    *,
    state: MessageState,
    attempts: int,
    until: datetime | None,
    error: str | None,
) -> bool:
    """Give a lease back with what is known; False when it had ended and another has the message."""
    key = (message.msisdn, message.queued_at, message.id)
    done = await tx.execute(LET_GO, *key, message.attempts, state, attempts, until, error)
    return changed(done) == 1


ADD_RECEIPT = """
    INSERT INTO message_receipt (link, link_message_id, delivered, received_at)
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""


async def add_receipt(
    tx: Connection, link: str, link_message_id: str, *, delivered: bool, now: datetime
) -> None:
    """Keep a receipt; the first one for a message stands."""
    await tx.execute(ADD_RECEIPT, link, link_message_id, delivered, now)


WITHDRAW = """
    UPDATE message_out SET state = 'failed', lease_until = NULL, error = 'withdrawn'
     WHERE msisdn = $1 AND queued_at > $5 AND about_kind = $2 AND state = 'queued'
       AND about_id = ANY($3::text[]) AND kind = ANY($4::text[])
"""


async def withdraw(
    tx: Connection, msisdn: str, about: str, ids: list[str], *, kinds: list[str], since: datetime
) -> int:  # fmt: skip
    """Let messages that wait to be sent never leave."""
    return changed(await tx.execute(WITHDRAW, msisdn, about, ids, kinds, since))


COUNT_SENT = """
    SELECT count(*) FROM message_out WHERE msisdn = $1 AND kind = $2 AND queued_at >= $3
"""


async def count_sent(read: Connection, msisdn: str, kind: MessageKind, since: datetime) -> int:
    """Count the messages of a kind to one number since an instant, whatever became of them."""
    count: int = await read.fetchval(COUNT_SENT, msisdn, kind, since)
    return count


# --- in --------------------------------------------------------------------------------------

CLAIM_KEY = """
    INSERT INTO message_in_key (link, link_message_id, msisdn, received_at, message_id)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
"""


async def claim_key(tx: Connection, sms: IncomingSms, *, message_id: UUID, now: datetime) -> bool:
    """Claim the link's name for a message; False when it came before."""
    done = await tx.execute(
        CLAIM_KEY, sms.link, sms.link_message_id, sms.msisdn, now, message_id
    )  # fmt: skip
    return changed(done) == 1


KNOWN = """
    SELECT m.id, m.msisdn = $3 AND m.called = $4 AND m.raw = $5 AS same
      FROM message_in_key k
      JOIN message_in m ON m.msisdn = k.msisdn AND m.received_at = k.received_at
                       AND m.id = k.message_id
     WHERE k.link = $1 AND k.link_message_id = $2
"""


async def known(read: Connection, sms: IncomingSms) -> tuple[UUID, bool] | None:
    """Return the message that has this link's name, and whether it is word for word this one."""
    row = await read.fetchrow(
        KNOWN, sms.link, sms.link_message_id, sms.msisdn, sms.called, sms.raw
    )  # fmt: skip
    return None if row is None else (row["id"], row["same"])


STORE = """
    WITH stored AS (
        INSERT INTO message_in (msisdn, received_at, id, called, text, raw, link, link_message_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    )
    SELECT pg_notify('spms_work', '')
"""


async def store(tx: Connection, message: MessageIn, raw: bytes) -> None:
    """Store a message; at commit, listening pumps wake."""
    await tx.execute(
        STORE, message.msisdn, message.received_at, message.id, message.called, message.text, raw,
        message.link, message.link_message_id,
    )  # fmt: skip


# The row lock alone would let a second worker take the next message of the same number while the
# first is at work on one that became visible late; the advisory lock is per number. It is asked
# for only on rows that were locked (MATERIALIZED), not on everything the scan passes.
TAKE_PENDING = """
    WITH oldest AS MATERIALIZED (
        SELECT m.msisdn, m.received_at, m.id, m.called, m.text, m.link, m.link_message_id
          FROM message_in m
         WHERE m.handled_at IS NULL
           AND NOT EXISTS (
                SELECT FROM message_in o
                 WHERE o.msisdn = m.msisdn AND o.handled_at IS NULL
                   AND (o.received_at, o.id) < (m.received_at, m.id))
         ORDER BY m.received_at, m.id
         LIMIT $1 FOR UPDATE OF m SKIP LOCKED
    )
    SELECT * FROM oldest
     WHERE pg_try_advisory_xact_lock(hashtextextended(msisdn, 4))
     ORDER BY received_at, id
"""


async def take_pending(tx: Connection, limit: int) -> list[MessageIn]:
    """Take unhandled messages, of each number the oldest, until the transaction ends."""
    return many(MessageIn, await tx.fetch(TAKE_PENDING, limit))


HANDLED = """
    UPDATE message_in SET handled_at = $4, reading = $5, outcome = $6
     WHERE msisdn = $1 AND received_at = $2 AND id = $3 AND handled_at IS NULL
"""


async def handled(
    tx: Connection, message: MessageIn, *, reading: str | None, outcome: str, now: datetime
) -> bool:
    """Record how a message was understood and what came of it; False when that was done already."""
    key = (message.msisdn, message.received_at, message.id)
    return changed(await tx.execute(HANDLED, *key, now, reading, outcome)) == 1


# --- one-time codes --------------------------------------------------------------------------

REQUESTS = """
    SELECT at FROM one_time_code_request WHERE msisdn_hmac = $1 AND at > $2 ORDER BY at
"""
LOCK_REQUESTER = "SELECT pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 6))"


async def requests(tx: Connection, requester: bytes, since: datetime) -> Sequence[datetime]:
    """Return when codes were asked for; nobody else may ask for this number until the end."""
    await tx.execute(LOCK_REQUESTER, requester)
    return [row["at"] for row in await tx.fetch(REQUESTS, requester, since)]


ADD_REQUEST = "INSERT INTO one_time_code_request (msisdn_hmac, id, at) VALUES ($1, $2, $3)"


async def add_request(tx: Connection, requester: bytes, request_id: UUID, now: datetime) -> None:
    """Count a request."""
    await tx.execute(ADD_REQUEST, requester, request_id, now)


ADD_CODE = """
    INSERT INTO one_time_code (msisdn, id, code_hmac, issued_at, expires_at)
    VALUES ($1, $2, $3, $4, $5)
"""


async def add_code(
    tx: Connection, msisdn: str, code_id: UUID, digest: bytes, *, now: datetime, expires: datetime
) -> None:
    """Store what is needed to recognise a code."""
    await tx.execute(ADD_CODE, msisdn, code_id, digest, now, expires)


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """The code that a try counts against."""

    id: UUID
    code_hmac: bytes
    issued_at: datetime


# Only the newest code counts: asking again makes the one before it worthless.
COUNT_TRY = """
    UPDATE one_time_code SET tries = tries + 1
     WHERE msisdn = $1 AND used_at IS NULL AND expires_at > $2 AND tries < $3
       AND id = (SELECT id FROM one_time_code WHERE msisdn = $1
                  ORDER BY issued_at DESC, id DESC LIMIT 1)
    RETURNING id, code_hmac, issued_at
"""


async def count_try(tx: Connection, msisdn: str, *, tries_max: int, now: datetime) -> Try | None:
    """Count a try against the newest code; None when that one is used up, too old or missing."""
    return one(Try, await tx.fetchrow(COUNT_TRY, msisdn, now, tries_max))


USE_CODE = "UPDATE one_time_code SET used_at = $3 WHERE msisdn = $1 AND id = $2"


async def use_code(tx: Connection, msisdn: str, code_id: UUID, now: datetime) -> None:
    """Mark a code as used; the caller holds its row."""
    await tx.execute(USE_CODE, msisdn, code_id, now)
