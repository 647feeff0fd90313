"""Turns: requests that need a transaction of their own, shared out among those who send them.

So many are under way at once as leave connections of the pool to everybody else. Every asker has a
queue of its own, and a place that is free goes to whoever has waited longest for a turn; nobody has
all places. Who sends a hundred times as much as the others waits longer, and they do not.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from spms.core import db
from spms.core.access import Actor
from spms.core.errors import Unavailable

WAITING_MAX: Final = 4096
"""Most requests that wait; the next one is answered 503."""
WAITING_EACH_MAX: Final = 1024
"""Most of one asker's: two frames of captures of each of two streams."""
HEARD_MAX: Final = 10_000
"""Tokens of which it is remembered whose they are; for the queues alone."""
STRANGERS: Final = "strangers"
"""The asker of whatever comes with a token that is not known yet."""
RETRY: Final = {"Retry-After": "1"}


class Gone(Exception):  # noqa: N818 - no error: there is nobody to tell of one
    """Nobody waits for the answer any more."""


class Turns:
    """The places of one process."""

    def __init__(self, places: int) -> None:
        """Let so many be under way at once, and of one asker at least one fewer."""
        self._free, self._each = places, max(1, places - 1)
        self._held: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._heard: dict[bytes, str] = {}
        self.waiting = 0
        """How many requests wait for a place."""

    def hear(self, token: bytes, actor: Actor) -> None:
        """Remember whose a token is: whoever holds many has one queue."""
        if len(self._heard) > HEARD_MAX:
            self._heard.clear()
        self._heard[token] = f"{actor.kind}:{actor.subject}"

    @asynccontextmanager
    async def of(
        self, token: bytes, gone: "asyncio.Future[Any] | None" = None
    ) -> AsyncIterator[None]:
        """Hold a place for the block, when it is the turn of whoever holds the token.

        `token` is its SHA-256. Raises `Unavailable` when too many wait or it takes too long, and
        `Gone` when `gone` is done before: then the place in the queue is free.
        """
        asker = self._heard.get(token, STRANGERS)
        if asker not in self._waiting and self._may(asker):
            self._take(asker)
        else:
            await self._wait(asker, gone)
        try:
            yield
        finally:
            self._give_back(asker)

    def _may(self, asker: str) -> bool:
        return self._free > 0 and self._held.get(asker, 0) < self._each

    def _take(self, asker: str) -> None:
        self._free -= 1
        self._held[asker] = self._held.get(asker, 0) + 1

    def _give_back(self, asker: str) -> None:
        self._free += 1
        self._held[asker] -= 1
        if not self._held[asker]:
            del self._held[asker]
        following = next((one for one in self._waiting if self._may(one)), None)
        if following is not None:
            queue = self._waiting.pop(following)
            turn = queue.popleft()
            if queue:
                self._waiting[following] = queue  # behind everybody else
            self.waiting -= 1
            self._take(following)
            turn.set_result(None)

    async def _wait(self, asker: str, gone: "asyncio.Future[Any] | None") -> None:
        queue = self._waiting.get(asker, ())
        if self.waiting >= WAITING_MAX or len(queue) >= WAITING_EACH_MAX:
            raise Unavailable("too many requests wait", headers=RETRY)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(asker, deque()).append(turn)
        self.waiting += 1
        either = [turn] if gone is None else [turn, gone]
        try:
            await asyncio.wait(
                either, timeout=db.ACQUIRE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        except BaseException:
            if turn.done():
                self._give_back(asker)  # it was its turn just when it was called off
            else:
                self._leave(asker, turn)
            raise
        if not turn.done():
            self._leave(asker, turn)
            if gone is not None and gone.done():
                raise Gone
            raise Unavailable("the database is busy", headers=RETRY)

    def _leave(self, asker: str, turn: asyncio.Future[None]) -> None:
        queue = self._waiting[asker]
        queue.remove(turn)
        self.waiting -= 1
        if not queue:
            del self._waiting[asker]
