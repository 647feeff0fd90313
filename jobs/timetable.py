"""What a job is: a slot of a schedule, in one piece or in chunks, or a pump on a queue."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from spms.core import slots
from spms.core.access import Actor
from spms.core.clock import Clock
from spms.core.db import Connection, Pool
from spms.core.settings import Settings
from spms.inspections.prober import Prober
from spms.messaging.links import Link


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of one process work with."""

    pool: Pool
    clock: Clock
    settings: Settings
    link: Link
    prober: Prober


class Work(Protocol):
    """What a slot job does: everything in the one transaction that also marks the slot done."""

    async def __call__(self, tx: Connection, *, actor: Actor, now: datetime) -> str:
        """Do it and say in a few words what came of it."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one chunk of a slot."""

    words: str
    position: str | None = None
    """Where the next chunk begins; null: that was the last."""


class ChunkWork(Protocol):
    """One chunk of a slot, in the one transaction that also keeps how far the slot has come."""

    async def __call__(
        self, tx: Connection, *, position: str | None, actor: Actor, now: datetime
    ) -> Chunk:
        """Do the chunk that begins at `position`; null is the beginning."""


class Scheduled(msgspec.Struct, frozen=True, kw_only=True):
    """When a job is due, and what its worker may take."""

    name: str
    every: timedelta
    """Slots are the multiples of this since the start of 1970 in UTC, plus `offset`."""
    offset: timedelta = timedelta()
    catch_up: int = 1
    """How many missed slots are run late; older ones are never opened."""
    lease: timedelta = slots.LEASE
    """After so long without a sign of life its worker is taken for dead."""
    longest: timedelta = timedelta(minutes=10)
    """A slot (of a job in chunks: a chunk) that takes longer is broken off and counts as failed."""

    def slots(self, after: datetime | None, until: datetime) -> list[datetime]:
        """Return the slots in (after, until], oldest first, at most `catch_up` of them."""
        newest = self.newest(until)
        found: list[datetime] = []
        while len(found) < self.catch_up and (after is None or newest > after):
            found.append(newest)
            newest -= self.every
            if after is None:
                break
        return found[::-1]

    def newest(self, until: datetime) -> datetime:
        """Return the latest slot that is not after an instant."""
        origin = datetime(1970, 1, 1, tzinfo=UTC) + self.offset
        return origin + self.every * ((until - origin) // self.every)


class SlotJob(Scheduled, frozen=True, kw_only=True):
    """A job that runs once per slot, in one transaction."""

    work: Work


class ChunkJob(Scheduled, frozen=True, kw_only=True):
    """A job that runs once per slot, in many transactions: a new worker goes on where one died."""

    work: ChunkWork


class PumpJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that empties a queue as soon as something is in it."""

    name: str
    pump: Callable[[House], Awaitable[int]]
    """Handles some of what waits, in transactions of its own, and returns how much."""


Job = SlotJob | ChunkJob | PumpJob
