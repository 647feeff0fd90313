"""`spms jobs`: the timetable with its runs, and a slot run by hand."""

import getpass
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from spms.cli.loop import run as run_on_loop
from spms.cli.process import base, settings_from_environment
from spms.core import db, slots
from spms.core.clock import SHANGHAI

if TYPE_CHECKING:
    from jobs.timetable import Job

app = typer.Typer(
    help="The timetable: `spms jobs` lists it, `spms jobs run` runs a slot by hand."
    "\n\nExample: spms jobs run draw_spot_checks"
)
console = Console()


@app.callback(invoke_without_command=True)
def timetable(context: typer.Context) -> None:
    """Show the timetable: next and latest runs, durations, failures.

    Example: spms jobs
    """
    if context.invoked_subcommand is not None:
        return
    from jobs import TIMETABLE  # noqa: PLC0415 - keeps `spms --help` quick

    async def work() -> None:
        async with (
            base(settings_from_environment()) as ground,
            db.acquired(ground.pool) as read,
        ):
            known = await slots.history(read, [job.name for job in TIMETABLE])
            now = ground.clock.now()
        console.print(table_of(TIMETABLE, known, now))

    run_on_loop(work())


@app.command("run")
def run_slot(
    name: Annotated[str, typer.Argument(help="A job of the timetable that has slots")],
    slot: Annotated[
        datetime | None,
        typer.Option(help="Which slot, in Shanghai time; without it, an extra one of this second"),
    ] = None,
) -> None:
    """Run one slot now, also one that was given up; it is recorded who did.

    Example: spms jobs run draw_spot_checks --slot 2026-03-02T10:00:00
    """
    from jobs import TIMETABLE  # noqa: PLC0415
    from jobs.runner import run_by_hand  # noqa: PLC0415
    from jobs.timetable import PumpJob  # noqa: PLC0415

    job = next((job for job in TIMETABLE if job.name == name), None)
    if job is None:
        raise typer.Exit(_fail(f"there is no job called {name}; `spms jobs` lists them"))
    if isinstance(job, PumpJob):
        raise typer.Exit(_fail(f"{name} has no slots: it runs by itself as work comes"))

    async def work() -> slots.Slot | None:
        async with base(settings_from_environment()) as ground:
            wanted = slot and slot.replace(tzinfo=SHANGHAI)
            at = wanted or ground.clock.now().replace(microsecond=0)
            return await run_by_hand(
                ground.pool, ground.clock, job, at, who=f"command:{getpass.getuser()}"
            )

    done = run_on_loop(work())
    if done is None:
        raise typer.Exit(_fail("that slot is done, or a worker is running it"))
    if done.state is not slots.SlotState.DONE:
        raise typer.Exit(_fail(f"it failed: {done.last_error}; it is tried again by itself"))
    typer.echo(f"{name} {shown(done.slot_at)}: {done.outcome}")


def table_of(jobs: "Sequence[Job]", known: Mapping[str, slots.History], now: datetime) -> Table:
    """Put the timetable together; the names are never cut."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("job", no_wrap=True)
    for title in ("runs", "next", "latest", "state", "took", "failures", "outcome"):
        table.add_column(title, overflow="fold")
    for job in jobs:
        table.add_row(*_row(job, known.get(job.name), now))
    return table


def _row(job: "Job", known: slots.History | None, now: datetime) -> tuple[str, ...]:
    from jobs.timetable import PumpJob  # noqa: PLC0415

    if isinstance(job, PumpJob):
        return (job.name, "as work comes", "", "", "", "", "", "")
    every = f"every {length(job.every)}"
    if known is None:
        return (job.name, every, shown(job.newest(now)), "never", "", "", "", "")
    last = known.last
    waits = last.state is slots.SlotState.DUE and last.slot_at <= now
    following = last.slot_at if waits else job.newest(now) + job.every
    state = last.state if last.by_hand is None else f"{last.state} by {last.by_hand}"
    took = "" if known.seconds is None else f"{known.seconds:.1f} s"
    failures = ", ".join(
        words
        for count, words in (
            (known.failed, f"{known.failed} given up"), (known.stumbled, f"{known.stumbled} tries"),
        )
        if count
    )  # fmt: skip
    outcome = last.outcome or last.last_error or ""
    return (job.name, every, shown(following), shown(last.slot_at), state, took, failures, outcome)


def shown(at: datetime) -> str:
    """Return an instant as a clock in Shanghai shows it."""
    return at.astimezone(SHANGHAI).strftime("%m-%d %H:%M:%S")


def length(span: timedelta) -> str:
    """Return a span in its largest whole unit."""
    seconds = int(span.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _fail(words: str) -> int:
    typer.echo(f"spms: {words}", err=True)
    return 1
