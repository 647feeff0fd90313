"""Statements on messages in: each stored once under its link's name, and handled in order."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.core.db import Connection, changed, many
from spms.messaging.model import (
    IncomingSms,
    MessageIn,
)
from spms.messaging.reading import may_leave

# Only instants to come are looked at: none, while all nodes tell one time.
LATEST = """
    SELECT msisdn, max(received_at) AS at FROM message_in
     WHERE msisdn = ANY ($1) AND received_at > $2 AND received_at <= $3
     GROUP BY msisdn
"""


async def latest(
    read: Connection, numbers: Sequence[str], *, after: datetime, until: datetime
) -> dict[str, datetime]:
    """Return of each number the newest message's instant, if it is within a range."""
    rows = await read.fetch(LATEST, numbers, after, until)
    return {row["msisdn"]: row["at"] for row in rows}


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
    SELECT m.received_at, m.msisdn = $3 AND m.called = $4 AND m.raw = $5 AS same
      FROM message_in_key k
      JOIN message_in m ON m.msisdn = k.msisdn AND m.received_at = k.received_at
                       AND m.id = k.message_id
     WHERE k.link = $1 AND k.link_message_id = $2
"""


async def known(read: Connection, sms: IncomingSms) -> tuple[datetime, bool] | None:
    """Return when this link's name was used, and whether for word for word this message."""
    row = await read.fetchrow(
        KNOWN, sms.link, sms.link_message_id, sms.msisdn, sms.called, sms.raw
    )  # fmt: skip
    return None if row is None else (row["received_at"], row["same"])


STORE = """
    WITH stored AS (
        INSERT INTO message_in
            (msisdn, received_at, id, called, text, raw, link, link_message_id, pdu)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $10)
    ), wished AS (
        INSERT INTO leave_wish (msisdn, received_at, message_id) SELECT $1, $2, $3 WHERE $9
    )
    SELECT pg_notify('spms_work', '')
"""


async def store(tx: Connection, message: MessageIn, raw: bytes, pdu: bytes | None) -> None:
    """Store a message, and that it may be a wish to leave; at commit, listening pumps wake."""
    await tx.execute(
        STORE, message.msisdn, message.received_at, message.id, message.called, message.text, raw,
        message.link, message.link_message_id, may_leave(message.text), pdu,
    )  # fmt: skip


# The row lock alone would let a second worker take the next message of the same number while the
# first is at work on one that became visible late; the advisory lock is per number. It is asked
# for only on rows that were locked (MATERIALIZED), not on everything the scan passes.
TAKE_PENDING = """
    WITH oldest AS MATERIALIZED (
        SELECT m.msisdn, m.received_at, m.id, m.called, m.text, m.link, m.link_message_id
          FROM message_in m
         WHERE m.handled_at IS NULL AND m.msisdn <> ALL ($2::text[])
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


async def take_pending(tx: Connection, limit: int, but: Sequence[str]) -> list[MessageIn]:
    """Take unhandled messages, of each number but some the oldest, until the transaction ends."""
    return many(MessageIn, await tx.fetch(TAKE_PENDING, limit, but))


# A wish to leave whose handling failed stays open: it stops charging until a person settles it.
HANDLED = """
    WITH done AS (
        UPDATE message_in SET handled_at = $4, reading = $5, outcome = $6
         WHERE msisdn = $1 AND received_at = $2 AND id = $3 AND handled_at IS NULL
        RETURNING msisdn, received_at, id
    ), settled AS (
        UPDATE leave_wish w SET settled_at = GREATEST($4, w.received_at), settled_by = 'reading'
          FROM done d
         WHERE w.msisdn = d.msisdn AND w.received_at = d.received_at AND w.message_id = d.id
           AND w.settled_at IS NULL AND $6 <> 'failed'
    )
    SELECT EXISTS (SELECT FROM done)
"""


async def handled(
    tx: Connection, message: MessageIn, *, reading: str | None, outcome: str, now: datetime
) -> bool:
    """Record how a message was understood and what came of it; False when that was done already."""
    key = (message.msisdn, message.received_at, message.id)
    done: bool = await tx.fetchval(HANDLED, *key, now, reading, outcome)
    return done


STORE_MANY = """
    WITH claimed AS (
        INSERT INTO message_in_key (link, link_message_id, msisdn, received_at, message_id)
        SELECT $1, m.name, m.msisdn, m.at, m.id
          FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::uuid[])
            AS m (at, name, msisdn, id)
        ON CONFLICT DO NOTHING
        RETURNING link_message_id, message_id
    ), stored AS (
        INSERT INTO message_in
            (msisdn, received_at, id, called, text, raw, link, link_message_id, pdu)
        SELECT m.msisdn, m.at, m.id, m.called, m.text, m.raw, $1, m.name, m.pdu
          FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::uuid[], $6::text[],
                      $7::text[], $8::bytea[], $10::bytea[])
            AS m (at, name, msisdn, id, called, text, raw, pdu)
          JOIN claimed c ON c.message_id = m.id
    ), wished AS (
        INSERT INTO leave_wish (msisdn, received_at, message_id)
        SELECT m.msisdn, m.at, m.id
          FROM unnest($2::timestamptz[], $4::text[], $5::uuid[], $9::boolean[])
            AS m (at, msisdn, id, wish)
          JOIN claimed c ON c.message_id = m.id
         WHERE m.wish
    )
    SELECT message_id, pg_notify('spms_work', '') FROM claimed
"""


async def store_many(
    tx: Connection, link: str, messages: Sequence[MessageIn], raws: Sequence[bytes],
    pdus: Sequence[bytes],
) -> set[UUID]:  # fmt: skip
    """Store messages under the link's names for them; return those that are new."""
    rows = await tx.fetch(
        STORE_MANY, link, [m.received_at for m in messages],
        [m.link_message_id for m in messages], [m.msisdn for m in messages],
        [m.id for m in messages], [m.called for m in messages], [m.text for m in messages],
        raws, [may_leave(m.text) for m in messages], pdus,
    )  # fmt: skip
    return {row["message_id"] for row in rows}
