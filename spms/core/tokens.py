"""Bearer tokens, of one kind for every actor: only their hashes are kept, and they end at once."""

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from spms.core.access import Actor
from spms.core.db import Connection, one

ADD_TOKEN = """
    INSERT INTO access_token (token_sha256, credential_id, issued_at, expires_at)
    VALUES ($1, $2, $3, $4)
"""  # noqa: S105 - a statement


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token as RFC 6749 §5.1 hands it out."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - its kind
    expires_in: int
    """Seconds."""


async def issue_token(
    tx: Connection, credential_id: UUID, *, lifetime: timedelta, now: datetime
) -> Token:
    """Issue a token for a credential; only its hash is kept."""
    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).digest()
    await tx.execute(ADD_TOKEN, digest, credential_id, now, now + lifetime)
    return Token(access_token=token, expires_in=int(lifetime.total_seconds()))


ACTOR = """
    SELECT c.kind, c.id AS credential_id, c.subject, c.name, c.roles, c.epoch
      FROM access_token t JOIN credential c ON c.id = t.credential_id
     WHERE t.token_sha256 = $1 AND t.expires_at > $2
       AND t.revoked_at IS NULL AND c.revoked_at IS NULL
"""


async def actor_of(read: Connection, token: str, now: datetime) -> Actor | None:
    """Return who holds the token, or None when it is unknown, expired or revoked."""
    digest = hashlib.sha256(token.encode()).digest()
    return one(Actor, await read.fetchrow(ACTOR, digest, now))


REVOKE_TOKEN = """
    UPDATE access_token SET revoked_at = $2 WHERE token_sha256 = $1 AND revoked_at IS NULL
"""  # noqa: S105


async def revoke_token(tx: Connection, token: str, now: datetime) -> None:
    """Sign out: this one token stops working."""
    await tx.execute(REVOKE_TOKEN, hashlib.sha256(token.encode()).digest(), now)
