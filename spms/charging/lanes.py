"""Chunks of one file on their way at once, each on a connection of its own, landed in their order.

A chunk holds its numbers and claims its ids only when the one before has done so: so nobody who holds
waits for somebody who still takes, and what comes first in the file stands first. It is counted only
when the one before is committed, and only if the file stands where the chunk begins: so whatever dies,
the file is through up to some chunk and not beyond.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from spms.charging.staging import Chunk
from spms.core.db import Connection, Pool, transaction

LANES: Final = 2
"""More would keep other work waiting for connections and, on two cores, gain nothing."""


class Broken(Exception):  # noqa: N818 -- said to the chunks behind, never to anybody outside
    """The chunk before did not land, so this one does not either."""


class Overtaken(Exception):  # noqa: N818 -- no failure: the file is further than this chunk
    """Another connection landed the same lines of the same file."""


class Lane:
    """How far a chunk is, for the one behind it."""

    def __init__(self, before: "Lane | None") -> None:
        """Start behind another chunk, or as the first."""
        self._before = before
        self._held = asyncio.Event()
        self._landed = asyncio.Event()
        self._broken = False

    async def may_hold(self) -> None:
        """Wait until the chunk before holds all it needs; raise `Broken`."""
        if self._before is not None:
            await self._before._held.wait()  # noqa: SLF001 -- one of us
            self._go_on()

    def holds(self) -> None:
        """Let the chunk behind take what it needs."""
        self._held.set()

    async def may_land(self) -> None:
        """Wait until the chunk before is committed; raise `Broken`."""
        if self._before is not None:
            await self._before._landed.wait()  # noqa: SLF001 -- one of us
            self._go_on()
            self._before = None

    def ends(self, *, broken: bool) -> None:
        """Tell the chunk behind that this one is committed, or never will be."""
        self._broken = broken
        self._held.set()
        self._landed.set()

    def _go_on(self) -> None:
        if self._before is not None and self._before._broken:  # noqa: SLF001 -- one of us
            raise Broken


Land = Callable[[Connection, Chunk, Lane], Awaitable[None]]


async def land_all(pool: Pool, read: Callable[[], Chunk], land: Land) -> None:
    """Land chunks until one comes without lines; each in a transaction of its own.

    What a chunk raises is raised once all before it are committed; those behind it are rolled back.
    """
    running: deque[asyncio.Task[None]] = deque()
    before: Lane | None = None
    try:
        while (chunk := await asyncio.to_thread(read)).raws:
            lane = Lane(before)
            running.append(asyncio.create_task(_in_lane(pool, chunk, land, lane)))
            before = lane
            if len(running) == LANES:
                await running.popleft()
        while running:
            await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _in_lane(pool: Pool, chunk: Chunk, land: Land, lane: Lane) -> None:
    broken = True
    try:
        async with transaction(pool) as tx:
            await land(tx, chunk, lane)
        broken = False
    finally:
        lane.ends(broken=broken)
