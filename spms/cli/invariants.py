"""`spms invariants`: what must always be true, asked of the data."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from spms.cli.loop import run
from spms.cli.process import base, settings_from_environment
from spms.compensation import journal
from spms.core import db
from spms.core.invariants import Finding, check

console = Console()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked and what was found."""

    invariants: list[Finding]
    rows_hashed: int | None = None
    damaged: list[str] | None = None
    """Entries of the book that are not as they were written; null when not asked."""


def invariants(
    json: Annotated[Path | None, typer.Option(help="Also write the findings here")] = None,
    *,
    chain: Annotated[
        bool, typer.Option("--chain", help="Also hash the whole book again (slower)")
    ] = False,
) -> None:
    """Ask what must always be true of the data; exits with 1 if anything does not hold.

    Example: spms invariants --chain --json findings.json
    """
    report = run(_ask(chain=chain))
    table = Table("invariant", "", "offending")
    for finding in report.invariants:
        shown = ", ".join(finding.offending[:3])
        table.add_row(finding.promise, "holds" if finding.holds else "[red]broken[/red]", shown)
    if report.damaged is not None:
        fine = "holds" if not report.damaged else "[red]broken[/red]"
        words = f"{report.rows_hashed} rows of the book are as they were written"
        table.add_row(words, fine, ", ".join(report.damaged[:3]))
    console.print(table)
    if json is not None:
        json.write_bytes(msgspec.json.encode(report))
    if report.damaged or not all(finding.holds for finding in report.invariants):
        raise typer.Exit(1)


async def _ask(*, chain: bool) -> Report:
    from jobs.check_invariants import INVARIANTS  # noqa: PLC0415 - keeps `spms --help` quick

    async with base(settings_from_environment()) as ground:
        async with db.snapshot(ground.pool) as read:
            found = await check(read, INVARIANTS)
        if not chain:
            return Report(invariants=found)
        rows, damage = await journal.verify(ground.pool)
    damaged = [f"{each.entry_id} #{each.seq}: {', '.join(each.problems)}" for each in damage]
    return Report(invariants=found, rows_hashed=rows, damaged=damaged)
