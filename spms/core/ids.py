"""Identities: UUIDv7, so that rows made together sit together in an index."""

from uuid import NAMESPACE_URL, UUID, uuid5

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a fresh, time-ordered identity."""
    return uuid7()


def derived_id(*parts: object) -> UUID:
    """Return the one identity that these parts always lead to (for effects that may be retried)."""
    return uuid5(NAMESPACE_URL, "\x1f".join(str(part) for part in parts))
