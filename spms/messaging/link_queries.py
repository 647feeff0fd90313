"""Statements for a link that delivers and reports many at a time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many, one
from spms.messaging.model import MessageIn

# The array is sorted, so that two who want several never wait for each other.
LOCK_NUMBERS = """
    SELECT pg_advisory_xact_lock(hashtextextended($1 || chr(31) || number, 8))
      FROM unnest($2::text[]) AS number
"""


async def lock_numbers(tx: Connection, link: str, numbers: Sequence[str]) -> None:
    """Let everything that one link brings about one number come one after the other."""
    await tx.execute(LOCK_NUMBERS, link, sorted(set(numbers)))


STORE_MANY = """
    WITH claimed AS (
        INSERT INTO message_in_key (link, link_message_id, msisdn, received_at, message_id)
        SELECT $1, m.name, m.msisdn, $2, m.id
          FROM unnest($3::text[], $4::text[], $5::uuid[]) AS m (name, msisdn, id)
        ON CONFLICT DO NOTHING
        RETURNING link_message_id, message_id
    ), stored AS (
        INSERT INTO message_in (msisdn, received_at, id, called, text, raw, link, link_message_id)
        SELECT m.msisdn, $2, m.id, m.called, m.text, m.raw, $1, m.name
          FROM unnest($3::text[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::bytea[])
            AS m (name, msisdn, id, called, text, raw)
          JOIN claimed c ON c.message_id = m.id
    )
    SELECT message_id, pg_notify('spms_work', '') FROM claimed
"""


async def store_many(
    tx: Connection, link: str, messages: Sequence[MessageIn], raws: Sequence[bytes], now: datetime
) -> set[UUID]:
    """Store messages under the link's names for them; return those that are new."""
    rows = await tx.fetch(
        STORE_MANY, link, now, [m.link_message_id for m in messages],
        [m.msisdn for m in messages], [m.id for m in messages], [m.called for m in messages],
        [m.text for m in messages], raws,
    )  # fmt: skip
    return {row["message_id"] for row in rows}


REPEATED = """
    SELECT DISTINCT digest FROM message_in_unproven
     WHERE link = $1 AND digest = ANY ($2) AND (until IS NULL OR until > $3)
"""


async def repeated(
    read: Connection, link: str, digests: Sequence[bytes], now: datetime
) -> set[bytes]:
    """Return which contents came before without a sign that our answer arrived."""
    return {row["digest"] for row in await read.fetch(REPEATED, link, digests, now)}


ADD_UNPROVEN = """
    INSERT INTO message_in_unproven (id, link, digest, received_at)
    SELECT u.id, $1, u.digest, $2 FROM unnest($3::uuid[], $4::bytea[]) AS u (id, digest)
"""


async def add_unproven(
    tx: Connection, link: str, ids: Sequence[UUID], digests: Sequence[bytes], now: datetime
) -> None:
    """Keep what may be delivered again."""
    await tx.execute(ADD_UNPROVEN, link, now, ids, digests)


# The earlier copies of a repetition are proven with it: the network will not send them again.
PROVEN = """
    DELETE FROM message_in_unproven u
     USING message_in_unproven p
     WHERE p.id = ANY ($1) AND u.link = p.link AND u.digest = p.digest
"""


async def proven(tx: Connection, ids: Sequence[UUID]) -> None:
    """Drop what will not be delivered again."""
    await tx.execute(PROVEN, ids)


# Counted from the first time that the link is back: only then can it deliver again.
LINK_IS_BACK = """
    UPDATE message_in_unproven SET until = $2::timestamptz + $3::interval
     WHERE link = $1 AND until IS NULL AND received_at <= $2
"""


async def link_is_back(tx: Connection, link: str, *, now: datetime, window: timedelta) -> None:
    """Let what may be delivered again be taken for a repetition for so long from now on."""
    await tx.execute(LINK_IS_BACK, link, now, window)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a long message."""

    msisdn: str
    id: UUID
    called: str
    reference: int
    total: int
    number: int
    data_coding: int
    raw: bytes


ADD_PART = """
    INSERT INTO message_in_part
        (msisdn, id, link, called, reference, total, number, data_coding, raw, received_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


async def add_part(tx: Connection, link: str, part: Part, now: datetime) -> None:
    """Keep a part."""
    await tx.execute(
        ADD_PART, part.msisdn, part.id, link, part.called, part.reference, part.total,
        part.number, part.data_coding, part.raw, now,
    )  # fmt: skip


OPEN_PARTS = """
    SELECT DISTINCT ON (number)
           msisdn, id, called, reference, total, number, data_coding, raw
      FROM message_in_part
     WHERE msisdn = $1 AND link = $2 AND called = $3 AND reference = $4 AND total = $5
       AND message_id IS NULL AND received_at > $6
     ORDER BY number, received_at, id
"""


async def open_parts(read: Connection, link: str, part: Part, since: datetime) -> list[Part]:
    """Return the parts that wait with this one, in order, each number once (the first that came)."""
    rows = await read.fetch(
        OPEN_PARTS, part.msisdn, link, part.called, part.reference, part.total, since
    )  # fmt: skip
    return many(Part, rows)


CLOSE_PARTS = """
    UPDATE message_in_part SET message_id = $7
     WHERE msisdn = $1 AND link = $2 AND called = $3 AND reference = $4 AND total = $5
       AND message_id IS NULL AND received_at > $6
"""


async def close_parts(
    tx: Connection, link: str, part: Part, since: datetime, message_id: UUID
) -> None:
    """Record which message the parts became."""
    await tx.execute(
        CLOSE_PARTS, part.msisdn, link, part.called, part.reference, part.total, since, message_id
    )  # fmt: skip


class ReceiptRow(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt to keep."""

    link_message_id: str
    msisdn: str | None
    delivered: bool
    stat: str | None
    done_at: datetime | None


ADD_RECEIPTS = """
    INSERT INTO message_receipt
        (link, link_message_id, delivered, received_at, msisdn, stat, done_at)
    SELECT $1, r.id, r.delivered, $2, r.msisdn, r.stat, r.done_at
      FROM unnest($3::text[], $4::boolean[], $5::text[], $6::text[], $7::timestamptz[])
        AS r (id, delivered, msisdn, stat, done_at)
    ON CONFLICT DO NOTHING
"""


async def add_receipts(
    tx: Connection, link: str, receipts: Sequence[ReceiptRow], now: datetime
) -> None:
    """Keep receipts; the first one for a message stands."""
    await tx.execute(
        ADD_RECEIPTS, link, now, [r.link_message_id for r in receipts],
        [r.delivered for r in receipts], [r.msisdn for r in receipts],
        [r.stat for r in receipts], [r.done_at for r in receipts],
    )  # fmt: skip


# A receipt means a message under its very name, or under another form of it when the handset is
# the same. A message that went out twice has two names; either receipt says what became of it.
APPLY_RECEIPTS = """
    WITH pair AS (
        SELECT r.link_message_id AS receipt_id, r.delivered, r.received_at,
               m.msisdn, m.queued_at, m.id
          FROM unnest($2::text[], $3::text[]) AS f (receipt_id, message_id)
          JOIN message_receipt r ON r.link = $1 AND r.link_message_id = f.receipt_id
          JOIN message_out m ON m.link = $1 AND m.link_message_id = f.message_id
         WHERE f.receipt_id = f.message_id AND r.msisdn IS NULL OR r.msisdn = m.msisdn
    ), told AS (
        UPDATE message_out m
           SET state = CASE WHEN p.delivered THEN 'delivered' ELSE 'failed' END,
               delivered_at = CASE WHEN p.delivered THEN p.received_at END,
               error = CASE WHEN NOT p.delivered THEN 'undelivered' END
          FROM pair p
         WHERE m.msisdn = p.msisdn AND m.queued_at = p.queued_at AND m.id = p.id
           AND m.state = 'sent'
    )
    UPDATE message_receipt r SET matched = true FROM pair p
     WHERE r.link = $1 AND r.link_message_id = p.receipt_id AND NOT r.matched
"""


async def apply_receipts(
    tx: Connection, link: str, pairs: Sequence[tuple[str, str]]
) -> None:  # fmt: skip
    """Bring sent messages and receipts together: pairs of (receipt's name, message's name)."""
    await tx.execute(APPLY_RECEIPTS, link, [p[0] for p in pairs], [p[1] for p in pairs])


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt for a message that we do not know."""

    link: str
    link_message_id: str
    stat: str | None
    received_at: datetime


ORPHANS = """
    SELECT link, link_message_id, stat, received_at FROM message_receipt
     WHERE NOT matched AND received_at <= $1 ORDER BY received_at DESC LIMIT $2
"""


async def orphans(read: Connection, *, before: datetime, limit: int) -> list[Orphan]:
    """List receipts that have waited in vain for their message, newest first."""
    return many(Orphan, await read.fetch(ORPHANS, before, limit))


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What went over a link since an instant."""

    sent: int
    reported: int
    """Of these, how many the network has reported on."""
    skew_seconds: float | None
    """Median of our clock minus the network's, from receipts; None without any."""


TRAFFIC = """
    SELECT (SELECT count(*) FROM message_out
             WHERE link = $1 AND sent_at > $2 AND queued_at > $2) AS sent,
           (SELECT count(*) FROM message_out
             WHERE link = $1 AND sent_at > $2 AND queued_at > $2
               AND state IN ('delivered', 'failed')) AS reported,
           (SELECT percentile_cont(0.5) WITHIN GROUP
                       (ORDER BY extract(epoch FROM received_at - done_at))
              FROM message_receipt
             WHERE link = $1 AND received_at > $2 AND done_at IS NOT NULL)::float AS skew_seconds
"""


async def traffic(read: Connection, link: str, since: datetime) -> Traffic:
    """Count what went over a link, and how far its clock is from ours."""
    found = one(Traffic, await read.fetchrow(TRAFFIC, link, since))
    assert found is not None  # noqa: S101 - the statement always returns one row
    return found


FORGET_RECEIPTS = """
    DELETE FROM message_receipt WHERE received_at < CASE WHEN matched THEN $1::timestamptz ELSE $2::timestamptz END
"""
FORGET_REQUESTS = "DELETE FROM one_time_code_request WHERE at < $1"
FORGET_CODES = "DELETE FROM one_time_code WHERE expires_at < $1"
FORGET_NAMES = "DELETE FROM message_in_key WHERE received_at < $1"
FORGET_PARTS = "DELETE FROM message_in_part WHERE received_at < $1"
FORGET_UNPROVEN = "DELETE FROM message_in_unproven WHERE until < $1"


async def forget_receipts(tx: Connection, *, matched: datetime, orphans: datetime) -> int:
    """Drop receipts from before an instant; another instant holds for orphans."""
    return changed(await tx.execute(FORGET_RECEIPTS, matched, orphans))


async def forget_requests(tx: Connection, before: datetime) -> int:
    """Drop codes that nobody can use any more, and what was kept only to count requests."""
    codes = changed(await tx.execute(FORGET_CODES, before))
    return codes + changed(await tx.execute(FORGET_REQUESTS, before))


async def forget_names(tx: Connection, before: datetime) -> int:
    """Drop the links' names for messages, and the parts that became messages."""
    names = changed(await tx.execute(FORGET_NAMES, before))
    return names + changed(await tx.execute(FORGET_PARTS, before))


async def forget_unproven(tx: Connection, now: datetime) -> int:
    """Drop what can no longer be delivered again."""
    return changed(await tx.execute(FORGET_UNPROVEN, now))
