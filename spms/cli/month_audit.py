"""`spms audit-month`: can everything that stands in a month stand?"""

from datetime import date
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from spms.charging import month_audit
from spms.charging.month_audit_queries import Contradiction
from spms.cli.loop import run
from spms.cli.process import base, settings_from_environment
from spms.core import db

console = Console()


def audit_month(
    month: Annotated[str, typer.Argument(help="Business month, as 2026-03")],
) -> None:
    """Hold all that stands in a month against the facts as known now; exits with 1 on a contradiction.

    Example: spms audit-month 2026-03
    """
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError:
        raise typer.BadParameter("write the month as 2026-03") from None
    found = run(_ask(first))
    table = Table("stands against", "charges", "one of them")
    for one in found:
        table.add_row(one.kind, str(one.charges), str(one.example))
    console.print(table if found else f"everything that stands in {month} can stand")
    if found:
        raise typer.Exit(1)


async def _ask(month: date) -> list[Contradiction]:
    async with base(settings_from_environment()) as ground, db.snapshot(ground.pool) as read:
        return list(await month_audit.contradictions(read, month))
