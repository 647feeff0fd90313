"""One engine for every entrance: questions that come at the same time are decided together.

The first question starts a round; those that come while it is under way wait and are the next
round, whoever asked them and through which entrance. So a lone question waits for nobody, and the
busier it is the more of them share one statement and one commit. Only after a round of many, when
few have come yet, the next one waits a millisecond: those who were just answered ask again.

Every SP has a queue of its own, however many tokens it asks with, and every round takes from all of
them in turn: who asks a hundred times as much as the others waits longer, and they do not. Tokens that
no round has seen yet, and those that are nobody's, share one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from spms.authorisation import queries
from spms.authorisation.deciding import Outcome, decide_all
from spms.authorisation.reservation_model import Answer, Ask
from spms.core import db
from spms.core.clock import Clock
from spms.core.db import NOT_NOW, Connection, Pool
from spms.core.errors import Unavailable
from spms.core.http import RETRY

ROUND_MAX: Final = 512
"""Most questions in one round."""
SHARE_MAX: Final = 64
"""Most questions of one asker in a round for which others wait too."""
WAITING_MAX: Final = 4096
"""Most questions that wait; the next one is answered 503."""
WAITING_EACH_MAX: Final = 2048
"""Most of one asker's: the others still find room."""
STRANGERS: Final = "strangers"
"""The asker of whatever comes with a token that is not known yet."""
HEARD_MAX: Final = 10_000
"""Tokens of which it is remembered whose they are; for the queues alone, never for an answer."""
ROUNDS_AT_ONCE: Final = 1
"""More small ones would only wait for each other's processor, and make the slowest answer slower."""
LARGE_AT_ONCE: Final = 2
"""Where many wait, the database reads and writes for one round while another is judged."""
MANY: Final = 100
"""So many that wait are worth a round of their own."""

CROWD: Final = 8
"""So many in the last round, and the next one waits for those who have just been answered …"""
PAUSE_SECONDS: Final = 0.001
"""… so long: most of them ask again at once, and a round costs as much as twenty questions in it."""

AWAY: Final[tuple[type[Exception], ...]] = (Unavailable, *NOT_NOW)
"""What says that there is no connection to decide on."""

NOTHING: Final = Unavailable("not decided yet")
Told = Answer | Exception
"""What becomes of a question: its answer, or what is to be raised to whoever asked."""


class Group:
    """Questions that came together, and whoever waits for their answers."""

    __slots__ = ("answered", "asks", "left", "told")

    def __init__(self, asks: Sequence[Ask]) -> None:
        """Wait for all of them."""
        self.asks, self.left = asks, len(asks)
        self.told: list[Told] = [NOTHING] * len(asks)
        self.answered: asyncio.Future[list[Told]] = asyncio.get_running_loop().create_future()

    def tell(self, start: int, told: Sequence[Told]) -> None:
        """Take what became of some of the questions; whoever waits goes on after the last."""
        self.told[start : start + len(told)] = told
        self.left -= len(told)
        if not self.left and not self.answered.done():
            self.answered.set_result(self.told)

    def given_up(self) -> bool:
        """Whether nobody waits any more."""
        return self.answered.done()


