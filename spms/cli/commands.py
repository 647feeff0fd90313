"""The commands. Each has an example in its help; long work shows progress."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from spms.cli import jobs, link, tools, trunk
from spms.cli.bench import bench
from spms.cli.explain import explain
from spms.cli.ingest import ingest
from spms.cli.invariants import invariants
from spms.cli.loop import run as run_on_loop
from spms.cli.month_audit import audit_month
from spms.cli.process import base, settings_from_environment
from spms.cli.simulate import simulate
from spms.cli.verify import verify

app = typer.Typer(
    name="spms",
    help="SPMS keeps the companies that sell things by SMS honest.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
console = Console()


def _say(words: str) -> None:
    console.print(f"[dim]spms[/dim] {words}", highlight=False)


app.command()(bench)
app.command()(explain)
app.command()(ingest)
app.command()(tools.staff)
app.command()(tools.doctor)
app.command()(simulate)
app.command()(verify)
app.command()(invariants)
app.command("audit-month")(audit_month)
app.add_typer(link.app)
app.add_typer(trunk.app, name="trunk")
app.add_typer(jobs.app, name="jobs")


@app.command()
def up() -> None:
    """Start everything in one process: database, API, jobs, sandbox.

    Example: SPMS_PORT=8080 spms up
    """
    from spms.cli.start import run  # noqa: PLC0415 - keeps `spms --help` quick

    settings = settings_from_environment()
    run_on_loop(run(settings, _say, http=True, work=settings.worker, demo=settings.sandbox))


@app.command()
def serve() -> None:
    """Serve the API only; run any number of these on one database.

    Example: SPMS_DATABASE_URL=postgresql://owner:secret@db/spms spms serve
    """
    from spms.cli.start import run  # noqa: PLC0415

    run_on_loop(run(settings_from_environment(), _say, http=True, work=False, demo=False))


@app.command()
def worker() -> None:
    """Run jobs and links only; run any number of these on one database.

    Example: SPMS_DATABASE_URL=postgresql://owner:secret@db/spms spms worker
    """
    from spms.cli.start import run  # noqa: PLC0415

    run_on_loop(run(settings_from_environment(), _say, http=False, work=True, demo=False))


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date and say what was applied.

    Example: SPMS_DATABASE_URL=postgresql://owner:secret@db/spms spms migrate
    """

    async def work() -> None:
        async with base(settings_from_environment(), _say, found=True) as ground:
            for name in ground.migrated:
                console.print(f"applied {name}")
            console.print("the schema is up to date")

    run_on_loop(work())


@app.command()
def openapi(
    check: Annotated[
        Path | None, typer.Option(help="Compare with this file and fail if it differs")
    ] = None,
) -> None:
    """Print the OpenAPI document, or compare it with a committed one.

    Example: spms openapi > openapi/openapi.json
    """
    from spms.app import openapi_document  # noqa: PLC0415

    text = json.dumps(openapi_document(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if check is None:
        typer.echo(text, nl=False)
    elif not check.is_file() or check.read_text("utf-8") != text:
        raise typer.Exit(
            _fail(f"{check} is out of date: run `make openapi` and look at the change")
        )


def _fail(words: str) -> int:
    typer.echo(f"spms: {words}", err=True)
    return 1
