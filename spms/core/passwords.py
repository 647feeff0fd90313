"""Passwords of people: argon2id, in a thread, two at a time, so that sign-ins cannot starve the loop.

Memory 19 MiB, two passes, one lane: the OWASP minimum for argon2id.
"""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

PASSWORD_LENGTH_MIN = 12

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_slots = asyncio.Semaphore(2)
_NOBODY = _hasher.hash("nobody has this password")


async def hash_password(password: str) -> str:
    """Return the argon2id hash of a password."""
    async with _slots:
        return await asyncio.to_thread(_hasher.hash, password)


async def password_matches(password: str, stored: str | None) -> bool:
    """Check a password; an unknown login costs the same time as a wrong password."""
    async with _slots:
        return await asyncio.to_thread(_verify, password, stored)


def _verify(password: str, stored: str | None) -> bool:
    try:
        _hasher.verify(stored or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None
