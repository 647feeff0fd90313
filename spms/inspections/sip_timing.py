"""Waiting and repeating: the timers of SIP over UDP (RFC 3261 section 17, table 4).

Datagrams get lost, so a request is sent again at growing intervals until something happened.
Times are those of the event loop (seconds, monotonic); what the clock on the wall says plays no
part here.
"""

import asyncio
from collections.abc import Callable

T2_SECONDS = 4.0  # longest interval between repeats of anything but INVITE
PATIENCE_IN_T1 = 64  # timers B, F and H: how long a transaction is kept alive, in units of T1
LATE_TURNS = 3  # of the loop: what lies in the sockets by then has been read


async def _heard_late(fact: Callable[[], bool]) -> bool:
    """Whether it is true once what lies in the sockets has been read.

    A process that was held up learns of the deadline first. Nobody can tell any more when the answer
    that waits for it came, so it is heard; whether the line let it ring too long is judged apart.
    """
    for _ in range(LATE_TURNS):
        if fact():
            return True
        await asyncio.sleep(0)
    return fact()


class Watch:
    """Lets coroutines wait until a fact, changed by arriving datagrams, has come true."""

    def __init__(self) -> None:
        self._happened = asyncio.Event()

    def tell(self) -> None:
        """Say that a fact may have changed."""
        self._happened.set()

    async def until(self, fact: Callable[[], bool], deadline: float) -> bool:
        """Wait for the fact, at most to the deadline (loop time); return whether it is true."""
        while not fact():
            self._happened.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._happened.wait()
            except TimeoutError:
                return await _heard_late(fact)
        return True

    async def repeat(
        self,
        send: Callable[[], None],
        fact: Callable[[], bool],
        *,
        first: float,
        longest: float,
        deadline: float,
    ) -> bool:
        """Send, and send again after `first`, twice that … up to `longest` seconds, till the fact.

        Returns whether the fact came true before the deadline (loop time).
        """
        now = asyncio.get_running_loop().time
        interval, planned = first, now()
        while True:
            send()
            planned += interval  # from plan to plan: a late wake-up does not move the next one
            if await self.until(fact, min(planned, deadline)):
                return True
            if now() >= deadline:
                return False
            interval = min(2 * interval, longest)
