"""`spms verify`: is this evidence what was written? A file offline, or the whole database."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from spms.cli.loop import run
from spms.cli.process import StartError, base, settings_from_environment
from spms.compensation import journal
from spms.core import db, pack, signing
from spms.core.chain import Fault
from spms.core.phone import mask
from spms.core.verification import AnchorFault, anchor_faults
from spms.inspections import call_log
from spms.subscriptions import consent_log

FILE_BYTES_MAX = 64 * 1024 * 1024
BATCH = 500

console = Console()


class Walked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of walking through the database."""

    chains: int
    """Of consents and calls."""
    rows: int
    """Of the book."""
    anchors: int
    faults: list[Fault]
    anchor_faults: list[AnchorFault]

    @property
    def fine(self) -> bool:
        """Whether nothing is at fault."""
        return not self.faults and not self.anchor_faults


def verify(
    file: Annotated[Path | None, typer.Argument(help="An evidence pack, JSON or PDF")] = None,
    database: Annotated[
        bool, typer.Option("--database", help="Walk every chain and compare with the anchors")
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(help="Public keys you trust: hex, PEM, or what GET /keys answers"),
    ] = None,
    anchors: Annotated[
        Path | None, typer.Option(help="Directory of anchors; default: this installation's")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the result here")] = None,
) -> None:
    """Check an evidence pack offline, or with --database every chain; exits with 1 on any fault.

    Example: spms verify evidence.pdf --key operator-keys.json
    """
    if (file is None) is not database:
        raise StartError("name a FILE, or say --database")
    trusted = None if key is None else _keys(key)
    if file is not None:
        fine, found = _show_pack(file, trusted)
    else:
        fine, found = _show_walk(run(_walk(trusted, anchors)))
    if json is not None:
        json.write_bytes(msgspec.json.format(found, indent=2))
    if not fine:
        raise typer.Exit(1)


def _keys(path: Path) -> list[bytes]:
    try:
        return signing.read_public_keys(path.read_text("utf-8"))
    except (OSError, ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
        raise StartError(f"{path}: no public key can be read from it") from error


def _show_pack(file: Path, trusted: list[bytes] | None) -> tuple[bool, bytes]:
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise StartError(f"{file}: too large for an evidence pack")
        data = file.read_bytes()
    except OSError as error:
        raise StartError(f"{file}: {error.strerror}") from error
    found = pack.verify(data, trusted)
    table = Table("checked", "", "finding", title=f"{file.name}")
    for check in found.checks:
        fine = "compare" if check.what == "key" and trusted is None else "ok"
        table.add_row(check.what, fine if check.fine else "[red]WRONG[/red]", check.words)
    console.print(table)
    if found.fine and found.content is not None:
        about = found.content["about"]
        console.print(f"{about['kind']} {about['id']}, as of {found.content['made_at']}")
    console.print(_verdict(fine=found.fine, by_known_key=trusted is not None))
    return found.fine, msgspec.json.encode(msgspec.structs.replace(found, content=None))


def _verdict(*, fine: bool, by_known_key: bool) -> str:
    """Say no more than was checked: anybody can sign a pack of his own with a key of his own."""
    if not fine:
        return "[red]NOT genuine 不属实[/red]"
    if by_known_key:
        return "genuine 属实"
    return (
        "unaltered since it was signed; by whom, only the key says 签名后未改动，签名者待核对密钥"
    )


async def _walk(trusted: list[bytes] | None, directory: Path | None) -> Walked:
    from jobs.anchor_heads import CHAINS  # noqa: PLC0415 - keeps `spms --help` quick

    settings = settings_from_environment()
    faults: list[Fault] = []
    chains, after = 0, ""
    async with base(settings) as ground:
        while True:
            async with db.snapshot(ground.pool) as read:
                numbers = await consent_log.numbers(read, after=after, limit=BATCH)
                if not numbers:
                    break
                faults += await consent_log.faults(read, numbers)
            chains, after = chains + len(numbers), numbers[-1]
        rows, damage = await journal.verify(ground.pool)
        faults += journal.faults(damage)
        async with db.snapshot(ground.pool) as read:
            called, of_calls = await call_log.faults(read)
        keys = trusted or [signing.open_signer(settings).public_key]
        where = directory or settings.anchor_path
        async with db.snapshot(ground.pool) as read:
            count, wrong, of_chains = await anchor_faults(read, where, keys, CHAINS)
    return Walked(
        chains=chains + called, rows=rows, anchors=count, faults=faults + of_calls + of_chains,
        anchor_faults=wrong,
    )  # fmt: skip


def _show_walk(walked: Walked) -> tuple[bool, bytes]:
    table = Table("chain", "whose", "entry", "fault")
    for fault in walked.faults:
        table.add_row(fault.chain, _masked(fault.subject), str(fault.seq), fault.kind)
    for wrong in walked.anchor_faults:
        table.add_row("anchor", "", str(wrong.anchor), wrong.kind)
    if not walked.fine:
        console.print(table)
    console.print(
        f"{walked.chains} chains, {walked.rows} rows of the book and "
        f"{walked.anchors} anchors walked"
    )
    console.print("all as written" if walked.fine else "[red]NOT as written[/red]")
    masked = [
        msgspec.structs.replace(fault, subject=_masked(fault.subject)) for fault in walked.faults
    ]
    return walked.fine, msgspec.json.encode(msgspec.structs.replace(walked, faults=masked))


def _masked(subject: str) -> str:
    return mask(subject) if subject.isascii() and subject.isdigit() else subject
