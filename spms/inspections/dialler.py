"""Calls placed by the operator's existing dialler, over HTTP. The same outcomes, judged the same.

One POST per attempt, never a second one: whatever goes wrong after it was begun, the call may have
been placed. The dialler answers when the call is over, with what the network told it; what that
means is decided here, by the tables of `outcomes.py`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from spms.core.clock import Clock
from spms.core.settings import Settings, SettingsError
from spms.inspections.model import Placing
from spms.inspections.outcomes import CallOutcome, Ending, classify, classify_ending
from spms.inspections.prober import PATIENCE_SECONDS, caller_numbers
from spms.inspections.sip import CallResult

if TYPE_CHECKING:
    import aiohttp

ANSWER_BYTES_MAX: Final = 65_536
OK: Final = 200


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the dialler is told."""

    call_id: str
    """Names the call; a dialler that has seen it must not dial again."""
    number: str
    caller: str
    ring_seconds: float
    """How long it has to ring at least before the dialler may give up."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the dialler says when the call is over."""

    sip_code: Annotated[int, msgspec.Meta(ge=200, le=699)] | None = None
    """The final status of the call, or null when there was none."""
    ending: Ending | None = None
    """Without a final status: how it ended."""
    q850_cause: Annotated[int, msgspec.Meta(ge=0, le=127)] | None = None
    ring_ms: Annotated[int, msgspec.Meta(ge=0, le=600_000)] | None = None
    """From the first sign of ringing to the answer or the end of waiting; null: never rang."""
    redirected_to: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    trace: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=200)]], msgspec.Meta(max_length=200)
    ] = []
    """What was sent and heard, if the dialler can tell."""


class HttpProber:
    """Calls through the operator's dialler."""

    longest_seconds = PATIENCE_SECONDS

    def __init__(self, settings: Settings, session: "aiohttp.ClientSession") -> None:
        """Read the dialler's address; raise `SettingsError` when it is none."""
        self._url = settings.dialler_url or ""
        if not self._url.startswith(("http://", "https://")):
            raise SettingsError("SPMS_DIALLER_URL must be an http or https address")
        self.callers = caller_numbers(settings)
        self.simultaneous = settings.sip_simultaneous
        self.calls_per_second = settings.sip_calls_per_second
        self._ring_seconds = settings.sip_ring_seconds
        self._headers = {"Content-Type": "application/json"}
        if settings.dialler_token is not None:
            self._headers["Authorization"] = f"Bearer {settings.dialler_token}"
        self._session = session

    async def place(self, call: Placing, *, clock: Clock) -> CallResult:
        """Order the call and wait for its end. What the dialler gets wrong is never the SP's."""
        started_at = clock.now()
        report = await self._order(
            Order(
                call_id=call.call_id, number=call.number, caller=call.caller,
                ring_seconds=max(self._ring_seconds, call.ring_seconds),
            )
        )  # fmt: skip
        outcome = _outcome(report)
        known = report or Report()
        return CallResult(
            outcome=outcome, sip_code=known.sip_code, q850_cause=known.q850_cause,
            redirected_to=known.redirected_to, started_at=started_at,
            answered_at=None, ended_at=clock.now(),
            ring_seconds=None if known.ring_ms is None else known.ring_ms / 1_000,
            hung_up_by_line=False, audio_packets=0, trace=tuple(known.trace),
        )  # fmt: skip

    async def _order(self, order: Order) -> Report | None:
        """Post once; None for an answer that cannot be understood. Raises what the network does."""
        async with self._session.post(
            self._url, data=msgspec.json.encode(order), headers=self._headers,
            allow_redirects=False,
        ) as answer:  # fmt: skip
            body = await answer.content.read(ANSWER_BYTES_MAX + 1)
            if answer.status != OK:
                return None
        try:
            return msgspec.json.decode(body, type=Report)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return None


def _outcome(report: Report | None) -> CallOutcome:
    if report is None:
        return CallOutcome.PROTOCOL_ERROR
    rang = report.ring_ms is not None
    if report.sip_code is not None:
        return classify(report.sip_code, q850=report.q850_cause, rang=rang)
    if report.ending is not None:
        return classify_ending(report.ending, q850=report.q850_cause)
    return CallOutcome.PROTOCOL_ERROR


@asynccontextmanager
async def http_prober(settings: Settings) -> AsyncIterator[HttpProber]:
    """Open connections to the dialler and yield who calls through it."""
    import aiohttp  # noqa: PLC0415 - where there is no dialler, nothing waits for it

    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield HttpProber(settings, session)
