"""Every figure on one machine in one run: `make bench`, `spms bench --json FILE [--short]`."""

import asyncio
import importlib
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import asyncpg
import msgspec
import uvloop

from benchmarks.figures import Figure, Ground, Result
from spms.core.embedded import Embedded

MODULES = ("benchmarks.decision", "benchmarks.ingest", "benchmarks.smpp")
"""Add a module of figures here; the contract is in `benchmarks/figures.py`."""
PAIRS = 5
PAIRS_FULL = 7


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON file."""

    taken_at: datetime
    machine: dict[str, str | int | float]
    short: bool
    """Smaller data and shorter samples: enough to see a figure fall, not to publish it."""
    figures: list[Result]


def modules() -> list[ModuleType]:
    """Load the modules of figures."""
    return [importlib.import_module(name) for name in MODULES]


def figures() -> tuple[Figure, ...]:
    """Return all figures there are."""
    return tuple(figure for module in modules() for figure in module.FIGURES)


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="spms-bench-") as place:
        directory = Path(place)
        directory.chmod(0o755)  # PostgreSQL may have to run as another user
        yield directory


async def run(*, short: bool, only: frozenset[str], say: Callable[[str], None]) -> Report:
    """Measure the figures named, or all; on `SPMS_TEST_DATABASE_URL` or an embedded server."""
    given = os.environ.get("SPMS_TEST_DATABASE_URL")
    with _directory() as directory:
        server = None if given else Embedded(directory / "postgres")
        if server is not None:
            await server.start()
        try:
            url = given or (server.owner_url if server is not None else "")
            return await _measure(url, directory, short=short, only=only, say=say)
        finally:
            if server is not None:
                await server.stop()


async def _measure(
    url: str, directory: Path, *, short: bool, only: frozenset[str], say: Callable[[str], None]
) -> Report:
    admin = await asyncpg.connect(url)
    machine = _machine() | {
        "postgresql": admin.get_server_version().major,
        "synchronous_commit": await admin.fetchval("SHOW synchronous_commit"),
        "fsync": await admin.fetchval("SHOW fsync"),
        "shared_buffers": await admin.fetchval("SHOW shared_buffers"),
    }
    await admin.close()
    ground = Ground(
        url, short=short, pairs=PAIRS if short else PAIRS_FULL, say=say, directory=directory
    )
    for module in modules():
        wanted = frozenset(one.id for one in module.FIGURES if not only or one.id in only)
        if wanted:
            await module.measure(ground, wanted)
    return Report(
        taken_at=datetime.now(UTC),
        machine=machine | {"load_after": round(os.getloadavg()[0], 2)},
        short=short,
        figures=ground.results(figures()),
    )


def _machine() -> dict[str, str | int | float]:
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        name = next((one.split(":")[1].strip() for one in lines if "model name" in one), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": name,
        "cores": cores or 0,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def table(report: Report) -> list[list[str]]:
    """Lay the results out as rows of text."""
    return [
        [
            one.id,
            one.title,
            f"{one.ratio:,.3f} ({one.ratio_least:,.3f} to {one.ratio_most:,.3f})",
            f"{'<=' if one.at_most else '>='} {one.must:g}",
            f"{one.aim:g}",
            "yes" if one.reached else "no",
            f"{one.ours.median:,.1f}",
            "" if one.beside is None else f"{one.beside.median:,.1f}",
        ]
        for one in report.figures
    ]


def measure_all(*, short: bool, only: frozenset[str], say: Callable[[str], None]) -> Report:
    """Run to the end, on the loop of production."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(short=short, only=only, say=say))
