"""`spms simulate`: invents a city and writes it as files, or plays it against an instance."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console

from spms.cli.loop import run
from spms.cli.process import StartError, base, settings_from_environment
from spms.core.settings import SettingsError

if TYPE_CHECKING:
    from spms.city.model import Access, City, Report

BEGAN = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
"""Where files begin unless told otherwise: a fixed instant, so that a seed gives the same files."""

console = Console()


def simulate(  # noqa: PLR0917 - the command's options, which typer reads from here
    seed: Annotated[int, typer.Option(help="The same seed invents the same city")] = 1,
    subscribers: Annotated[int, typer.Option(min=1, max=100_000)] = 60,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days of life")] = 10,
    out: Annotated[
        Path | None, typer.Option(help="Directory for the files (default: city-SEED)")
    ] = None,
    began: Annotated[datetime, typer.Option(help="With --out: the first instant, in UTC")] = BEGAN,
    play_url: Annotated[
        str | None, typer.Option("--play", help="Play against the sandbox instance at this URL")
    ] = None,
    access: Annotated[
        Path | None,
        typer.Option(help="With --play: a JSON file with url, staff, gateway_id, gateway_secret"),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report to this file")
    ] = None,
) -> None:
    """Invent a city in which every error is planted and labelled; write it as files, or play it.

    Played, the instance's clock moves forward by --days, and what it found is compared with what
    was planted. The demonstration's credentials come from the instance's own database
    (SPMS_DATA_DIR or SPMS_DATABASE_URL) unless --access gives others. Exits with 1 when something
    planted was not found, or something else was.

    Example: spms simulate --seed 7 --subscribers 200 --days 35 --play http://127.0.0.1:8000
    """
    from spms.city import report  # noqa: PLC0415 - the city is imported by who plays it
    from spms.city.model import CityError  # noqa: PLC0415
    from spms.city.plan import draw  # noqa: PLC0415
    from spms.cli import demonstration  # noqa: PLC0415

    try:
        city = draw(seed=seed, subscribers=subscribers, days=days)
        if play_url is None:
            _write(city, began.replace(tzinfo=began.tzinfo or UTC), out or Path(f"city-{seed}"))
            return
        given = None if access is None else _read(access, play_url)
        result = run(_play(city, play_url, given))
    except (CityError, StartError, SettingsError, LookupError, OSError) as error:
        typer.echo(f"spms: {error}", err=True)
        raise typer.Exit(1) from error
    console.print(report.table(result))
    if json_file is not None:
        json_file.write_bytes(demonstration.encode_report(result) + b"\n")
    if not result.ok:
        raise typer.Exit(1)


def _write(city: "City", began: datetime, directory: Path) -> None:
    from spms.city.export import export  # noqa: PLC0415

    counts = export(city, began, directory)
    console.print(f"wrote {directory}: " + ", ".join(f"{n} {name}" for name, n in counts.items()))


def _read(file: Path, url: str) -> "Access":
    from spms.city.model import Access, CityError  # noqa: PLC0415

    try:
        return msgspec.convert(msgspec.json.decode(file.read_bytes()) | {"url": url}, Access)
    except (msgspec.MsgspecError, TypeError) as error:
        raise CityError(f"{file} does not hold the credentials: {error}") from error


async def _play(city: "City", url: str, access: "Access | None") -> "Report":
    """Play with the given credentials, or with the demonstration's own."""
    from spms.city import play  # noqa: PLC0415
    from spms.cli import demonstration  # noqa: PLC0415

    if access is None:
        async with base(settings_from_environment()) as ground:
            access = await demonstration.credentials(ground.pool, url)
    return await play(city, access)
