"""The lane of batches, and the short way to it: `POST /authorisations/batch` without more.

As in `express`, the token is checked in the statement that decides, and whatever is not plain (one
with an Idempotency-Key, with very many kinds of questions, with something in it that is no question
or fails) takes the usual way: through a route, and into the same lane. A batch is decided whole: all
of its answers are on record, or none is.

Two batches of a process are under way at once, so that one is judged while the database reads or
writes the other's numbers. Every SP has a queue of its own, however many tokens it asks with and by
which way, and they are taken in turn.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import msgspec

from spms.authorisation import queries
from spms.authorisation.deciding import Outcome, decide_all
from spms.authorisation.engine import HEARD_MAX
from spms.authorisation.express import bearer
from spms.authorisation.model import BATCH_MAX
from spms.authorisation.reading import Unread, sound
from spms.authorisation.reservation_model import Answer, Ask
from spms.authorisation.several import Decisions
from spms.core import db
from spms.core.clock import Clock
from spms.core.db import Connection, Pool
from spms.core.edge import Headers
from spms.core.errors import Unavailable
from spms.core.http import RETRY

AT_ONCE: Final = 2
WAITING_MAX: Final = 64
"""Most batches that wait; the next one is answered 503."""
WAITING_EACH_MAX: Final = 16
"""Most of one asker's."""


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several questions that are still to be looked at."""

    items: Annotated[list[Unread], msgspec.Meta(min_length=1, max_length=BATCH_MAX)]


T = TypeVar("T")
Work = Callable[[Connection, datetime], Awaitable[T]]
"""What is done on a connection when a batch's turn has come."""

_batch = msgspec.json.Decoder(Batch)
_answer = msgspec.json.Encoder()


class Waiting(msgspec.Struct, frozen=True, eq=False):
    """A batch, and whoever waits for it."""

    work: Work[Any]
    answered: asyncio.Future[Any]


class Lane:
    """The batches of one process, on one pool."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        """Hold the pool; nothing is started before the first batch."""
        self.pool, self.clock = pool, clock
        self._waiting: dict[bytes | UUID, deque[Waiting]] = {}
        self._heard: dict[bytes, UUID] = {}
        self._size = self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def decide(self, token: bytes, asks: Sequence[Ask]) -> list[Outcome]:
        """Answer a batch; all of its answers are on record when this returns.

        Raises as `run` does: then nothing is on record.
        """

        async def work(connection: Connection, now: datetime) -> list[Outcome]:
            if len(self._heard) > HEARD_MAX:
                self._heard.clear()
            return await decide_all(connection, asks, now=now, heard=self._heard)

        return await self.run(self._heard.get(token, token), work)

    async def run(self, asker: bytes | UUID, work: Work[T]) -> T:
        """Do something with a connection in the asker's turn, and return what it returns.

        `asker` is an SP's id, or a token of which it is not known yet whose it is. Raises
        `Unavailable` when too many wait or the database cannot answer now, and whatever `work`
        raises.
        """
        if self._size >= WAITING_MAX or len(self._waiting.get(asker, ())) >= WAITING_EACH_MAX:
            raise Unavailable("too many batches wait", headers=RETRY)
        answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        one = Waiting(work, answered)
        self._waiting.setdefault(asker, deque()).append(one)
        self._size += 1
        if self._running < AT_ONCE:
            self._running += 1
            task = asyncio.create_task(self._run(), name="batches")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answered

    async def _run(self) -> None:
        try:
            while self._waiting:
                try:
                    await self._on_one_connection()
                except Exception as error:  # noqa: BLE001 - without a connection all fail alike
                    while self._waiting:
                        _fail(self._take(), error)
        finally:
            # Nothing is awaited between the last look at the queue and this line: whoever comes
            # later sees that nobody is at work and starts anew.
            self._running -= 1

    async def _on_one_connection(self) -> None:
        async with db.acquired(self.pool) as connection:
            await queries.plan(connection)
            while self._waiting:
                one = self._take()
                if one.answered.done():
                    continue  # whoever asked has gone
                try:
                    told = await one.work(connection, self.clock.now())
                except db.NOT_NOW as error:
                    _fail(one, error)
                except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                    if not one.answered.done():
                        one.answered.set_exception(error)
                else:
                    if not one.answered.done():
                        one.answered.set_result(told)
                if db.lost(connection):
                    return  # the next one gets another

    def _take(self) -> Waiting:
        """Take a batch of whoever has waited longest for a turn."""
        asker = next(iter(self._waiting))
        queue = self._waiting.pop(asker)
        one = queue.popleft()
        self._size -= 1
        if queue:
            self._waiting[asker] = queue  # behind everybody else
        return one


def _fail(one: Waiting, error: Exception) -> None:
    if not one.answered.done():
        refusal = Unavailable("the database cannot answer now", headers=RETRY)
        refusal.__cause__ = error
        one.answered.set_exception(refusal)


class Express:
    """Answers a batch; None where the usual way has to."""

    def __init__(self, lane: Lane) -> None:
        """Ask the lane of the process."""
        self._lane = lane

    async def __call__(self, headers: Headers, body: bytes) -> bytes | None:
        """Return the JSON of the decisions. Raises `Unavailable` when they cannot be had now."""
        token = bearer(headers)
        if token is None or b"idempotency-key" in headers:
            return None
        try:
            asked = _batch.decode(body).items
        except msgspec.DecodeError:
            return None
        if not sound(asked):
            return None
        asks = [Ask(request=one, token=token) for one in asked]
        try:
            told = await self._lane.decide(token, asks)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 - nothing was done; the usual way says what is wrong
            return None
        made = Decisions(items=[one.decision for one in told if isinstance(one, Answer)])
        return _answer.encode(made) if len(made.items) == len(told) else None
