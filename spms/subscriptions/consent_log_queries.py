"""What the consent log tells, read from the rows that hold it. Writes nothing."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from spms.core.db import Connection

_MESSAGE = """
           m.id AS message_id, m.received_at, m.called, m.text, m.link AS message_link,
           m.link_message_id AS message_name, encode(m.raw, 'hex') AS raw,
           encode(m.pdu, 'hex') AS pdu"""

# Only what never changes is told, so that telling it again later must give the same words.
# A message belongs to an event when it is the one that asked or consented, or when the person
# spoke at that very instant: the event says which of two. What came of a message is known only
# after this is told, and so cannot choose. The instant is one comparison: one month is read.
_EVENTS = f"""
    SELECT e.msisdn AS subject, 'event:' || e.id AS source, e.subscription_id AS about,
           e.action AS kind, e.at, e.from_status, e.to_status, e.actor, e.reason,
           s.channel, s.requested_at, s.price_fen, s.kind AS service_kind,
           v.code AS service_code, p.code AS sp_code, t.id AS tariff_id,
           t.version AS tariff_version, n.id AS notice_id, n.version AS notice_version,
           n.sp_name, n.service_name, n.period, n.hotline, n.leave_command,
           (SELECT r.version FROM rulebook r WHERE r.effective_from <= e.at
             ORDER BY r.effective_from DESC, r.version DESC LIMIT 1) AS rulebook_version,
           CASE WHEN e.action IN ('request', 'order') THEN s.request_text END AS request_text,
           CASE WHEN e.action = 'request' THEN s.prompt_text
                WHEN e.action = 'confirm' THEN c.prompt_text END AS prompt_text,
           CASE WHEN e.action = 'request' THEN s.confirm_by END AS confirm_by,
           c.kind AS consent_kind, c.reply_text, c.given_at, c.price_fen AS consent_fen,
           NULL::text AS sender, NULL::timestamptz AS queued_at, {_MESSAGE}
      FROM subscription_event e
      JOIN subscription s ON s.msisdn = e.msisdn AND s.id = e.subscription_id
      JOIN service v ON v.id = s.service_id
      JOIN sp p ON p.id = s.sp_id
      JOIN tariff t ON t.id = s.tariff_id
      JOIN notice n ON n.id = s.notice_id
      LEFT JOIN consent c ON c.msisdn = e.msisdn AND c.subscription_id = e.subscription_id
           AND e.action IN ('confirm', 'order')
      LEFT JOIN LATERAL (
           SELECT * FROM message_in i
            WHERE i.msisdn = e.msisdn
              AND i.received_at = CASE WHEN e.action = 'request' THEN s.request_received_at
                                       WHEN c.message_id IS NOT NULL THEN c.message_received_at
                                       WHEN e.actor = 'subscriber:sms' THEN e.at END
              AND i.id = CASE WHEN e.action = 'request' THEN s.request_message_id
                              WHEN c.message_id IS NOT NULL THEN c.message_id
                              ELSE coalesce(e.message_id, i.id) END
            ORDER BY i.id LIMIT 1) m ON true"""

# That the network took a prompt, that the handset has it, and that it never arrived are facts of
# their own, each known by its instant, which stays. The state of the prompt does not.
_PROMPTS = """
    SELECT o.msisdn AS subject, f.kind || ':' || o.id AS source, s.id AS about, f.kind, f.at,
           NULL AS from_status, NULL AS to_status, NULL AS actor, NULL AS reason, s.channel,
           s.requested_at, s.price_fen, s.kind AS service_kind, v.code AS service_code,
           p.code AS sp_code, s.tariff_id, t.version AS tariff_version, s.notice_id,
           n.version AS notice_version, NULL AS sp_name, NULL AS service_name, NULL AS period,
           NULL AS hotline, NULL AS leave_command, NULL::integer AS rulebook_version,
           NULL AS request_text, o.text AS prompt_text, NULL::timestamptz AS confirm_by,
           NULL AS consent_kind, NULL AS reply_text, NULL::timestamptz AS given_at,
           NULL::bigint AS consent_fen, o.sender, o.queued_at, o.id AS message_id,
           NULL::timestamptz AS received_at, NULL AS called, NULL AS text, o.link AS message_link,
           o.link_message_id AS message_name, NULL AS raw, encode(f.pdu, 'hex') AS pdu
      FROM message_out o
      JOIN subscription s ON s.msisdn = o.msisdn AND s.id::text = o.about_id
      JOIN service v ON v.id = s.service_id
      JOIN sp p ON p.id = s.sp_id
      JOIN tariff t ON t.id = s.tariff_id
      JOIN notice n ON n.id = s.notice_id
     CROSS JOIN LATERAL (VALUES ('prompt_sent', o.sent_at, o.pdu),
           ('prompt_delivered', o.delivered_at, o.receipt_pdu),
           ('prompt_undelivered', o.undelivered_at, o.receipt_pdu)) AS f (kind, at, pdu)"""

_UNTOLD = """
       AND NOT EXISTS (SELECT FROM chain_entry k WHERE k.subject = f.subject
                          AND k.chain = 'consent' AND k.source = f.source)"""


_TOLD = f"""
      FROM ({_EVENTS} WHERE e.msisdn {{numbers}}
      UNION ALL {_PROMPTS}
     WHERE o.msisdn {{numbers}} AND o.kind = 'prompt' AND o.about_kind = 'subscription'
       AND f.at IS NOT NULL) f
     WHERE true"""

_OF_NUMBERS = "SELECT f.*" + _TOLD.format(numbers="= ANY($1::text[])")
_IN_ORDER = """
     ORDER BY f.subject, f.at, f.kind IN ('prompt_delivered', 'prompt_undelivered'), f.source
