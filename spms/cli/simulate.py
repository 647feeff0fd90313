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
DAYS = 10
SUBSCRIBERS_MAX = 100_000_000
"""Of `--month`; lives are drawn for fewer, which `draw` says."""

console = Console()


def simulate(  # noqa: PLR0917 - the command's options, which typer reads from here
    seed: Annotated[int, typer.Option(help="The same seed invents the same city")] = 1,
    subscribers: Annotated[int, typer.Option(min=1, max=SUBSCRIBERS_MAX)] = 60,
    days: Annotated[
        int | None, typer.Option(min=1, max=366, help="Days of life (default: 10, --month: 30)")
    ] = None,
    month: Annotated[
        bool,
        typer.Option("--month", help="Write a month of charges in bulk: what `spms bench` plays"),
    ] = False,
    companies: Annotated[
        int, typer.Option(min=0, help="With --month: SPs (default: 300 of a million, at least 30)")
    ] = 0,
    charges: Annotated[int, typer.Option(min=1, help="With --month: of each subscriber")] = 25,
    out: Annotated[
        Path | None, typer.Option(help="Directory for the files (default: city-SEED)")
    ] = None,
    began: Annotated[datetime | None, typer.Option(help="With --out: first instant, UTC")] = None,
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

    With --month nobody lives: subscribers hold services and each is charged once, a file a day and
    SP, up to millions of them.

    Played, the instance's clock moves forward by --days, and what it found is compared with what
    was planted. The demonstration's credentials come from the instance's own database
    (SPMS_DATA_DIR or SPMS_DATABASE_URL) unless --access gives others. Exits with 1 when something
    planted was not found, or something else was.

    Examples: spms simulate --seed 7 --subscribers 200 --days 35 --play http://127.0.0.1:8000;
    spms simulate --month --subscribers 10000 --out month
    """
    from spms.city import report  # noqa: PLC0415 - the city is imported by who plays it
    from spms.city.model import CityError  # noqa: PLC0415
    from spms.city.plan import draw  # noqa: PLC0415
    from spms.cli import demonstration  # noqa: PLC0415

    if month and play_url is not None:
        raise typer.BadParameter("a month in bulk is not played: leave out --play or --month")
    try:
        out = out or Path(f"city-{seed}")
        first = None if began is None else began.replace(tzinfo=began.tzinfo or UTC)
        if month:
            size = {"numbers": subscribers, "companies": companies, "charges": charges}
            _write_month(size | {"seed": seed}, days, first, out)
            return
        city = draw(seed=seed, subscribers=subscribers, days=days or DAYS)
        if play_url is None:
            _write(city, first or BEGAN, out)
            return
        credentials = None if access is None else _read(access, play_url)
        result = run(_play(city, play_url, credentials))
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

    _said(directory, export(city, began, directory))


def _write_month(
    size: dict[str, int], days: int | None, began: datetime | None, directory: Path
) -> None:
    from spms.city import month  # noqa: PLC0415
    from spms.city.month_files import write  # noqa: PLC0415

    drawn = month.Month(**size, days=days or month.DAYS, began=began or month.BEGAN)
    _said(directory, write(drawn, directory))


def _said(directory: Path, counts: dict[str, int]) -> None:
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
