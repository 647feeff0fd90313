"""Runs the timetable: APScheduler ticks, a `job_slot` row decides, pumps wait for work.

Any number of workers may run this side by side. Nothing here knows what a job does.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg
import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from jobs.timetable import ChunkJob, House, Job, PumpJob, SlotJob
from spms.core import db, slots
from spms.core.access import job_actor
from spms.core.clock import Clock, follows_database, machine_now
from spms.core.errors import Refused
from spms.core.outage import Outage

TICK_SECONDS = 1.0
SKEW_TOLERATED = timedelta(seconds=5)
CHANNEL = "spms_work"

log = structlog.get_logger()


def worker_name() -> str:
    """Return a name for this worker that no other has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


async def run_due_slots(house: House, job: SlotJob | ChunkJob, owner: str) -> int:
    """Open the slots that are due and run those that fall to this worker; return how many."""
    async with db.transaction(house.pool) as tx:
        latest, at = await slots.latest(tx, job.name)
        skew = timedelta() if follows_database(house.clock) else skew_of(at)
        due = job.slots(latest, house.clock.now() + skew)
        if due:
            await slots.open_slots(tx, job.name, due)
    done = 0
    while True:
        async with db.transaction(house.pool) as tx:
            slot = await slots.take(tx, job.name, owner=owner, lease=job.lease)
        if slot is None:
            return done
        await run_slot(house.pool, house.clock, job, slot, skew=skew)
        done += 1


def skew_of(database_now: datetime) -> timedelta:
    """Return what must be added to this machine's clock to tell the time as the database does.

    All workers share that clock. A machine that is hours fast would otherwise open slots of the
    future, and those in between would be skipped. A few seconds either way are left alone.
    """
    skew = database_now - machine_now()
    return skew if abs(skew) > SKEW_TOLERATED else timedelta()


async def run_slot(
    pool: db.Pool,
    clock: Clock,
    job: SlotJob | ChunkJob,
    slot: slots.Slot,
    *,
    skew: timedelta = timedelta(),
) -> bool:
    """Do the work of a slot that was taken, or give the slot back; return whether it is done.

    The effects and "done" (of a job in chunks: the position) are one transaction.
    """
    beat = asyncio.create_task(_hold(pool, job, slot))
    try:
        while True:
            async with asyncio.timeout(job.longest.total_seconds()), db.transaction(pool) as tx:
                slot, over = await _chunk(tx, job, slot, clock.now() + skew)
            if over:
                return True
    except slots.LeaseLost:
        log.warning("lease_lost", job=job.name)
    except Exception as error:  # noqa: BLE001 - one job's bug must not stop the others
        log.error("job_failed", job=job.name, kind=type(error).__name__)  # noqa: TRY400 - no values
        with contextlib.suppress(Exception):
            async with db.transaction(pool) as tx:
                await slots.fail(tx, slot, type(error).__name__)
    finally:
        beat.cancel()
        await asyncio.wait({beat})  # its connection is back in the pool before anyone goes on
    return False


async def _chunk(
    tx: db.Connection, job: SlotJob | ChunkJob, slot: slots.Slot, now: datetime
) -> tuple[slots.Slot, bool]:
    actor = job_actor(job.name)
    if isinstance(job, SlotJob):
        await slots.finish(tx, slot, await job.work(tx, actor=actor, now=now))
        return slot, True
    chunk = await job.work(tx, position=slot.position, actor=actor, now=now)
    if chunk.position is None:
        await slots.finish(tx, slot, chunk.words)
        return slot, True
    return await slots.advance(tx, slot, chunk.position, job.lease), False


async def _hold(pool: db.Pool, job: SlotJob | ChunkJob, slot: slots.Slot) -> None:
    """Renew the lease while the work goes on; a worker that stands still lets it run out."""
    while True:
        await asyncio.sleep(job.lease.total_seconds() / 3)
        with contextlib.suppress(*db.ANY_TROUBLE, Refused):
            async with db.transaction(pool) as tx:
                if not await slots.renew(tx, slot, job.lease):
                    return


