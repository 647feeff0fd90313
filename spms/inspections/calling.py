"""Places the calls that are due: takes and commits, calls without a transaction, records, judges.

A result waits for a database that is away, as long as its call's lease lasts. Whatever else happens
between taking and recording, a crash of the process included, leaves a lease that ends; the
attempt is then `unknown`, counts for nothing, and another one follows later.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final, Protocol

import asyncpg
import structlog

from spms.core import db
from spms.core.clock import Clock
from spms.core.db import Connection, Pool
from spms.core.errors import Unavailable
from spms.inspections import actions, verdict_queries
from spms.inspections.model import Placing
from spms.inspections.prober import Prober
from spms.inspections.rules import may_leave
from spms.inspections.sip import CallResult

WRITERS: Final = 4
"""Results of one pump that are written down at a time: the others wait here, not for the pool."""

LEASE_MARGIN_SECONDS: Final = 10.0
"""By how much a lease outlives the longest call: what writing down its result may take."""

BREATH_SECONDS: Final = 0.02
"""How long the places of calls that end are gathered before others are taken for all of them."""

RETRY_SECONDS: Final = 0.25
"""How often a result knocks at a database that is away."""

AWAY: Final[tuple[type[Exception], ...]] = (*db.NOT_NOW, Unavailable)
"""What says that the database cannot take the result now; anything else will not pass by itself."""

log = structlog.get_logger()


async def pump_calls(pool: Pool, prober: Prober, clock: Clock) -> int:
    """Place calls until none is due; return how much was done.

    Never more than `prober.simultaneous` at a time and `prober.calls_per_second` begun in a
    second. Any number of pumps may run. When cancelled, calls under way are hung up and stay
    without a result. An error of the database is raised after all calls have ended and written
    down their results, or could not before their leases ended; those take care of what is left.
    """
    ended = await _until_none(pool, clock, actions.give_up_lost)
    ended += await _until_none(pool, clock, actions.drop_withdrawn)
    pace, lines = _Pace(prober.calls_per_second), _Lines(prober.simultaneous)
    placed, trouble = 0, None
    async with asyncio.TaskGroup() as group:
        running: Calls = set()
        while trouble is None:
            lines.changed.clear()
            room = lines.room(len(running))
            lease_ends = asyncio.get_running_loop().time() + _lease_seconds(prober)
            try:
                taken = await _take(pool, prober, clock, room) if room else []
            except Exception as error:  # noqa: BLE001 - raised when the calls under way are over
                trouble = error
                break
            record = partial(_record, pool, pace, lease_ends)
            lines.busy += len(taken)
            for call in taken:
                work = _place(prober, clock, call, pace, lines=lines, record=record)
                running.add(group.create_task(work))
            placed += len(taken)
            if not running:
                break
            done, running = await _some_of(running, lines)
            trouble = next(filter(None, (task.result() for task in done)), None)
        rest = await asyncio.gather(*running)
    trouble = trouble or next((error for error in rest if error), None)
    if trouble is not None:
        raise trouble
    async with db.transaction(pool) as tx:
        await verdict_queries.finish_over(tx, clock.now())
    return ended + placed


Calls = set[asyncio.Task[Exception | None]]


class _Lines:
    """The trunk's places: taken from the decision to call until the call is over.

    Writing down what a call came to takes none: a slow database does not keep the trunk idle, until
    as many results wait as there are places.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.busy = 0
        self.changed = asyncio.Event()
        """A place is free again, or a result is written down."""

    def room(self, running: int) -> int:
        """Return how many calls may begin beside those running, their recording included."""
        return min(self._most - self.busy, 2 * self._most - running)

    def leave(self) -> None:
        """Give a place back."""
        self.busy -= 1
        self.changed.set()


