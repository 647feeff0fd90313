"""Failed tries to sign in, counted per party, so that nobody can try all passwords."""

import hashlib
from datetime import datetime, timedelta

from spms.core.access import ActorKind
from spms.core.db import Connection
from spms.core.errors import TooManyRequests

FAILURES_MAX = 10
FAILURE_WINDOW = timedelta(minutes=15)

FAILURES = """
    SELECT count(*) FROM sign_in_failure WHERE kind = $1 AND subject_hash = $2 AND at > $3
"""
ADD_FAILURE = "INSERT INTO sign_in_failure (kind, subject_hash, at) VALUES ($1, $2, $3)"


async def check(read: Connection, kind: ActorKind, subject: str, now: datetime) -> None:
    """Raise `TooManyRequests` after ten failed tries in fifteen minutes for one subject."""
    digest = hashlib.sha256(subject.encode()).digest()
    if await read.fetchval(FAILURES, kind, digest, now - FAILURE_WINDOW) >= FAILURES_MAX:
        raise TooManyRequests("too many failed tries", headers={"Retry-After": "900"})


async def note(tx: Connection, kind: ActorKind, subject: str, now: datetime) -> None:
    """Remember a failed try; the caller's transaction must commit although it refuses."""
    await tx.execute(ADD_FAILURE, kind, hashlib.sha256(subject.encode()).digest(), now)