"""

UNTOLD_OF_NUMBERS = _OF_NUMBERS + _UNTOLD + _IN_ORDER
# Most transactions concern one number. A plan for a list is made anew each time (10 ms), because
# the planner thinks a list of one is less than usual; a plan for one number is kept.
UNTOLD_OF_ONE = "SELECT f.*" + _TOLD.format(numbers="= $1::text") + _UNTOLD + _IN_ORDER


async def untold(read: Connection, numbers: Sequence[str]) -> list[asyncpg.Record]:
    """Read what happened to relations of these numbers and is not in their logs yet."""
    if len(numbers) == 1:
        return await read.fetch(UNTOLD_OF_ONE, numbers[0])
    return await read.fetch(UNTOLD_OF_NUMBERS, list(numbers))


ALL_OF_NUMBERS = _OF_NUMBERS + _IN_ORDER


async def everything(read: Connection, numbers: Sequence[str]) -> list[asyncpg.Record]:
    """Read all that should be in the logs of these numbers, as the rows say it today."""
    return await read.fetch(ALL_OF_NUMBERS, list(numbers))


UNTOLD_NUMBERS = """
    SELECT msisdn FROM (
        SELECT e.msisdn FROM subscription_event e
         WHERE e.at >= $1 AND NOT EXISTS (
               SELECT FROM chain_entry k WHERE k.subject = e.msisdn AND k.chain = 'consent'
                  AND k.source = 'event:' || e.id)
        UNION
        SELECT o.msisdn FROM message_out o
         WHERE o.queued_at >= $1 AND o.kind = 'prompt' AND o.about_kind = 'subscription'
           AND o.sent_at IS NOT NULL
           AND NOT EXISTS (
               SELECT FROM chain_entry k WHERE k.subject = o.msisdn AND k.chain = 'consent'
                  AND k.source = 'prompt_sent:' || o.id)
        UNION
        SELECT o.msisdn FROM message_out o
         WHERE o.queued_at >= $1 AND o.kind = 'prompt' AND o.about_kind = 'subscription'
           AND o.delivered_at IS NOT NULL
           AND NOT EXISTS (
               SELECT FROM chain_entry k WHERE k.subject = o.msisdn AND k.chain = 'consent'
                  AND k.source = 'prompt_delivered:' || o.id)
        UNION
        SELECT o.msisdn FROM message_out o
         WHERE o.queued_at >= $1 AND o.kind = 'prompt' AND o.about_kind = 'subscription'
           AND o.undelivered_at IS NOT NULL
           AND NOT EXISTS (
               SELECT FROM chain_entry k WHERE k.subject = o.msisdn AND k.chain = 'consent'
                  AND k.source = 'prompt_undelivered:' || o.id)) w
     ORDER BY msisdn LIMIT $2
"""


async def untold_numbers(read: Connection, *, since: datetime, limit: int) -> list[str]:
    """Return numbers to which something happened since an instant that is not in their logs."""
    return [row["msisdn"] for row in await read.fetch(UNTOLD_NUMBERS, since, limit)]


NUMBERS = """
    SELECT msisdn FROM (SELECT DISTINCT msisdn FROM subscription_event WHERE msisdn > $1
                        UNION SELECT subject FROM chain_start
                               WHERE chain = 'consent' AND subject > $1
                        UNION SELECT subject FROM chain_entry
                               WHERE chain = 'consent' AND subject > $1) w
     ORDER BY msisdn LIMIT $2
"""


async def numbers(read: Connection, *, after: str, limit: int) -> list[str]:
    """Return the numbers that have a consent log or should have one, in order."""
    return [row["msisdn"] for row in await read.fetch(NUMBERS, after, limit)]
