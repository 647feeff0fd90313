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
COLUMNS = ("", "figure", "ratio (least to most)", "must", "aim", "reached", "ours", "beside")


def bench(
    json: Annotated[Path | None, typer.Option(help="Also write the results here")] = None,
    short: Annotated[
        bool, typer.Option("--short", help="At most three minutes: smaller data, shorter samples")
    ] = False,
    only: Annotated[str, typer.Option(help="Figures to measure, by id, with commas")] = "",
) -> None:
    """Measure how fast this is beside PostgreSQL alone on the same machine (in a checkout).

    Works on databases of its own, on an embedded server or on SPMS_TEST_DATABASE_URL.

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
    report = runner.measure_all(
        short=short, only=named, say=lambda words: console.print(words, highlight=False)
    )
    title = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    table = Table(*COLUMNS, title=title)
    for row in runner.table(report):
        table.add_row(*row)
    console.print(table)
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
