"""`spms bench`: every figure of speed, beside what the same machine can do at all."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from spms.cli.process import StartError

console = Console()
PIPED_COLUMNS = 160
"""Of a file or a pipe: rich takes 80 for these, in which no figure stays whole."""
if not console.is_terminal:
    console.width = PIPED_COLUMNS
COLUMNS = (
    "",
    "figure",
    "ratio (least to most)",
    "pairs",
    "must",
    "aim",
    "reached",
    "ours",
    "beside",
)


def bench(
    json: Annotated[Path | None, typer.Option(help="Also write the results here")] = None,
    short: Annotated[
        bool,
        typer.Option(
            "--short",
            help="At most three minutes: smaller data, shorter samples, fewer on a slow machine",
        ),
    ] = False,
    only: Annotated[str, typer.Option(help="Figures to measure, by id, with commas")] = "",
) -> None:
    """Measure how fast this is beside PostgreSQL alone on the same machine (in a checkout).

    Works on databases of its own, on an embedded server or on SPMS_TEST_DATABASE_URL. The file is
    written anew after each module. Ends with 1 when a figure could not be measured.

    Example: spms bench --short --only A1,A2 --json figures.json
    """
    try:
        runner: Any = importlib.import_module("benchmarks.run")
    except ModuleNotFoundError as error:
        raise StartError("the benchmarks are not installed: run this in a checkout") from error
    named = frozenset(one.strip() for one in only.split(",") if one.strip())
    unknown = named - {one.id for one in runner.figures()}
    if unknown:
        raise StartError(f"there is no figure {', '.join(sorted(unknown))}")
    if short:
        console.print("short mode: smaller data and shorter samples than the full run")

    def keep(report: Any) -> None:
        if json is not None:
            json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))

    report = runner.measure_all(
        short=short, only=named, keep=keep, say=lambda words: console.print(words, highlight=False)
    )
    keep(report)
    title = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    table = Table(*COLUMNS, title=title)
    for row in runner.table(report):
        table.add_row(*row)
    console.print(table)
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in report.seconds.items())
    console.print(f"{took}: {sum(report.seconds.values()):.0f} s in all", highlight=False)
    if few := runner.fewer(report):
        console.print(few, highlight=False)
    for one in report.missing:
        console.print(f"not measured: {one.id}: {one.why}", highlight=False)
    if report.missing:
        raise typer.Exit(code=1)
