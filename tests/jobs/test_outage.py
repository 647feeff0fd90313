"""A database that is away is told once when it goes and once when it is back."""

import asyncio
from typing import cast

import asyncpg
import pytest
from structlog.testing import capture_logs

from jobs.runner import Worker
from jobs.timetable import House, PumpJob
from spms.core.outage import Outage


def test_one_word_when_it_goes_and_one_when_it_is_back() -> None:
    outage = Outage()
    with capture_logs() as logs:
        outage.over()
        for error in (
            ConnectionRefusedError(), asyncpg.CannotConnectNowError("starting up"), TimeoutError(),
            ExceptionGroup("rollback", [OSError(), asyncpg.InterfaceError("closed")]),
        ):  # fmt: skip
            assert outage.explains(error)
        outage.over()
        outage.over()
        assert outage.explains(OSError())
    assert [line["event"] for line in logs] == ["database_away", "database_back", "database_away"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError(), asyncpg.LockNotAvailableError("held"), asyncpg.QueryCanceledError("slow"),
        asyncpg.UniqueViolationError("twice"), ExceptionGroup("both", [OSError(), ValueError()]),
    ],
)  # fmt: skip
def test_what_is_a_jobs_own_fault_is_no_outage(error: Exception) -> None:
    with capture_logs() as logs:
        assert not Outage().explains(error)
    assert logs == []


async def test_a_worker_tells_an_outage_once_and_every_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors: list[Exception] = [OSError(), OSError(), OSError(), ValueError(), OSError()]

    async def pump(_: House) -> int:
        if errors:
            raise errors.pop(0)
        worker._stopping = True
        return 0

    monkeypatch.setattr("jobs.runner.TICK_SECONDS", 0.001)
    job = PumpJob(name="pump", pump=pump)
    worker = Worker(cast("House", None), [job])  # the pump asks for nothing
    worker._wake[job.name] = asyncio.Event()
    with capture_logs() as logs:
        await worker._pump(job)
    assert [line["event"] for line in logs] == ["database_away", "pump_failed", "database_back"]