async def _some_of(running: Calls, lines: _Lines) -> tuple[Calls, Calls]:
    """Wait until a call has ended, and a breath longer; return what ended and what goes on."""
    await lines.changed.wait()
    if any(not task.done() for task in running):
        await asyncio.sleep(BREATH_SECONDS)
    done = {task for task in running if task.done()}
    return done, running - done


class _End(Protocol):
    async def __call__(self, tx: Connection, *, now: datetime) -> int: ...


async def _until_none(pool: Pool, clock: Clock, end: _End) -> int:
    """End what is to be ended, each in a transaction of its own; return how much that was."""
    count = 0
    while True:
        async with db.transaction(pool) as tx:
            ended = await end(tx, now=clock.now())
        if not ended:
            return count
        count += ended


class _Pace:
    """Lets calls begin one after the other, so many in a second at most."""

    def __init__(self, per_second: float) -> None:
        self._step = 1.0 / per_second
        self._next = 0.0
        self.writing = asyncio.Semaphore(WRITERS)

    async def turn(self) -> None:
        """Wait for one's turn."""
        now = asyncio.get_running_loop().time()
        mine = max(now, self._next)
        self._next = mine + self._step
        await asyncio.sleep(mine - now)


def _lease_seconds(prober: Prober) -> float:
    return prober.longest_seconds + LEASE_MARGIN_SECONDS


async def _take(pool: Pool, prober: Prober, clock: Clock, limit: int) -> list[Placing]:
    """Take calls and commit; nothing when another pump took one to the same number meanwhile."""
    most = max(1, int(prober.calls_per_second))  # what is taken is begun within the second
    try:
        async with db.transaction(pool) as tx:
            return await actions.take_due_calls(
                tx, callers=prober.callers, limit=min(limit, most),
                lease_seconds=_lease_seconds(prober), now=clock.now(),
            )  # fmt: skip
    except asyncpg.UniqueViolationError:
        return []


Write = Callable[[Connection], Awaitable[None]]
Record = Callable[[Write], Awaitable[Exception | None]]


async def _place(
    prober: Prober, clock: Clock, call: Placing, pace: _Pace, *, lines: _Lines, record: Record
) -> Exception | None:
    """Place one call and record it; return what went wrong, so that other calls go on."""
    try:
        write = await _called(prober, clock, call, pace)
    finally:
        lines.leave()
    try:
        return await record(write)
    finally:
        lines.changed.set()


async def _called(prober: Prober, clock: Clock, call: Placing, pace: _Pace) -> Write:
    """Place one call; return how it is to be written down."""
    await pace.turn()
    if not may_leave(call, clock.now()):  # the clock left the permitted hours meanwhile
        return _as_unknown(call, clock)
    try:
        async with asyncio.timeout(prober.longest_seconds):
            result = await prober.place(call, clock=clock)
    except Exception as error:  # noqa: BLE001 - whatever it was, the call may have been placed
        kind = type(error).__name__
        log.warning("call_unknown", item=str(call.item_id), attempt=call.attempt_no, error=kind)
        return _as_unknown(call, clock)
    return _with_result(call, result, clock)


def _as_unknown(call: Placing, clock: Clock) -> Write:
    return lambda tx: actions.record_unknown(tx, call, now=clock.now())


def _with_result(call: Placing, result: CallResult, clock: Clock) -> Write:
    return lambda tx: actions.record_call(tx, call, result, now=clock.now())


async def _record(pool: Pool, pace: _Pace, lease_ends: float, write: Write) -> Exception | None:
    """Write down how a call ended; while the database is away, try again until its lease ends.

    Trying again is safe: what was committed without our hearing of it is not `placing` any more.
    """
    while True:
        try:
            async with pace.writing, db.transaction(pool) as tx:
                await write(tx)
        except AWAY as error:
            if asyncio.get_running_loop().time() >= lease_ends:
                return error
            await asyncio.sleep(RETRY_SECONDS)
        except Exception as error:  # noqa: BLE001 - raised by the pump when the other calls are over
            return error
        else:
            return None
