"""Every figure on one machine in one run: `make bench`, `spms bench --json FILE [--short]`."""

import asyncio
import contextlib
import importlib
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import asyncpg
import msgspec
import uvloop

from benchmarks.figures import Clock, Figure, Ground, Result
from spms.core.embedded import Embedded

MODULES = (
    "benchmarks.decision",
    "benchmarks.ingest",
    "benchmarks.smpp",
    "benchmarks.journal",
    "benchmarks.correction",
    "benchmarks.settlement",
    "benchmarks.month_audit",
    "benchmarks.city_month",
    "benchmarks.bill",
    "benchmarks.inspections",
    "benchmarks.verdicts",
)
"""Add a module of figures here; the contract is in `benchmarks/figures.py`."""
PAIRS = 5
PAIRS_FULL = 7
LONGEST_SECONDS = 6 * 3600.0
"""A module of a full run that takes longer is broken off; what it measured until then counts."""
SHORT_SECONDS = 175.0
"""What all modules of a short run have together; the rest of three minutes is the server's."""
LEAST_SECONDS = 60.0
"""No module of a short run is broken off before, however late it is: one pair says more than none."""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A figure, or a module of them, that could not be measured, and why."""

    id: str
    why: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON file."""

    taken_at: datetime
    machine: dict[str, str | int | float]
    short: bool
    """Smaller data and shorter samples: enough to see a figure fall, not to publish it."""
    seconds: dict[str, float]
    """How long each module took, what it had to arrange included."""
    figures: list[Result]
    missing: list[Missing]
    """Modules that did not come to their end, and figures without any sample."""


def modules() -> tuple[list[ModuleType], list[Missing]]:
    """Load the modules of figures; one that cannot be loaded keeps none of the others away."""
    found, missing = [], []
    for name in MODULES:
        try:
            found.append(importlib.import_module(name))
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are measured
            missing.append(Missing(id=name, why=said(error)))
    return found, missing


def figures() -> tuple[Figure, ...]:
    """Return all figures there are."""
    return tuple(figure for module in modules()[0] for figure in module.FIGURES)


def said(error: BaseException) -> str:
    """Return an error in one line."""
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0]}" if words else type(error).__name__


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="spms-bench-") as place:
        directory = Path(place)
        directory.chmod(0o755)  # PostgreSQL may have to run as another user
        yield directory


async def on_server(
    work: Callable[[Ground], Awaitable[None]], *, say: Callable[[str], None]
) -> None:
    """Do one piece of work alone, on `SPMS_TEST_DATABASE_URL` or an embedded server."""
    given = os.environ.get("SPMS_TEST_DATABASE_URL")
    with _directory() as directory:
        server = None if given else Embedded(directory / "postgres")
        if server is not None:
            await server.start()
        try:
            url = given or (server.owner_url if server is not None else "")
            ground = Ground(url, short=True, pairs=1, say=say, directory=directory)
            async with contextlib.aclosing(ground):
                await work(ground)
        finally:
            if server is not None:
                await server.stop()


