"""Tries to sign in, counted per party, so that nobody can try all passwords.

A try is counted before it is judged and forgiven when it was right: many at once are not more.
"""

import hashlib
from datetime import datetime, timedelta
from typing import cast

from spms.core.access import ActorKind
from spms.core.db import Connection
from spms.core.errors import TooManyRequests

FAILURES_MAX = 10
FAILURE_WINDOW = timedelta(minutes=15)

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1 || encode($2, 'hex'), 7))"
FAILURES = """
    SELECT count(*) FROM sign_in_failure WHERE kind = $1 AND subject_hash = $2 AND at > $3
"""
ADD_FAILURE = """
    INSERT INTO sign_in_failure (kind, subject_hash, at) VALUES ($1, $2, $3) RETURNING id
"""


async def count_try(tx: Connection, kind: ActorKind, subject: str, now: datetime) -> int:
    """Count a try as failed and return its id for `forgive`; the transaction must commit.

    Raises `TooManyRequests` after ten failed tries in fifteen minutes for one subject.
    """
    digest = hashlib.sha256(subject.encode()).digest()
    await tx.execute(LOCK, kind, digest)
    if await tx.fetchval(FAILURES, kind, digest, now - FAILURE_WINDOW) >= FAILURES_MAX:
        raise TooManyRequests("too many failed tries", headers={"Retry-After": "900"})
    return cast("int", await tx.fetchval(ADD_FAILURE, kind, digest, now))


FORGIVE = "DELETE FROM sign_in_failure WHERE id = $1"


async def forgive(tx: Connection, try_id: int) -> None:
    """Take a counted try back: the password was right."""
    await tx.execute(FORGIVE, try_id)
