"""`spms explain`: why a decision came out as it did, or would."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from spms.cli.loop import run
from spms.cli.process import StartError, base, settings_from_environment
from spms.core import db
from spms.core.access import job_actor
from spms.core.errors import NotFound, Unprocessable
from spms.subscribers.model import Language

if TYPE_CHECKING:
    from spms.authorisation.explanation_model import Check, Explanation
    from spms.authorisation.hypothetical import Hypothesis, HypotheticalQuestion

WHO = job_actor("explain")
console = Console()


def explain(
    authorisation_id: Annotated[
        UUID | None, typer.Argument(help="Id of the decision; without it, a hypothetical one")
    ] = None,
    *,
    sp: Annotated[str | None, typer.Option(help="Hypothetical: the SP's code")] = None,
    service: Annotated[str | None, typer.Option(help="Hypothetical: the service's code")] = None,
    price: Annotated[
        int | None, typer.Option(help="Hypothetical: the charge in fen; without it, a message")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Hypothetical: as of when (ISO 8601 with offset); or now")
    ] = None,
    content: Annotated[
        Path | None, typer.Option(help="Hypothetical: file with the message's text")
    ] = None,
    reason: Annotated[
        str, typer.Option(help="Hypothetical: why the number is looked at; kept on record")
    ] = "asked on the command line",
    lang: Annotated[Language, typer.Option(help="Language of the sentences")] = Language.EN,
    json: Annotated[Path | None, typer.Option(help="Also write the whole of it here")] = None,
) -> None:
    """Show why a decision came out as it did, and make it again as of its instant.

    Without an id: what would be decided, or would have been, about the number that is read from
    standard input (or asked for): it is never an argument, which other users of the machine see.

    Example: spms explain 0197f3c2-5b1e-7c40-9d6a-2f1f6f0c7a11

    Example: spms explain --sp 100001 --service 100001 --price 800 --at 2026-03-12T12:00+08:00
    """
    if authorisation_id is not None:
        told: Explanation | Hypothesis = run(_recorded(authorisation_id, lang))
    else:
        told = run(_supposed(_question(sp, service, price, at, content, reason), lang))
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2))


async def _recorded(authorisation_id: UUID, lang: Language) -> "Explanation":
    from spms.authorisation import actions  # noqa: PLC0415 - keeps `spms --help` quick

    async with base(settings_from_environment()) as ground, db.snapshot(ground.pool) as read:
        try:
            told = await actions.explain(read, authorisation_id, actor=WHO, language=lang)
        except NotFound as error:
            raise StartError("there is no decision with that id") from error
    _show(told.decision.allowed, told.checks)
    words = "agrees" if told.agrees else f"differs in {', '.join(told.differences)}"
    console.print(f"made again as of {told.decision.decided_at:%F %T%z}: {words}")
    return told


async def _supposed(asked: "HypotheticalQuestion", lang: Language) -> "Hypothesis":
    from spms.authorisation.hypothetical import suppose  # noqa: PLC0415 - as above

    async with base(settings_from_environment()) as ground, db.transaction(ground.pool) as tx:
        try:
            told = await suppose(tx, asked, actor=WHO, now=ground.clock.now(), language=lang)
        except NotFound as error:
            raise StartError("there is no SP with that code") from error
        except Unprocessable as error:
            raise StartError(error.detail or error.code) from error
    _show(told.allowed, told.checks)
    console.print(
        f"supposed as of {told.at:%F %T%z}, by rulebook version {told.rulebook_version};"
        f" against it: {', '.join(told.reasons) or 'nothing'}"
    )
    return told


def _question(  # noqa: PLR0917 - the command's options
    sp: str | None,
    service: str | None,
    price: int | None,
    at: str | None,
    content: Path | None,
    reason: str,
) -> "HypotheticalQuestion":
    from spms.authorisation.hypothetical import HypotheticalQuestion  # noqa: PLC0415 - as above

    if sp is None or service is None:
        raise StartError("name a decision by its id, or --sp and --service of a hypothetical one")
    if sys.stdin.isatty():
        number = typer.prompt("number", hide_input=True)
    else:
        number = sys.stdin.readline().strip()
    asked = {
        "sp_code": sp, "service_code": service, "msisdn": number, "at": at, "reason": reason,
        "purpose": "message" if price is None else "charge", "price_fen": price or 0,
        "content": None if content is None else content.read_text("utf-8").strip(),
    }  # fmt: skip
    try:
        return msgspec.convert(asked, HypotheticalQuestion, strict=True)
    except msgspec.ValidationError as error:
        raise StartError(str(error)) from None


def _show(allowed: bool, checks: "Iterable[Check]") -> None:
    table = Table("check", "result", title=f"allowed: {allowed}")
    for check in checks:
        table.add_row(check.sentence, check.verdict)
    console.print(table)
