"""`spms trunk`: is the trunk for hotline spot checks connected as it should be?"""

import secrets
from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from spms.cli.loop import run
from spms.cli.process import StartError, settings_from_environment
from spms.core.clock import SystemClock
from spms.inspections.dialler import http_prober
from spms.inspections.model import Placing
from spms.inspections.outcomes import BEARING, Bearing, CallOutcome
from spms.inspections.prober import SipProber
from spms.inspections.sip import CallResult

app = typer.Typer(
    help="The trunk over which hotlines are called.\n\nExample: spms trunk check 01012345678",
    no_args_is_help=True,
)
console = Console()

WORDS = {
    CallOutcome.ANSWERED: "somebody or something answered: calls get through",
    CallOutcome.BUSY: "the line is busy: calls get through to it",
    CallOutcome.NO_ANSWER: "it rang and nobody answered: calls get through",
    CallOutcome.NUMBER_CHANGED: "the network says that the number was changed",
    CallOutcome.UNALLOCATED: "the network says that nobody has this number: is it written as the trunk wants it?",
    CallOutcome.REJECTED: "the called side declined, perhaps because of the number we show",
    CallOutcome.CONGESTION: "the network or the trunk is full or failed: try again, then ask the carrier",
    CallOutcome.OWN_FAILURE: "the trunk does not take our call: look at address, transport, credentials, caller number and the firewall",
    CallOutcome.PROTOCOL_ERROR: "what came back was no SIP we understand: send the trace to the carrier",
    CallOutcome.UNCLEAR: "the network played an announcement or redirected: call the number by hand",
}  # fmt: skip


@app.callback()
def trunk() -> None:
    """Work with the trunk for hotline spot checks."""


@app.command()
def check(
    number: Annotated[str, typer.Argument(help="Number to call, for instance your own desk's")],
    json: Annotated[Path | None, typer.Option(help="Also write the result here")] = None,
) -> None:
    """Place one call over the configured trunk and explain what came of it.

    Nothing is stored and nothing counts. Exits with 1 when the call did not get through to a line.

    Example: SPMS_SIP_HOST=sbc.example SPMS_SIP_CALLER=01010010,01010011 spms trunk check 01088886666
    """
    result = run(_call(number))
    table = Table("ms and direction", title=f"{result.outcome}: {WORDS[result.outcome]}")
    for line in result.trace:
        table.add_row(line)
    console.print(table)
    cause = "none" if result.q850_cause is None else result.q850_cause
    console.print(
        f"SIP status {result.sip_code}, Q.850 cause {cause}, counts for: {_bearing(result)}"
    )
    if result.media is not None:
        heard = result.media
        console.print(
            f"heard before the answer: {heard.early.sound} ({heard.early.packets} packets), "
            f"after it: {heard.answered.sound} ({heard.answered.packets} packets)"
        )
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2))
    if BEARING[result.outcome] not in {Bearing.CONNECTED, Bearing.SP}:
        raise typer.Exit(1)


def _bearing(result: CallResult) -> str:
    return {
        Bearing.CONNECTED: "the SP", Bearing.SP: "against the SP", Bearing.OURS: "nobody",
        Bearing.REVIEW: "nobody before a person has listened",
    }[BEARING[result.outcome]]  # fmt: skip


async def _call(number: str) -> CallResult:
    settings = settings_from_environment()
    clock = SystemClock()
    try:
        if settings.dialler_url is not None:
            async with http_prober(settings) as dialler:
                return await dialler.place(_order(number, dialler.callers[0]), clock=clock)
        prober = SipProber(settings)
        return await prober.place(_order(number, prober.callers[0]), clock=clock)
    except ValueError as error:
        raise StartError(str(error)) from error
    except OSError as error:
        raise StartError(f"the dialler cannot be reached: {type(error).__name__}") from error


def _order(number: str, caller: str) -> Placing:
    return Placing(
        item_id=UUID(int=0), attempt_no=1, number=number, caller=caller,
        call_id=secrets.token_hex(16), ring_seconds=5,
    )  # fmt: skip
