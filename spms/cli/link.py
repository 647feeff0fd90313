"""`spms link`: the SMPP links, for whoever has to find out why no SMS comes."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from spms.cli.loop import run
from spms.cli.process import StartError, base, settings_from_environment
from spms.core import db
from spms.messaging import actions, link_check
from spms.messaging.link_check import Remark

app = typer.Typer(
    name="link",
    help="Look at the SMPP links.\n\nExample: spms link check tianjin",
    no_args_is_help=True,
)
console = Console()


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="One link; all without it")] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the findings here")] = None,
) -> None:
    """Bind to each link, look at its last day, and say in words what is wrong; exits with 1 then.

    Example: spms link check tianjin
    """
    settings = settings_from_environment()
    links = [each for each in settings.smpp_links if name in {None, each.name}]
    if not links:
        known = ", ".join(each.name for each in settings.smpp_links) or "none (docs/smpp.md)"
        raise StartError(f"no such link; configured: {known}")

    async def work() -> list[Remark]:
        async with base(settings) as ground:
            found = [await link_check.check(each, ground.pool, ground.clock) for each in links]
        return [remark for of_one in found for remark in of_one]

    remarks = run(work())
    table = Table("link", "looked at", "", "finding")
    for each in remarks:
        table.add_row(each.link, each.what, "ok" if each.fine else "[red]wrong[/red]", each.words)
    console.print(table)
    if json is not None:
        json.write_bytes(msgspec.json.encode(remarks))
    if not all(each.fine for each in remarks):
        raise typer.Exit(1)


@app.command()
def orphans(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many")] = 50,
) -> None:
    """List delivery receipts for messages that we do not know, newest first.

    Example: spms link orphans --limit 20
    """

    async def work() -> None:
        async with base(settings_from_environment()) as ground, db.acquired(ground.pool) as read:
            before = ground.clock.now() - link_check.WAITING
            found = await actions.orphan_receipts(read, before=before, limit=limit)
        table = Table("link", "the network's id", "its word", "received")
        for each in found:
            at = f"{each.received_at:%F %T%z}"
            table.add_row(each.link, each.link_message_id, each.stat or "", at)
        console.print(table)

    run(work())
