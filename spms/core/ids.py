"""Identities: UUIDv7, so that rows made together sit together in an index."""

import hashlib
from uuid import NAMESPACE_URL, UUID, uuid5

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a fresh, time-ordered identity."""
    return uuid7()


def derived_id(*parts: object) -> UUID:
    """Return the one identity that these parts always lead to (for effects that may be retried)."""
    return uuid5(NAMESPACE_URL, "\x1f".join(str(part) for part in parts))


def hashed_id(*parts: object) -> UUID:
    """Return the one identity that these parts always lead to, as SQL's `hashed_id` does (UUIDv8).

    For what is written from Python and from inside the database alike.
    """
    text = hashlib.sha256(":".join(str(part) for part in parts).encode()).hexdigest()
    return UUID(f"{text[:12]}8{text[13:16]}8{text[17:32]}")
