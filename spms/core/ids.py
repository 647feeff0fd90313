"""Identities: UUIDv7, so that rows made together sit together in an index.

They are made as the database driver's own kind of UUID: written as text and sent over the wire it
costs a tenth of the standard library's, and it is one of those all the same.
"""

import hashlib
from uuid import NAMESPACE_URL, UUID, uuid5

import uuid_utils
from asyncpg.pgproto import pgproto


def new_id() -> UUID:
    """Return a fresh, time-ordered identity."""
    return pgproto.UUID(uuid_utils.uuid7().bytes)


def derived_id(*parts: object) -> UUID:
    """Return the one identity that these parts always lead to (for effects that may be retried)."""
    return pgproto.UUID(uuid5(NAMESPACE_URL, "\x1f".join(str(part) for part in parts)).bytes)


def hashed_id(*parts: object) -> UUID:
    """Return the one identity that these parts always lead to, as SQL's `hashed_id` does (UUIDv8).

    For what is written from Python and from inside the database alike.
    """
    text = hashlib.sha256(":".join(str(part) for part in parts).encode()).hexdigest()
    return pgproto.UUID(f"{text[:12]}8{text[13:16]}8{text[17:32]}")
