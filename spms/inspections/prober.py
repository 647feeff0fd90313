"""Who places the calls: the operator's SIP trunk, or the sandbox's own lines on the loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

import msgspec

from spms.core import db
from spms.core.clock import Clock
from spms.core.db import Pool
from spms.core.settings import Settings, SettingsError
from spms.inspections import queries
from spms.inspections.model import Placing
from spms.inspections.sandbox_call import LOOPBACK, Behaviour
from spms.inspections.sandbox_lines import SandboxLines
from spms.inspections.sip import CallResult, Trunk, place_call
from spms.inspections.sip_digest import Credentials

PATIENCE_SECONDS: Final = 480.0
"""For one call over a trunk: twice what the slowest needs with the longest ringing allowed."""

LINGER_SECONDS: Final = 1.0
"""How long a finished call still answers repeats; meanwhile it takes one of the trunk's places."""

HOLD_SECONDS: Final = 3.0
"""How long an answered call is listened to."""

CALLERS_LEAST: Final = 2

SANDBOX_CALLS: Final = 20
SANDBOX_PATIENCE_SECONDS: Final = 15.0
SANDBOX_RING_SECONDS: Final = 0.4
SANDBOX_ANSWERS_AFTER: Final = 0.1
SANDBOX_T1: Final = 0.05
SANDBOX_SECOND: Final = 50.0
"""What a second of ringing on a sandbox line stands for: 0.4 s there are the 20 s of the rule."""


class Prober(Protocol):
    """Whoever can place a test call."""

    @property
    def callers(self) -> list[str]:
        """The numbers that may be shown to a line."""

    @property
    def simultaneous(self) -> int:
        """How many calls may go on at the same time."""

    @property
    def calls_per_second(self) -> float:
        """How many calls may begin in a second."""

    @property
    def longest_seconds(self) -> float:
        """What one call takes at most, by the machine's clock: then it is taken for lost."""

    async def place(self, call: Placing, *, clock: Clock) -> CallResult:
        """Place the call once, hang up, and report."""


class SipProber:
    """Calls over the operator's trunk.

    A call rings for `sip_ring_seconds`, or for the pass mark of the rulebook where that is longer:
    a shorter ringing would prove nothing.
    """

    longest_seconds = PATIENCE_SECONDS
    hold_seconds = HOLD_SECONDS

    def __init__(self, settings: Settings) -> None:
        """Read the trunk's address and credentials; raise `SettingsError` when they cannot be."""
        if settings.sip_host is None:
            raise SettingsError("SPMS_SIP_HOST is needed to call hotlines")
        if (settings.sip_user is None) != (settings.sip_password is None):
            raise SettingsError("SPMS_SIP_USER and SPMS_SIP_PASSWORD belong together")
        self.callers = caller_numbers(settings)
        self.simultaneous = settings.sip_simultaneous
        self.calls_per_second = settings.sip_calls_per_second
        try:
            credentials = None
            if settings.sip_user is not None and settings.sip_password is not None:
                credentials = Credentials(
                    username=settings.sip_user, password=settings.sip_password
                )
            trunks = [
                Trunk(
                    host=settings.sip_host,
                    port=settings.sip_port,
                    caller=caller,
                    ring_seconds=settings.sip_ring_seconds,
                    credentials=credentials,
                    transport=settings.sip_transport,
                    linger_seconds=LINGER_SECONDS,
                    media_hosts=frozenset(listed(settings.sip_media_hosts)),
                )
                for caller in self.callers
            ]
        except ValueError as error:
            raise SettingsError(f"setting not usable: {error}") from error
        self._trunk = trunks[0]

    async def place(self, call: Placing, *, clock: Clock) -> CallResult:
        """Place the call from the address of this machine that leads to the trunk."""
        here = await _address_towards(self._trunk.host, self._trunk.port)
        trunk = msgspec.structs.replace(
            self._trunk, local_host=here, caller=call.caller,
            ring_seconds=max(self._trunk.ring_seconds, call.ring_seconds),
        )  # fmt: skip
        return await place_call(
            trunk, call.number, call_id=call.call_id, clock=clock.now,
            hold_seconds=self.hold_seconds,
        )  # fmt: skip


def caller_numbers(settings: Settings) -> list[str]:
    """Return the numbers shown to hotlines; raise `SettingsError` for fewer than two.

    With one, a line that bars or knows it would be called bad by its retests as well.
    """
    found = list(dict.fromkeys(listed(settings.sip_caller)))
    if len(found) < CALLERS_LEAST:
        raise SettingsError(
            "SPMS_SIP_CALLER must name two numbers at least: a retest shows another than the call before"
        )
    return found


def listed(text: str) -> list[str]:
    """Read a comma-separated setting."""
    return [part.strip() for part in text.split(",") if part.strip()]


async def _address_towards(host: str, port: int) -> str:
    """Return our own address on the way to a host; where there is none, the call will say so."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)  # sends nothing: it only asks the routing table
            return str(probe.getsockname()[0])
    except OSError:
        return LOOPBACK


class SandboxProber:
    """Calls the sandbox's lines: real SIP over the loopback, ringing for less than a second.

    How a line behaves stands in the database, so that any process on it calls the same lines. A
    number that nobody set answers. Ringing times are reported as if a second were fifty.
    """

    callers: Final = ["10010", "10011"]
    simultaneous = SANDBOX_CALLS
    calls_per_second = 1_000.0
    longest_seconds = SANDBOX_PATIENCE_SECONDS

    def __init__(self, pool: Pool, lines: SandboxLines) -> None:
        """Call lines that have been started."""
        self._pool = pool
        self._lines = lines
        self._trunk = Trunk(
            host=LOOPBACK, port=lines.port, caller=self.callers[0], setup_seconds=2.0,
            ring_seconds=SANDBOX_RING_SECONDS, t1_seconds=SANDBOX_T1, linger_seconds=SANDBOX_T1,
        )  # fmt: skip

    async def place(self, call: Placing, *, clock: Clock) -> CallResult:
        """Set the line as the database has it, and place the call."""
        self._lines.set(call.number, await self._behaviour(call.number))
        trunk = msgspec.structs.replace(self._trunk, caller=call.caller)
        result = await place_call(
            trunk, call.number, call_id=call.call_id, clock=clock.now, hold_seconds=SANDBOX_T1
        )
        if result.ring_seconds is None:
            return result
        rang = min(result.ring_seconds, SANDBOX_RING_SECONDS)  # a busy machine is no slow line
        return msgspec.structs.replace(result, ring_seconds=rang * SANDBOX_SECOND)

    async def _behaviour(self, number: str) -> Behaviour:
        async with db.acquired(self._pool) as read:
            told = await queries.line(read, number)
        if told is None:
            return Behaviour(ring_seconds=SANDBOX_ANSWERS_AFTER)
        return Behaviour(
            kind=told.behaviour, ring_seconds=SANDBOX_ANSWERS_AFTER,
            connect_rate=told.connect_percent / 100, new_number=told.new_number,
        )  # fmt: skip


@asynccontextmanager
async def sandbox_prober(pool: Pool) -> AsyncIterator[SandboxProber]:
    """Start the sandbox's lines on a free port of the loopback and yield who calls them."""
    async with SandboxLines(t1_seconds=SANDBOX_T1) as lines:
        yield SandboxProber(pool, lines)
