"""One engine for every entrance: questions that come at the same time are decided together.

The first question starts a round; those that come while it is under way wait and are the next
round, whoever asked them and through which entrance. So a lone question waits for nobody, and the
busier it is the more of them share one statement and one commit. Only after a round of many the next
one waits until as many have come again, a millisecond at most: those who were just answered ask again.

Every SP has a queue of its own, however many tokens it asks with, and every round takes from all of
them in turn: who asks a hundred times as much as the others waits longer, and they do not. Tokens that
no round has seen yet, and those that are nobody's, share one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from spms.authorisation import queries
from spms.authorisation.deciding import Outcome, decide_all
from spms.authorisation.pieces import Group, Piece, Single, Told, decide_by_halves, fail_all, move
from spms.authorisation.reservation_model import Answer, Ask
from spms.core import db
from spms.core.clock import Clock
from spms.core.db import Connection, Pool
from spms.core.errors import Unavailable
from spms.core.http import RETRY

ROUND_MAX: Final = 512
"""Most questions in one round."""
SHARE_MAX: Final = 64
"""Most questions of one asker in a round for which somebody waits who asks no more than that. Where
all ask more, they share the whole round: many small ones would serve each of them later."""
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
"""So many answered by the last round, and the next one waits until they have come back …"""
PAUSE_SECONDS: Final = 0.001
"""… so long at most: they ask again at once, and a round costs as much as twenty questions in it."""


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
        """Groups of questions: how many came since the last round began, how many it answers."""
        self._crowded: asyncio.Future[None] | None = None
        """Somebody waits until as many have come as the last round answered."""
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
        if self._crowded is not None:
            if not self._expecting():
                self._go_on(self._crowded)
        elif self._running < (ROUNDS_AT_ONCE if self.waiting < MANY else LARGE_AT_ONCE):
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
            if not self._running:
                self._last = 0

    async def _rounds(self) -> None:
        while self.waiting:
            try:
                # One connection for as long as somebody waits: borrowing and giving back costs
                # as much as a small round.
                async with db.acquired(self.pool) as connection:
                    await queries.plan(connection)
                    while await self._taken(connection):
                        pass
            except Exception as error:  # noqa: BLE001 - without a connection all fail alike
                while self.waiting:
                    fail_all(self._take(), error)

    async def _taken(self, connection: Connection) -> bool:
        """Decide one round; False when nobody waits any more, nor will in a moment.

        After a crowd those who were just answered are waited for with the connection in hand: where
        all of them were in the round nobody waits at its end, and a moment later all do.
        """
        # Whoever became ready in this turn of the loop joins the round.
        await asyncio.sleep(0)
        if self._expecting():
            await self._crowd()
        answers, taken = 0, self._take()
        if taken:
            answers = sum(one.stop == len(one.group.asks) for one in taken)
            self._came, self._last = 0, answers
            await self._round(connection, taken)
        if db.lost(connection):
            return False  # the next round is another one's
        return bool(self.waiting) or answers >= CROWD

    def _expecting(self) -> bool:
        """Whether some of those who were just answered should come back before the next round.

        Whoever got only a part of their answers does not ask again yet; and a round that is full
        waits for nobody.
        """
        return self._last >= CROWD and self._came < self._last and self.waiting < ROUND_MAX

    async def _crowd(self) -> None:
        """Wait until they have come, or for long enough; who waits already is joined."""
        if self._crowded is None:
            loop = asyncio.get_running_loop()
            crowded = self._crowded = loop.create_future()
            late = loop.call_later(PAUSE_SECONDS, self._go_on, crowded)
            crowded.add_done_callback(lambda _: late.cancel())
        # Not the future itself: one that is cancelled must not take it from the other.
        await asyncio.wait([self._crowded])

    def _go_on(self, crowded: asyncio.Future[None]) -> None:
        """Wake those who wait for a crowd."""
        if not crowded.done():
            crowded.set_result(None)
        if self._crowded is crowded:
            self._crowded = None

    def _take(self) -> list[Piece]:
        """Take some of everybody who waits, and all the more the fewer they are."""
        taken: list[Piece] = []
        room, share = ROUND_MAX, self._share()
        for asker in list(self._waiting)[: max(1, room // share)]:
            queue, most = self._waiting.pop(asker), min(share, room)
            took = 0
            while queue and took < most:
                took += move(queue, taken, most - took)
            room, self.waiting = room - took, self.waiting - took
            self._sizes[asker] -= took
            if queue:
                self._waiting[asker] = queue  # behind everybody else
            else:
                del self._sizes[asker]
            if not room:
                break
        return [one for one in taken if not one.group.given_up()]

    def _share(self) -> int:
        """Return how much of a round each of those who wait may have."""
        askers = len(self._waiting)
        if 0 < askers < ROUND_MAX // SHARE_MAX and min(self._sizes.values()) > SHARE_MAX:
            return ROUND_MAX // askers
        return SHARE_MAX

    async def _round(self, connection: Connection, taken: Sequence[Piece]) -> None:
        """Decide together, and tell those who asked."""

        async def decide(asks: Sequence[Ask]) -> list[Outcome]:
            if len(self._heard) > HEARD_MAX:
                self._heard.clear()
            return await decide_all(connection, asks, now=self.clock.now(), heard=self._heard)

        await decide_by_halves(taken, decide)
