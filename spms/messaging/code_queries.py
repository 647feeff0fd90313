"""Statements on one-time codes."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, one

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


USE_CODE = """
    UPDATE one_time_code SET used_at = $3 WHERE msisdn = $1 AND id = $2 AND used_at IS NULL
"""


async def use_code(tx: Connection, msisdn: str, code_id: UUID, now: datetime) -> None:
    """Mark a code as used; the caller holds its row."""
    await tx.execute(USE_CODE, msisdn, code_id, now)


FORGET_REQUESTS = "DELETE FROM one_time_code_request WHERE at < $1"
FORGET_CODES = "DELETE FROM one_time_code WHERE expires_at < $1"


async def forget_requests(tx: Connection, before: datetime) -> int:
    """Drop codes that nobody can use any more, and what was kept only to count requests."""
    codes = changed(await tx.execute(FORGET_CODES, before))
    return codes + changed(await tx.execute(FORGET_REQUESTS, before))