class Single:
    """One question of somebody who is called when it is answered."""

    __slots__ = ("_call", "asks")

    def __init__(self, ask: Ask, call: Callable[[Told], None]) -> None:
        """Keep both."""
        self.asks, self._call = (ask,), call

    def tell(self, _start: int, told: Sequence[Told]) -> None:
        """Call; a fault in what is called must not take their answers from the others."""
        try:
            self._call(told[0])
        except Exception as error:  # noqa: BLE001 - whatever it is
            context = {"message": "a decision could not be handed over", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def given_up(self) -> bool:
        """Never: its place in the round is cheaper than to ask."""
        return False


class Piece(NamedTuple):
    """Some questions of a group that go into one round."""

    group: Group | Single
    start: int
    stop: int

    @property
    def asks(self) -> Sequence[Ask]:
        """Return the questions."""
        return self.group.asks[self.start : self.stop]


class Engine:
    """The rounds of one process, on one pool."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        """Hold the pool; nothing is started before the first question."""
        self.pool, self.clock = pool, clock
        self._waiting: dict[object, deque[Piece]] = {}
        self._sizes: dict[object, int] = {}
        self._heard: dict[bytes, UUID] = {}
        self._running = 0
        self._came, self._last = 0, 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.waiting = 0
        """How many questions wait for a round."""

    async def decide(self, ask: Ask) -> Answer:
        """Answer one question; its answer is on record when this returns.

        Raises the question's own refusal (`Unauthenticated`, `Forbidden`, `ReferenceReused`), and
        `Unavailable` when too many wait or the database cannot answer now.
        """
        (told,) = await self._wait((ask,))
        if isinstance(told, Exception):
            raise told
        return told

    def start(self, ask: Ask, call: Callable[[Told], None]) -> None:
        """Answer one question by a call, once it is on record.

        Raises `Unavailable` when too many wait, and does not call then.
        """
        self._enter(Single(ask, call))

    async def decide_all(self, asks: Sequence[Ask]) -> list[Told]:
        """Answer questions of one asker that came together, each for itself, in their order.

        They may be decided in several rounds. Raises `Unavailable` when too many wait.
        """
        return await self._wait(asks)

    def _wait(self, asks: Sequence[Ask]) -> asyncio.Future[list[Told]]:
        group = Group(asks)
        self._enter(group)
        return group.answered

    def _enter(self, group: Group | Single) -> None:
        asks = group.asks
        token = asks[0].token
        asker = asks[0].sp_id if token is None else self._heard.get(token, STRANGERS)
        own = self._sizes.get(asker, 0) + len(asks)
        if self.waiting + len(asks) > WAITING_MAX or own > WAITING_EACH_MAX:
            raise Unavailable("too many questions wait", headers=RETRY)
        self._waiting.setdefault(asker, deque()).append(Piece(group, 0, len(asks)))
        self._sizes[asker] = own
        self.waiting += len(asks)
        self._came += 1
        if self._running < (ROUNDS_AT_ONCE if self.waiting < MANY else LARGE_AT_ONCE):
            self._start()

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
        while self.waiting:
            try:
                # One connection for as long as somebody waits: borrowing and giving back costs
                # as much as a small round.
                async with db.acquired(self.pool) as connection:
                    await queries.plan(connection)
                    while await self._taken(connection):
                        pass
            except AWAY as error:
                while self.waiting:
                    _fail_all(self._take(), error)

    async def _taken(self, connection: Connection) -> bool:
        """Decide one round; False when nobody waits any more."""
        # Whoever became ready in this turn of the loop joins the round.
        await asyncio.sleep(0)
        if self._last >= CROWD and self._came * 4 < self._last * 3:
            await asyncio.sleep(PAUSE_SECONDS)
        self._came = 0
        taken = self._take()
        self._last = len(taken)
        if taken:
            await self._round(connection, taken)
        return bool(self.waiting)

    def _take(self) -> list[Piece]:
        """Take some of everybody who waits, and all the more the fewer they are."""
        taken: list[Piece] = []
        room = ROUND_MAX
        share = room if len(self._waiting) == 1 else min(SHARE_MAX, room)
        for asker in list(self._waiting)[: max(1, room // share)]:
            queue, most = self._waiting.pop(asker), min(share, room)
            before = most
            while queue and most:
                most -= _move(queue, taken, most)
            room -= before - most
            self.waiting -= before - most
            self._sizes[asker] -= before - most
            if queue:
                self._waiting[asker] = queue  # behind everybody else
            else:
                del self._sizes[asker]
            if not room:
                break
        return [one for one in taken if not one.group.given_up()]

    async def _round(self, connection: Connection, taken: Sequence[Piece]) -> None:
        """Decide together; when that fails, find the question that spoils it by halves.

        Raises what shows that the connection cannot go on, after those of this round were told.
        """
        asks = [ask for one in taken for ask in one.asks]
        try:
            if len(self._heard) > HEARD_MAX:
                self._heard.clear()
            outcomes = await decide_all(connection, asks, now=self._now(), heard=self._heard)
        except NOT_NOW as error:
            _fail_all(taken, error)
            if connection.is_closed():
                raise
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to whoever asked it
            if len(asks) == 1:
                taken[0].group.tell(taken[0].start, [error])
                return
            for half in _halves(taken, len(asks) // 2):
                await self._round(connection, half)
        else:
            _tell(taken, outcomes)

    def _now(self) -> datetime:
        return self.clock.now()


def _move(queue: deque[Piece], taken: list[Piece], most: int) -> int:
    """Take from a queue's first piece what there is room for; return how many questions."""
    first = queue.popleft()
    if first.stop - first.start > most:
        queue.appendleft(first._replace(start=first.start + most))
        first = first._replace(stop=first.start + most)
    taken.append(first)
    return first.stop - first.start


def _halves(taken: Sequence[Piece], most: int) -> tuple[list[Piece], list[Piece]]:
    first: list[Piece] = []
    rest = deque(taken)
    while most:
        most -= _move(rest, first, most)
    return first, list(rest)


def _tell(taken: Sequence[Piece], outcomes: Sequence[Outcome]) -> None:
    at = 0
    for one in taken:
        size = one.stop - one.start
        one.group.tell(one.start, outcomes[at : at + size])
        at += size


def _fail_all(taken: Sequence[Piece], error: Exception) -> None:
    refusal = Unavailable("the database cannot answer now", headers=RETRY)
    refusal.__cause__ = error
    for one in taken:
        one.group.tell(one.start, [refusal] * (one.stop - one.start))
