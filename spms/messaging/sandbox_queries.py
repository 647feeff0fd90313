"""The sandbox's statements: demonstration phones and what their screens show."""

from datetime import datetime
from uuid import UUID

import asyncpg

from spms.core.db import Connection, many
from spms.messaging.model import Direction, Phone, ScreenSms

PHONES = """
    SELECT p.msisdn, p.label, p.reachable, s.seq AS last_seq, s.at AS last_at, s.text AS last_text
      FROM sandbox_phone p
      LEFT JOIN LATERAL (
            SELECT seq, at, text FROM sandbox_sms s WHERE s.msisdn = p.msisdn
             ORDER BY seq DESC LIMIT 1) AS s ON true
     ORDER BY p.label, p.msisdn LIMIT $1
"""


async def phones(read: Connection, limit: int) -> list[Phone]:
    """List demonstration phones with the newest message on each screen."""
    return many(Phone, await read.fetch(PHONES, limit))


REACHABLE = "SELECT reachable FROM sandbox_phone WHERE msisdn = $1"


async def reachable(read: Connection, msisdn: str) -> bool:
    """Whether a phone is switched on; one nobody has listed is."""
    answer: bool | None = await read.fetchval(REACHABLE, msisdn)
    return answer is not False


PUT_PHONE = """
    INSERT INTO sandbox_phone (msisdn, label, reachable) VALUES ($1, $2, $3)
    ON CONFLICT (msisdn) DO UPDATE SET label = excluded.label, reachable = excluded.reachable
"""


async def put_phone(tx: Connection, msisdn: str, label: str, *, reachable: bool) -> None:
    """Add or change a demonstration phone."""
    await tx.execute(PUT_PHONE, msisdn, label, reachable)


# The lock makes `seq` grow in the order of commits, so that a reader who has seen n misses none.
LOCK_SCREEN = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7))"
SHOW = """
    INSERT INTO sandbox_sms (msisdn, id, direction, other, text, at)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (msisdn, id) DO NOTHING
"""


async def show(
    tx: Connection,
    msisdn: str,
    sms_id: UUID,
    *,
    direction: Direction,
    other: str,
    text: str,
    at: datetime,
) -> None:
    """Put a message on a phone's screen, once."""
    await tx.execute(LOCK_SCREEN, msisdn)
    await tx.execute(SHOW, msisdn, sms_id, direction, other, text, at)


SCREEN = """
    SELECT seq, direction, other, text, at FROM sandbox_sms
     WHERE msisdn = $1 AND seq > $2 ORDER BY seq DESC LIMIT $3
"""


async def screen(read: Connection, msisdn: str, *, after: int, limit: int) -> list[ScreenSms]:
    """Return the newest messages on a screen that came after one of them, oldest first."""
    rows: list[asyncpg.Record] = await read.fetch(SCREEN, msisdn, after, limit)
    return many(ScreenSms, reversed(rows))
