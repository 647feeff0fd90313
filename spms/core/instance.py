"""What tells one SPMS from another: a secret that all processes on one database share."""

from spms.core.db import Connection

SECRET = "SELECT secret FROM instance"  # noqa: S105


async def instance_secret(read: Connection) -> bytes:
    """Return the secret: it signs cursors and one-time codes, and keys pseudonyms."""
    secret: bytes = await read.fetchval(SECRET)
    return secret
