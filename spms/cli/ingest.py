"""Delivering a charge file as an SP does, with a manifest, and watching it land."""

import asyncio
import gzip
import hashlib
import os
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from spms.cli.loop import run
from spms.cli.process import StartError

if TYPE_CHECKING:
    import aiohttp

CHUNK = 262_144
PLAIN = {".csv": "text/csv", ".ndjson": "application/x-ndjson"}
PACKED = {".gz": "application/gzip", ".zip": "application/zip"}
ASK_SECONDS = 1.0
COUNTED = ("received", "landed", "quarantined", "duplicates")
WARNINGS = {"no_lines": "the file holds no line of data; is it the right one, and whole?"}

console = Console()


def ingest(  # noqa: PLR0917 - typer's way to name options
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A charge file")],
    url: Annotated[str, typer.Option(help="Address of SPMS")] = "http://127.0.0.1:8000",
    client_id: Annotated[str, typer.Option(envvar="SPMS_CLIENT_ID", help="OAuth client id")] = "",
    client_secret: Annotated[
        str,
        typer.Option(envvar="SPMS_CLIENT_SECRET", help="Better set than typed: shells remember"),
    ] = "",
    gb18030: Annotated[
        bool, typer.Option("--gb18030", help="The file is GB18030, not UTF-8")
    ] = False,
    receipt: Annotated[Path | None, typer.Option(help="Write the signed receipt here")] = None,
) -> None:
    """Deliver a charge file (.csv or .ndjson, also .gz or .zip) as an SP and watch it land.

    The file goes with a manifest: what was cut or changed on its way is refused. Sending a file
    again is harmless, and continues one that was broken off.

    Example: SPMS_CLIENT_ID=… SPMS_CLIENT_SECRET=… spms ingest charges.csv.gz
    """
    headers = _headers(file, "; charset=gb18030" if gb18030 else "")

    import aiohttp  # noqa: PLC0415 - keeps `spms --help` quick

    async def work() -> None:
        digest = await asyncio.to_thread(_sha256, file)
        headers["X-Charge-SHA256"] = digest
        signed_in = {"Authorization": await _token(url, client_id, client_secret)}
        endless = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(url, headers=signed_in, timeout=endless) as session:
            told = await _deliver(session, file, headers, digest)
            table = Table(*COUNTED, title=told["id"])
            table.add_row(*(str(told[name]) for name in COUNTED))
            console.print(table)
            if (warning := told.get("warning")) is not None:
                console.print(f"warning: {WARNINGS.get(warning, warning)}")
            async with session.get(f"/charge-files/{told['id']}") as answer:
                for reason in (await answer.json())["reasons"]:
                    console.print(f"quarantined {reason['lines']}: {reason['reason']}")
            if receipt is not None:
                async with session.get(f"/charge-files/{told['id']}/receipt.json") as answer:
                    await asyncio.to_thread(receipt.write_bytes, await answer.read())

    try:
        run(work())
    except (aiohttp.ClientError, ValueError) as error:
        raise StartError(f"cannot reach {url}: {error}") from error


def _headers(file: Path, charset: str) -> dict[str, str]:
    """Say what a file is by its name."""
    inside = Path(file.stem).suffix if file.suffix in PACKED else file.suffix
    if inside not in PLAIN:
        raise StartError("the file's name must end in .csv or .ndjson, then .gz or .zip if packed")
    if file.suffix in PACKED:
        return {"Content-Type": PACKED[file.suffix] + charset, "X-Charge-Format": inside[1:]}
    return {"Content-Type": PLAIN[inside] + charset}


def _sha256(file: Path) -> str:
    """Return the digest of the content, unpacked."""
    digest = hashlib.sha256()

    def read(source: Any) -> None:
        while piece := source.read(CHUNK):
            digest.update(piece)

    try:
        if file.suffix == ".gz":
            with gzip.open(file) as unpacked:
                read(unpacked)
        elif file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive, archive.open(archive.infolist()[0]) as member:
                read(member)
        else:
            with file.open("rb") as plain:
                read(plain)
    except (OSError, EOFError, zipfile.BadZipFile, IndexError) as error:
        raise StartError(f"cannot read {file}: {error}") from error
    return digest.hexdigest()


async def _token(url: str, client_id: str, client_secret: str) -> str:
    import aiohttp  # noqa: PLC0415

    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
    }
    async with aiohttp.ClientSession(url) as session, session.post("/oauth/token", data=form) as a:
        token = await a.json()
        if a.status != 200:  # noqa: PLR2004 - RFC 6749
            raise StartError(f"cannot sign in: {token.get('error_description', token)}")
    return f"Bearer {token['access_token']}"


async def _deliver(
    session: "aiohttp.ClientSession", file: Path, headers: dict[str, str], digest: str
) -> dict[str, Any]:
    columns = (
        TextColumn("{task.description:>8}"), BarColumn(), TextColumn("{task.completed:,.0f}"),
        TextColumn("of {task.total:,.0f}"), TimeElapsedColumn(),
    )  # fmt: skip
    source = await asyncio.to_thread(file.open, "rb")
    with Progress(*columns, console=console) as progress, source:
        sending = progress.add_task("sending", total=os.fstat(source.fileno()).st_size)
        watching = asyncio.create_task(_watch(session, digest, progress))
        try:
            body = _pieces(source, progress, sending)
            async with session.post("/charge-files", data=body, headers=headers) as answer:
                told: dict[str, Any] = await answer.json(content_type=None)
        finally:
            watching.cancel()
    if answer.status not in {200, 201}:
        raise StartError(f"not taken: {told.get('detail') or told.get('title')}")
    return told


async def _pieces(source: BinaryIO, progress: Progress, task: TaskID) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(source.read, CHUNK):
        progress.advance(task, len(piece))
        yield piece


async def _watch(session: "aiohttp.ClientSession", digest: str, progress: Progress) -> None:
    """Show how many lines are through, for as long as the file lands."""
    import aiohttp  # noqa: PLC0415

    task: TaskID | None = None
    while True:
        await asyncio.sleep(ASK_SECONDS)
        with suppress(aiohttp.ClientError, ValueError, KeyError):
            async with session.get("/charge-files", params={"sha256": digest}) as answer:
                for file in (await answer.json())["items"]:
                    if task is None:
                        task = progress.add_task("landing", total=file["received"])
                    progress.update(task, completed=file["lines"])
