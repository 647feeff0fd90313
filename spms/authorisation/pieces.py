"""Questions on their way: what came together, who waits, what is decided in one go, and by halves."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from spms.authorisation.deciding import Outcome
from spms.authorisation.reservation_model import Answer, Ask
from spms.core.db import NOT_NOW
from spms.core.errors import Unavailable
from spms.core.http import RETRY

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


def move(queue: deque[Piece], taken: list[Piece], most: int) -> int:
    """Take from a queue's first piece what there is room for; return how many questions."""
    first = queue.popleft()
    if first.stop - first.start > most:
        queue.appendleft(first._replace(start=first.start + most))
        first = first._replace(stop=first.start + most)
    taken.append(first)
    return first.stop - first.start


def halves(taken: Sequence[Piece], most: int) -> tuple[list[Piece], list[Piece]]:
    """Part what a round took, its first `most` questions from the others."""
    first, rest = list[Piece](), deque(taken)
    while most:
        most -= move(rest, first, most)
    return first, list(rest)


Decide = Callable[[Sequence[Ask]], Awaitable[list[Outcome]]]
"""Decides questions together: all of them are on record when it returns, none when it raises."""


async def decide_by_halves(taken: Sequence[Piece], decide: Decide) -> None:
    """Decide together and tell all; when that fails, find the question that spoils it by halves.

    That the database cannot answer now is no question's fault: then whoever is left is told so.
    """
    asks = [ask for one in taken for ask in one.asks]
    try:
        outcomes = await decide(asks)
    except NOT_NOW as error:
        fail_all(taken, error)
    except Exception as error:  # noqa: BLE001 - whatever it is belongs to whoever asked it
        if len(asks) == 1:
            taken[0].group.tell(taken[0].start, [error])
            return
        for half in halves(taken, len(asks) // 2):
            await decide_by_halves(half, decide)
    else:
        tell_all(taken, outcomes)


def tell_all(taken: Sequence[Piece], outcomes: Sequence[Outcome]) -> None:
    """Hand a round's outcomes, in its order, to those who wait for them."""
    at = 0
    for one in taken:
        size = one.stop - one.start
        one.group.tell(one.start, outcomes[at : at + size])
        at += size


def fail_all(taken: Sequence[Piece], error: Exception) -> None:
    """Tell all who are in a round that the database cannot answer now."""
    refusal = Unavailable("the database cannot answer now", headers=RETRY)
    refusal.__cause__ = error
    for one in taken:
        one.group.tell(one.start, [refusal] * (one.stop - one.start))
