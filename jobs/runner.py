"""Runs the timetable: APScheduler ticks, a `job_slot` row decides, pumps wait for work.

Any number of workers may run this side by side. Nothing here knows what a job does.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Sequence

import asyncpg
import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from jobs.timetable import House, PumpJob, SlotJob
from spms.core import db, slots
from spms.core.access import job_actor

TICK_SECONDS = 1.0
CHANNEL = "spms_work"

log = structlog.get_logger()


def worker_name() -> str:
    """Return a name for this worker that no other has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"


async def run_due_slots(house: House, job: SlotJob, owner: str) -> int:
    """Open the slots that are due and run those that fall to this worker; return how many."""
    async with db.transaction(house.pool) as tx:
        due = job.slots(await slots.latest(tx, job.name), house.clock.now())
        if due:
            await slots.open_slots(tx, job.name, due)
    done = 0
    while True:
        async with db.transaction(house.pool) as tx:
            slot = await slots.take(tx, job.name, owner=owner)
        if slot is None:
            return done
        await _run_slot(house, job, slot)
        done += 1


async def _run_slot(house: House, job: SlotJob, slot: slots.Slot) -> None:
    """Do the work and mark the slot done in one transaction, or give the slot back."""
    try:
        async with db.transaction(house.pool) as tx:
            now = house.clock.now()
            outcome = await job.work(tx, actor=job_actor(job.name), now=now)
            await slots.finish(tx, slot, outcome)
    except slots.LeaseLost:
        log.warning("lease_lost", job=job.name)
    except Exception as error:  # noqa: BLE001 - one job's bug must not stop the others
        log.error("job_failed", job=job.name, kind=type(error).__name__)  # noqa: TRY400 - no values
        with contextlib.suppress(Exception):
            async with db.transaction(house.pool) as tx:
                await slots.fail(tx, slot, type(error).__name__)


async def settle(house: House, timetable: Sequence[SlotJob | PumpJob]) -> None:
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

    def __init__(self, house: House, timetable: Sequence[SlotJob | PumpJob]) -> None:
        """Prepare; nothing runs before `start`."""
        self.house = house
        self.timetable = timetable
        self.name = worker_name()
        self._wake: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._scheduler = AsyncIOScheduler(timezone="UTC")

    async def start(self) -> None:
        """Start ticking and pumping."""
        for job in self.timetable:
            if isinstance(job, PumpJob):
                self._wake[job.name] = asyncio.Event()
                self._tasks.append(asyncio.create_task(self._pump(job), name=job.name))
            else:
                self._scheduler.add_job(
                    run_due_slots, "interval", args=[self.house, job, self.name], id=job.name,
                    seconds=TICK_SECONDS, coalesce=True, max_instances=1, misfire_grace_time=None,
                )  # fmt: skip
        self._tasks.append(asyncio.create_task(self._listen(), name="listen"))
        self._scheduler.start()

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
                if await job.pump(self.house):
                    self.wake()  # one queue's work is often the next one's
                    continue
            except Exception as error:  # noqa: BLE001 - the pump goes on when the trouble is over
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
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                pass
            await asyncio.sleep(TICK_SECONDS)
