"""One engine for every entrance: questions that come at the same time are decided together.

There is no timer. The first question starts a round; those that come while it is under way wait
and are the next round, whoever asked them and through which entrance. So a lone question waits for
nobody, and the busier it is the more of them share one statement and one commit.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from spms.authorisation import queries
from spms.authorisation.deciding import Outcome, decide_all, given
from spms.authorisation.reservation_model import Answer, Ask
from spms.core import db
from spms.core.clock import Clock
from spms.core.db import NOT_NOW, Connection, Pool
from spms.core.errors import Unavailable
from spms.core.http import RETRY

ROUND_MAX: Final = 256
"""Most questions in one round."""
WAITING_MAX: Final = 4096
"""Most questions that wait; the next one is answered 503."""
ROUNDS_AT_ONCE: Final = 1
"""More of them would only wait for each other's processor, and make the slowest answer slower."""

AWAY: Final[tuple[type[Exception], ...]] = (Unavailable, *NOT_NOW)
"""What says that there is no connection to decide on."""


class Waiting(NamedTuple):
    """A question and whoever waits for its answer."""

    ask: Ask
    answered: asyncio.Future[Answer]


class Engine:
    """The rounds of one process, on one pool."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        """Hold the pool; nothing is started before the first question."""
        self.pool, self.clock = pool, clock
        self._waiting: deque[Waiting] = deque()
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many questions wait for a round."""
        return len(self._waiting)

    async def decide(self, ask: Ask) -> Answer:
        """Answer one question; its answer is on record when this returns.

        Raises the question's own refusal (`Unauthenticated`, `Forbidden`, `ReferenceReused`), and
        `Unavailable` when too many wait or the database cannot answer now.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise Unavailable("too many questions wait", headers=RETRY)
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(ask, answered))
        if self._running < ROUNDS_AT_ONCE:
            self._start()
        return await answered

    def _start(self) -> None:
        self._running += 1
        task = asyncio.create_task(self._run(), name="decide")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            await self._rounds()
        finally:
            # Nothing is awaited between the last look at the queue and this line: whoever comes
            # later sees that nobody is at work and starts anew.
            self._running -= 1

    async def _rounds(self) -> None:
        while self._waiting:
            try:
                # One connection for as long as somebody waits: borrowing and giving back costs
                # as much as a small round.
                async with db.acquired(self.pool) as connection:
                    await queries.plan(connection)
                    while await self._taken(connection):
                        pass
            except AWAY as error:
                _fail_all(self._take(len(self._waiting)), error)

    async def _taken(self, connection: Connection) -> bool:
        """Decide one round; False when nobody waits any more."""
        # Whoever became ready in this turn of the loop joins the round.
        await asyncio.sleep(0)
        taken = self._take(ROUND_MAX)
        if taken:
            await self._round(connection, taken)
        return bool(self._waiting)

    def _take(self, most: int) -> list[Waiting]:
        """Take those who wait, but for those who have gone away."""
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        return [one for one in taken if not one.answered.done()]

    async def _round(self, connection: Connection, taken: Sequence[Waiting]) -> None:
        """Decide together; when that fails, find the question that spoils it by halves.

        Raises what shows that the connection cannot go on, after those of this round were told.
        """
        try:
            outcomes = await self._decide(connection, [one.ask for one in taken])
        except NOT_NOW as error:
            _fail_all(taken, error)
            if connection.is_closed():
                raise
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to whoever asked it
            if len(taken) == 1:
                _fail(taken[0], error)
                return
            half = len(taken) // 2
            await self._round(connection, taken[:half])
            await self._round(connection, taken[half:])
        else:
            for one, outcome in zip(taken, outcomes, strict=True):
                _answer(one, outcome)

    async def _decide(self, connection: Connection, asks: Sequence[Ask]) -> list[Outcome]:
        now: datetime = self.clock.now()
        async with connection.transaction():
            return await decide_all(connection, asks, now=now)


def _answer(one: Waiting, outcome: Outcome) -> None:
    if one.answered.done():
        return
    try:
        one.answered.set_result(given(outcome))
    except Exception as refusal:  # noqa: BLE001 - handed to whoever waits for it
        one.answered.set_exception(refusal)


def _fail_all(taken: Sequence[Waiting], error: Exception) -> None:
    refusal = Unavailable("the database cannot answer now", headers=RETRY)
    refusal.__cause__ = error
    for one in taken:
        _fail(one, refusal)


def _fail(one: Waiting, error: Exception) -> None:
    if not one.answered.done():
        one.answered.set_exception(error)
