"""What a job is: a slot of a schedule, or a pump that empties a queue."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

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


class SlotJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that runs once per slot."""

    name: str
    every: timedelta
    """Slots are the multiples of this since the start of 1970 in UTC, plus `offset`."""
    offset: timedelta = timedelta()
    catch_up: int = 1
    """How many missed slots are run late; older ones are never opened."""
    work: Work

    def slots(self, after: datetime | None, until: datetime) -> list[datetime]:
        """Return the slots in (after, until], oldest first, at most `catch_up` of them."""
        step, origin = self.every, datetime(1970, 1, 1, tzinfo=UTC) + self.offset
        newest = origin + step * ((until - origin) // step)
        found: list[datetime] = []
        while len(found) < self.catch_up and (after is None or newest > after):
            found.append(newest)
            newest -= step
            if after is None:
                break
        return found[::-1]


class PumpJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that empties a queue as soon as something is in it."""

    name: str
    pump: Callable[[House], Awaitable[int]]
    """Handles some of what waits, in transactions of its own, and returns how much."""
