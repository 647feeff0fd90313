"""What runs for as long as the process does lives through whatever the driver raises."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest

from jobs.runner import Worker
from spms.core import db, sandbox_clock
from spms.core.clock import MovableClock
from spms.core.errors import Unavailable

TROUBLES = [
    asyncpg.InternalClientError("cannot switch to state 15"),
    asyncpg.InterfaceError("closed"),
    asyncpg.CannotConnectNowError("starting up"),
    asyncpg.AdminShutdownError("terminated"),
    ConnectionRefusedError(),
    TimeoutError(),
]


class Gone:
    """A pool that fails in one way, and says when it was asked often enough."""

    def __init__(self, trouble: Exception) -> None:
        self.trouble, self.asked, self.enough = trouble, 0, asyncio.Event()

    def acquire(self, **_: object) -> Any:
        self.asked += 1
        if self.asked >= 3:
            self.enough.set()
        raise self.trouble


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("loop", ["clock", "listener"])
async def test_a_loop_goes_on_after(
    trouble: Exception, loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_clock, "FOLLOW_SECONDS", 0.001)
    monkeypatch.setattr("jobs.runner.TICK_SECONDS", 0.001)
    gone = Gone(trouble)
    pool = cast("Any", gone)
    if loop == "clock":
        work = asyncio.create_task(sandbox_clock.follow(pool, MovableClock()))
    else:
        worker = Worker(cast("Any", SimpleNamespace(pool=pool)), [])
        work = asyncio.create_task(worker._listen())
    ended = asyncio.create_task(gone.enough.wait())
    await asyncio.wait({work, ended}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    assert not work.done(), work.exception()
    assert gone.asked >= 3
    work.cancel()
    ended.cancel()
    await asyncio.gather(work, ended, return_exceptions=True)


def test_a_refusal_for_want_of_a_connection_is_trouble_too() -> None:
    assert issubclass(Unavailable, db.ANY_TROUBLE)