async def run_by_hand(
    pool: db.Pool, clock: Clock, job: SlotJob | ChunkJob, slot_at: datetime, *, who: str
) -> slots.Slot | None:
    """Run one slot now and record who asked for it; None when it is done or running already."""
    async with db.transaction(pool) as tx:
        _, at = await slots.latest(tx, job.name)
        slot = await slots.take_by_hand(tx, job.name, slot_at, who=who, lease=job.lease)
    if slot is None:
        return None
    await run_slot(pool, clock, job, slot, skew=skew_of(at))
    async with db.acquired(pool) as read:
        return await slots.find(read, job.name, slot_at)


async def settle(house: House, timetable: Sequence[Job]) -> None:
    """Run every job until none has anything left to do (for stories and the city)."""
    busy = True
    while busy:
        busy = False
        for job in timetable:
            if isinstance(job, PumpJob):
                while await job.pump(house):
                    busy = True
            elif await run_due_slots(house, job, "settle"):
                busy = True


class Worker:
    """One process's share of the timetable."""

    def __init__(self, house: House, timetable: Sequence[Job]) -> None:
        """Prepare; nothing runs before `start`."""
        self.house = house
        self.timetable = timetable
        self.name = worker_name()
        self._wake: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._outage = Outage()
        self._scheduler = AsyncIOScheduler(timezone="UTC")

    async def start(self) -> None:
        """Start ticking and pumping."""
        for job in self.timetable:
            if isinstance(job, PumpJob):
                self._wake[job.name] = asyncio.Event()
                self._tasks.append(asyncio.create_task(self._pump(job), name=job.name))
            else:
                self._scheduler.add_job(
                    self._run, "interval", args=[job], id=job.name,
                    seconds=TICK_SECONDS, coalesce=True, max_instances=1, misfire_grace_time=None,
                )  # fmt: skip
        self._tasks.append(asyncio.create_task(self._listen(), name="listen"))
        self._scheduler.start()

    async def _run(self, job: SlotJob | ChunkJob) -> None:
        try:
            await run_due_slots(self.house, job, self.name)
            self._outage.over()
        except asyncio.CancelledError:
            if not self._stopping:  # that we stop is no error of the job's
                raise
        except Exception as error:  # noqa: BLE001 - the next tick tries again
            if not self._outage.explains(error):
                log.error("tick_failed", job=job.name, kind=type(error).__name__)  # noqa: TRY400

    async def stop(self) -> None:
        """Stop; what is under way is rolled back and taken up again by another worker."""
        self._stopping = True
        self.wake()
        self._scheduler.shutdown(wait=False)
        # A cancellation can be swallowed below us (Python 3.11's wait_for may): ask again.
        pending = set(self._tasks)
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=TICK_SECONDS)

    def wake(self) -> None:
        """Let every pump look at its queue now."""
        for event in self._wake.values():
            event.set()

    async def _pump(self, job: PumpJob) -> None:
        event = self._wake[job.name]
        while not self._stopping:
            event.clear()
            try:
                busy = await job.pump(self.house)
                self._outage.over()
                if busy:
                    self.wake()  # one queue's work is often the next one's
                    continue
            except Exception as error:  # noqa: BLE001 - the pump goes on when the trouble is over
                if not self._outage.explains(error):
                    log.error("pump_failed", job=job.name, kind=type(error).__name__)  # noqa: TRY400
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), TICK_SECONDS)

    async def _listen_on(self, connection: asyncpg.pool.PoolConnectionProxy) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda *_: lost.set())
        await connection.add_listener(CHANNEL, self._notified)
        try:
            await lost.wait()
        finally:
            if not lost.is_set():
                await connection.remove_listener(CHANNEL, self._notified)

    def _notified(self, *_: object) -> None:
        self.wake()

    async def _listen(self) -> None:
        """Wake the pumps when a transaction anywhere left work; a lost message costs a second."""
        while not self._stopping:
            try:
                async with self.house.pool.acquire() as connection:
                    await self._listen_on(connection)
            except db.ANY_TROUBLE:
                pass
            await asyncio.sleep(TICK_SECONDS)
