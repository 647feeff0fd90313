"""Statements on delivery receipts, and what they say about a link."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from spms.core.db import Connection, changed, many, one

# The array is sorted, so that two who want several never wait for each other.
LOCK_LINK_MESSAGES = """
    SELECT pg_advisory_xact_lock(hashtextextended($1 || chr(31) || name, 5))
      FROM unnest($2::text[]) AS name
"""


async def lock_link_messages(tx: Connection, link: str, names: Sequence[str]) -> None:
    """Let a receipt and the record of what it is about come one after the other."""
    await tx.execute(LOCK_LINK_MESSAGES, link, sorted(set(names)))


ADD_RECEIPT = """
    INSERT INTO message_receipt (link, link_message_id, delivered, received_at)
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""


async def add_receipt(
    tx: Connection, link: str, link_message_id: str, *, delivered: bool, now: datetime
) -> None:
    """Keep a receipt; the first one for a message stands."""
    await tx.execute(ADD_RECEIPT, link, link_message_id, delivered, now)


class ReceiptRow(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt to keep."""

    link_message_id: str
    msisdn: str | None
    delivered: bool
    stat: str | None
    done_at: datetime | None
    pdu: bytes | None = None
    """As it came over the line."""


ADD_RECEIPTS = """
    INSERT INTO message_receipt
        (link, link_message_id, delivered, received_at, msisdn, stat, done_at, pdu)
    SELECT $1, r.id, r.delivered, $2, r.msisdn, r.stat, r.done_at, r.pdu
      FROM unnest($3::text[], $4::boolean[], $5::text[], $6::text[], $7::timestamptz[],
                  $8::bytea[])
        AS r (id, delivered, msisdn, stat, done_at, pdu)
    ON CONFLICT DO NOTHING
"""


async def add_receipts(
    tx: Connection, link: str, receipts: Sequence[ReceiptRow], now: datetime
) -> None:
    """Keep receipts; the first one for a message stands."""
    await tx.execute(
        ADD_RECEIPTS, link, now, [r.link_message_id for r in receipts],
        [r.delivered for r in receipts], [r.msisdn for r in receipts],
        [r.stat for r in receipts], [r.done_at for r in receipts], [r.pdu for r in receipts],
    )  # fmt: skip


# A receipt means a message, or a part of one, under its very name, or under another form of it when
# the handset is the same. What became of a part is kept with it; the rest is `SETTLE_PARTS`.
APPLY_RECEIPTS = """
    WITH said AS (
        SELECT r.link_message_id AS receipt_id, r.delivered, r.received_at, r.pdu, r.msisdn AS whose,
               f.message_id AS name, f.receipt_id = f.message_id AND r.msisdn IS NULL AS surely
          FROM unnest($2::text[], $3::text[]) AS f (receipt_id, message_id)
          JOIN message_receipt r ON r.link = $1 AND r.link_message_id = f.receipt_id
    ), whole AS (
        SELECT s.receipt_id, s.delivered, s.received_at, s.pdu, m.msisdn, m.queued_at, m.id
          FROM said s
          JOIN message_out m ON m.link = $1 AND m.link_message_id = s.name
         WHERE (s.surely OR s.whose = m.msisdn)
           AND NOT EXISTS (SELECT FROM message_out_part p
                            WHERE p.msisdn = m.msisdn AND p.queued_at = m.queued_at
                              AND p.message_id = m.id)
    ), part AS (
        SELECT s.receipt_id, s.delivered, s.received_at, s.pdu, p.msisdn, p.queued_at,
               p.message_id, p.number
          FROM said s
          JOIN message_out_part p ON p.link = $1 AND p.link_message_id = s.name
         WHERE s.surely OR s.whose = p.msisdn
    ), told AS (
        UPDATE message_out m
           SET state = CASE WHEN w.delivered THEN 'delivered' ELSE 'failed' END,
               delivered_at = CASE WHEN w.delivered THEN w.received_at END,
               undelivered_at = CASE WHEN NOT w.delivered THEN w.received_at END,
               error = CASE WHEN NOT w.delivered THEN 'undelivered' END, receipt_pdu = w.pdu
          FROM whole w
         WHERE m.msisdn = w.msisdn AND m.queued_at = w.queued_at AND m.id = w.id
           AND m.state = 'sent'
    ), told_part AS (
        UPDATE message_out_part p
           SET delivered = t.delivered, reported_at = t.received_at, receipt_pdu = t.pdu
          FROM part t
         WHERE p.msisdn = t.msisdn AND p.queued_at = t.queued_at AND p.message_id = t.message_id
           AND p.number = t.number AND p.delivered IS NULL
    ), matched AS (
        UPDATE message_receipt r SET matched = true
          FROM (SELECT receipt_id FROM whole UNION SELECT receipt_id FROM part) n
         WHERE r.link = $1 AND r.link_message_id = n.receipt_id AND NOT r.matched
    )
    SELECT DISTINCT msisdn, queued_at, message_id FROM part
"""

# Whoever reports on two parts of one message at once: the later one sees both.
HOLD = """
    SELECT FROM message_out m
      JOIN unnest($1::text[], $2::timestamptz[], $3::uuid[]) AS k (msisdn, queued_at, id)
        ON m.msisdn = k.msisdn AND m.queued_at = k.queued_at AND m.id = k.id
     ORDER BY m.msisdn, m.queued_at, m.id FOR UPDATE OF m
"""

# Delivered when all parts are, with the last of them; not when one is not.
SETTLE_PARTS = """
    UPDATE message_out m
       SET state = CASE WHEN t.whole THEN 'delivered' ELSE 'failed' END,
           delivered_at = CASE WHEN t.whole THEN t.last_at END,
           undelivered_at = CASE WHEN NOT t.whole THEN t.lost_at END,
           error = CASE WHEN NOT t.whole THEN 'undelivered' END, receipt_pdu = t.pdu
      FROM (SELECT p.msisdn, p.queued_at, p.message_id, bool_and(p.delivered) AS whole,
                   max(p.reported_at) AS last_at,
                   min(p.reported_at) FILTER (WHERE NOT p.delivered) AS lost_at,
                   string_agg(p.receipt_pdu, ''::bytea ORDER BY p.number) AS pdu
              FROM unnest($1::text[], $2::timestamptz[], $3::uuid[])
                AS k (msisdn, queued_at, message_id)
              JOIN message_out_part p USING (msisdn, queued_at, message_id)
             GROUP BY p.msisdn, p.queued_at, p.message_id
            HAVING count(*) = count(p.delivered) OR bool_or(NOT p.delivered)) t
     WHERE m.msisdn = t.msisdn AND m.queued_at = t.queued_at AND m.id = t.message_id
       AND m.state = 'sent'
"""


async def apply_receipts(
    tx: Connection, link: str, pairs: Sequence[tuple[str, str]]
) -> None:  # fmt: skip
    """Bring sent messages and receipts together: pairs of (receipt's name, message's name)."""
    keys = await tx.fetch(APPLY_RECEIPTS, link, [p[0] for p in pairs], [p[1] for p in pairs])
    if keys:
        of_parts = [list(column) for column in zip(*keys, strict=True)]
        await tx.execute(HOLD, *of_parts)
        await tx.execute(SETTLE_PARTS, *of_parts)


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


async def forget_receipts(tx: Connection, *, matched: datetime, orphans: datetime) -> int:
    """Drop receipts from before an instant; another instant holds for orphans."""
    return changed(await tx.execute(FORGET_RECEIPTS, matched, orphans))


FORGET_PARTS = "DELETE FROM message_out_part WHERE sent_at < $1"


async def forget_parts(tx: Connection, before: datetime) -> int:
    """Drop what was kept of the parts of messages sent before an instant."""
    return changed(await tx.execute(FORGET_PARTS, before))
