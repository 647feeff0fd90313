"""A worker that runs slots until it is killed: a process of its own, started by a test.

Arguments: the application's database URL, seconds by which this machine's clock is wrong, the
slots' length in seconds, the lease in seconds, the first and the last slot (ISO 8601).
"""

import asyncio
import contextlib
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import asyncpg

from jobs import runner
from jobs.timetable import SlotJob
from spms.core import clock, db


async def main(url: str, wrong: float, every: float, lease: float, *ends: str) -> None:
    def machine_now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=wrong)

    cast("Any", clock).machine_now = machine_now
    cast("Any", runner).machine_now = machine_now
    begin, end = (datetime.fromisoformat(each) for each in ends)

    async def work(tx: Any, *, actor: Any, now: datetime) -> str:
        slot_at = await tx.fetchval(
            "SELECT slot_at FROM job_slot WHERE owner = $1 AND state = 'running' "
            "ORDER BY started_at DESC LIMIT 1",
            name,
        )
        await tx.execute("INSERT INTO effect (slot, by) VALUES ($1, $2)", slot_at, name)
        await asyncio.sleep(0.01)
        return "done"

    class Span(SlotJob, frozen=True, kw_only=True):
        def slots(self, after: datetime | None, until: datetime) -> list[datetime]:
            return super().slots(after or begin - self.every, min(until, end))

    job = Span(
        name="job", every=timedelta(seconds=every), catch_up=10_000, work=work,
        lease=timedelta(seconds=lease),
    )  # fmt: skip
    name = runner.worker_name()
    while True:
        with contextlib.suppress(*db.ANY_TROUBLE):
            async with asyncpg.create_pool(
                url,
                min_size=1,
                max_size=3,
                init=db._prepare,
                command_timeout=20,
                server_settings=db.SESSION,
            ) as pool:
                house = SimpleNamespace(pool=pool, clock=clock.SystemClock())
                while True:
                    await runner.run_due_slots(cast("Any", house), job, name)
                    await asyncio.sleep(0.02)
        await asyncio.sleep(0.05)


_, address, slow, step, held, *ends = sys.argv
asyncio.run(main(address, float(slow), float(step), float(held), *ends))