async def run(
    *,
    short: bool,
    only: frozenset[str],
    say: Callable[[str], None],
    keep: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Measure the figures named, or all; on `SPMS_TEST_DATABASE_URL` or an embedded server.

    `keep` is given the report so far after each module: what is measured is not lost with the rest.
    """
    given = os.environ.get("SPMS_TEST_DATABASE_URL")
    with _directory() as directory:
        server = None if given else Embedded(directory / "postgres")
        if server is not None:
            await server.start()
        try:
            url = given or (server.owner_url if server is not None else "")
            ground = Ground(
                url, short=short, pairs=PAIRS if short else PAIRS_FULL, say=say,
                directory=directory,
            )  # fmt: skip
            async with contextlib.aclosing(ground):
                return await _measure(ground, only=only, keep=keep)
        finally:
            if server is not None:
                await server.stop()


async def _measure(
    ground: Ground, *, only: frozenset[str], keep: Callable[[Report], None]
) -> Report:
    machine = await _described(ground.url)
    loaded, missing = modules()
    seconds: dict[str, float] = {}
    report = _report(ground, machine, seconds, missing, frozenset())
    asked: frozenset[str] = frozenset()
    if ground.short:
        ground.clock = Clock(
            SHORT_SECONDS,
            [one for each in loaded for one in each.FIGURES if not only or one.id in only],
        )
    for module in loaded:
        wanted = frozenset(one.id for one in module.FIGURES if not only or one.id in only)
        if not wanted:
            continue
        asked |= wanted
        begun = time.perf_counter()
        why = await _measured(module, ground, wanted)
        name = module.__name__.rpartition(".")[2]
        seconds[name] = round(time.perf_counter() - begun, 1)
        ground.say(f"{name} took {seconds[name]:.0f} s" + (f" and broke off: {why}" if why else ""))
        if why:
            missing.append(Missing(id=module.__name__, why=why))
        report = _report(ground, machine, seconds, missing, asked)
        keep(report)
    return report


async def _measured(module: ModuleType, ground: Ground, wanted: frozenset[str]) -> str | None:
    """Let a module measure; return why it did not come to its end."""
    longest = LONGEST_SECONDS
    if ground.clock is not None:
        later = ground.clock.to_come(without=wanted)
        longest = max(LEAST_SECONDS, ground.clock.left() - later / 2)  # one may hang
    try:
        async with asyncio.timeout(longest):
            await module.measure(ground, wanted)
    except TimeoutError:
        return f"was broken off after {longest:.0f} s"
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the others go on
        return said(error)
    finally:
        if ground.clock is not None:
            ground.clock.share(wanted)  # those it did not come to take nobody's time
    return None


def _report(
    ground: Ground,
    machine: dict[str, str | int | float],
    seconds: dict[str, float],
    missing: list[Missing],
    asked: frozenset[str],
) -> Report:
    found = ground.results(figures())
    unmeasured = asked - {one.id for one in found}
    return Report(
        taken_at=datetime.now(UTC),
        machine=machine | {"load_after": round(os.getloadavg()[0], 2)},
        short=ground.short,
        seconds=dict(seconds),
        figures=found,
        missing=[
            *missing,
            *(
                Missing(id=one, why=ground.left_out.get(one, "not one pair was measured"))
                for one in sorted(unmeasured)
            ),
        ],
    )


async def _described(url: str) -> dict[str, str | int | float]:
    admin = await asyncpg.connect(url)
    try:
        return _machine() | {
            "postgresql": admin.get_server_version().major,
            "synchronous_commit": await admin.fetchval("SHOW synchronous_commit"),
            "fsync": await admin.fetchval("SHOW fsync"),
            "shared_buffers": await admin.fetchval("SHOW shared_buffers"),
        }
    finally:
        await admin.close()


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
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
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
            str(one.pairs) if one.pairs >= one.pairs_asked else f"{one.pairs} of {one.pairs_asked}",
            f"{'<=' if one.at_most else '>='} {one.must:g}",
            f"{one.aim:g}",
            "yes" if one.reached else "no",
            f"{one.ours.median:,.1f}",
            "" if one.beside is None else f"{one.beside.median:,.1f}",
        ]
        for one in report.figures
    ]


def fewer(report: Report) -> str:
    """Say which figures rest on fewer pairs than were asked for; empty: none."""
    few = [one for one in report.figures if one.pairs < one.pairs_asked]
    if not few:
        return ""
    named = ", ".join(f"{one.id} {one.pairs} of {one.pairs_asked}" for one in few)
    return f"fewer pairs than asked for, the machine is slow or busy: {named}"


def measure_all(
    *,
    short: bool,
    only: frozenset[str],
    say: Callable[[str], None],
    keep: Callable[[Report], None] = lambda _: None,
) -> Report:
    """Run to the end, on the loop of production."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(short=short, only=only, say=say, keep=keep))
