"""Passwords of people: argon2id, in a thread, two at a time, so that sign-ins cannot starve the loop.

Memory 19 MiB, two passes, one lane: the OWASP minimum for argon2id.
"""

import asyncio
from weakref import WeakKeyDictionary

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

PASSWORD_LENGTH_MIN = 12

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
"""Of each loop: a semaphore that somebody waited for belongs to that loop for good."""
_NOBODY = _hasher.hash("nobody has this password")


def _two_at_a_time() -> asyncio.Semaphore:
    return _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(2))


async def hash_password(password: str) -> str:
    """Return the argon2id hash of a password."""
    async with _two_at_a_time():
        return await asyncio.to_thread(_hasher.hash, password)


async def password_matches(password: str, stored: str | None) -> bool:
    """Check a password; an unknown login costs the same time as a wrong password."""
    async with _two_at_a_time():
        return await asyncio.to_thread(_verify, password, stored)


def _verify(password: str, stored: str | None) -> bool:
    try:
        _hasher.verify(stored or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None
