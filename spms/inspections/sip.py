"""Places one test call to a hotline over SIP and reports what came back (RFC 3261, UAC).

One call, one socket, connected to the trunk: nobody else is heard. Requests go to the trunk only,
also where Contact or Route name other hosts (RFC 3261 8.1.2): the far end cannot make us send a
packet to a place of its choice. Redirections are recorded, never followed. Nothing in the messages
tells that the call is a test; a `call_id` that does would undo this.
"""

import asyncio
import re
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from msgspec import Struct

from spms.inspections.outcomes import CallOutcome, Ending, classify, classify_ending
from spms.inspections.sip_audio import AudioPort
from spms.inspections.sip_digest import Credentials, choose
from spms.inspections.sip_line import CHALLENGES, Dialled, Leg, Line
from spms.inspections.sip_timing import PATIENCE_IN_T1, T2_SECONDS
from spms.inspections.sip_wire import Wire, open_wire
from spms.inspections.sound import Media

_NUMBER = re.compile(r"\+?[0-9]{1,20}")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_CALL_ID = re.compile(r"[A-Za-z0-9.@_-]{1,120}")
_LEAVING_IN_T1 = 8  # when the task is cancelled: how long to try to hang up properly, per step


class Trunk(Struct, frozen=True, kw_only=True):
    """The operator's SIP trunk, and how patient a test call is. Durations in seconds."""

    host: str
    port: int = 5060
    transport: Literal["udp", "tcp"] = "udp"
    caller: str  # the number shown to the line
    local_host: str = "127.0.0.1"
    setup_seconds: float = 15.0  # from the first provisional answer to a sign of ringing
    ring_seconds: float = 20.0  # from the first sign of ringing to the answer
    t1_seconds: float = 0.5  # round-trip estimate (RFC 3261, 17.1.1.1)
    linger_seconds: float = 4.0  # after the end: still answers repeats, three of them by default
    credentials: Credentials | None = None
    media_hosts: frozenset[str] = frozenset()  # addresses that audio comes from, besides the host's

    def __post_init__(self) -> None:
        """Refuse a host or caller that would not stand in a SIP address as it is (ValueError)."""
        if not _HOST.fullmatch(self.host):
            raise ValueError("the host of a trunk must be a name or an IP address")
        if not _NUMBER.fullmatch(self.caller):
            raise ValueError("the caller of a trunk must be digits, with at most a leading +")


class CallResult(Struct, frozen=True, kw_only=True):
    """What one test call came to, with the evidence for it. Times are aware UTC."""

    outcome: CallOutcome
    sip_code: int | None  # the final status of the INVITE
    q850_cause: int | None
    redirected_to: str | None  # address given with a 3xx or a 410; never called
    started_at: datetime
    answered_at: datetime | None  # also set when the answer came too late, crossing our CANCEL
    ended_at: datetime
    ring_seconds: float | None  # from the first 180–183 to the end of waiting; None: never rang
    hung_up_by_line: bool  # the line ended an answered call before we did
    audio_packets: int  # datagrams that arrived at the offered audio port
    media: Media | None = None  # what was heard; None when there was no port to hear at
    trace: tuple[str, ...]  # methods and status lines with milliseconds since the first


async def place_call(
    trunk: Trunk,
    number: str,
    *,
    call_id: str,
    clock: Callable[[], datetime],
    hold_seconds: float = 3.0,
) -> CallResult:
    """Call the number, hold an answered call for `hold_seconds`, hang up, and report.

    Never raises for anything the far end or the network does. Takes at most setup, ring, hold and
    linger times plus 192 T1 of unanswered repeats; a trunk that wants credentials may cost the
    part before the answer twice. When the task is cancelled, CANCEL or BYE is sent before the
    cancellation goes on (at most 24 T1). Raises ValueError for a number or call-id that cannot
    stand in a SIP message; neither is repeated in the text.
    """
    if not _NUMBER.fullmatch(number) or not _CALL_ID.fullmatch(call_id):
        raise ValueError("a number is digits, a call-id is of letters, digits and . @ _ -")
    call = _Call(trunk, number, call_id=call_id, clock=clock, hold_seconds=hold_seconds)
    try:
        await call.open()
    except OSError:
        call.ending = Ending.NO_SOCKET
    else:
        await call.run()
    return call.result()


class _Call:
    """The course of one call: which fact is waited for, how long, and what follows."""

    ending: Ending | None = None
    _inviting = False
    _ring_seconds: float | None = None
    _answered_at: datetime | None = None
    _ended_at: datetime | None = None

    def __init__(
        self,
        trunk: Trunk,
        number: str,
        *,
        call_id: str,
        clock: Callable[[], datetime],
        hold_seconds: float,
    ) -> None:
        host = f"[{trunk.host}]" if ":" in trunk.host else trunk.host
        dialled = Dialled(
            number=number, caller=trunk.caller, host=f"{host}:{trunk.port}", call_id=call_id
        )
        self._ear = AudioPort(trunk.media_hosts)
        self._line = Line(
            dialled,
            on_spare_leg=self._hang_up,
            who=trunk.credentials,
            on_answer=lambda answer: self._ear.answered(answer.body),
        )
        self._trunk = trunk
        self._clock = clock
        self._hold_seconds = hold_seconds
        self._started_at = clock()
        self._byes: set[asyncio.Task[None]] = set()
        self._transports: list[asyncio.BaseTransport | Wire] = []
        self._now = asyncio.get_running_loop().time

    async def open(self) -> None:
        """Open the sockets. Raises OSError when the machine will not."""
        loop, here = asyncio.get_running_loop(), (self._trunk.local_host, 0)
        try:
            ear, _ = await loop.create_datagram_endpoint(lambda: self._ear, local_addr=here)
            self._transports.append(ear)
            there = (self._trunk.host, self._trunk.port)
            self._wire = await open_wire(
                self._trunk.transport, self._line, here=here[0], there=there,
                patience=PATIENCE_IN_T1 * self._trunk.t1_seconds,
            )  # fmt: skip
            self._transports.append(self._wire)
            self._ear.trust(self._wire.peer)
            self._line.attach(self._wire, ear.get_extra_info("sockname")[1])
        except BaseException:
            self._close()
            raise

    async def run(self) -> None:
        """Run the call to its end, however it ends."""
        line = self._line
        cancelled = True
        try:
            await self._dial()
            if line.leg is not None and self.ending is None:
                await line.watch.until(
                    lambda: line.hung_up_by_line, self._now() + self._hold_seconds
                )
            cancelled = False
        finally:
            try:
                await self._leave(in_a_hurry=cancelled)
            finally:
                self._close()

    async def _dial(self) -> None:
        """Invite; once more with credentials when the trunk asks for them and we have them."""
        line = self._line
        await self._invite()
        for again in (False, True):
            who, final = self._trunk.credentials, line.final
            if who is None or final is None or final.code not in CHALLENGES or self.ending:
                return
            challenge = choose(final.challenges)
            if challenge is None or (again and not challenge.stale):  # never in a loop
                return
            line.prove(challenge, who)
            await self._invite()

    @property
    def _repeat_after(self) -> float:
        """When an unanswered request is repeated; over a stream it never is (17.1.1.2)."""
        t1 = self._trunk.t1_seconds
        return 2 * PATIENCE_IN_T1 * t1 if self._wire.reliable else t1

    async def _invite(self) -> None:
        line, watch = self._line, self._line.watch
        t1, ring = self._trunk.t1_seconds, self._trunk.ring_seconds
        patience = PATIENCE_IN_T1 * t1
        self._inviting = True
        await watch.repeat(
            line.send_invite,
            lambda: line.provisional or line.over,
            first=self._repeat_after,
            longest=patience,
            deadline=self._now() + patience,  # timers A and B
        )
        if not line.provisional and not line.over:
            self.ending = Ending.NO_RESPONSE
        elif not await watch.until(
            lambda: line.rang_at is not None or line.over, self._now() + self._trunk.setup_seconds
        ):
            self.ending = Ending.NEVER_RANG
        elif line.rang_at is not None:
            if not await watch.until(lambda: line.over, line.rang_at + ring):
                self.ending = Ending.RING_LIMIT if line.belled else Ending.ANNOUNCEMENT
            self._ring_seconds = self._now() - line.rang_at
        if line.refused and line.final is None:
            self.ending = Ending.REFUSED
        if line.provisional and not line.over:
            await self._cancel(patience)
        self._inviting = False
        if line.leg is not None:
            self._answered_at = self._clock()

    async def _cancel(self, patience: float) -> None:
        line, deadline = self._line, self._now() + patience
        await line.watch.repeat(
            line.send_cancel,
            lambda: line.cancel_answered or line.over,
            first=self._repeat_after,
            longest=max(T2_SECONDS, self._repeat_after),
            deadline=deadline,  # timers E and F
        )
        await line.watch.until(lambda: line.over, deadline)

    def _hang_up(self, leg: Leg) -> None:
        """Say BYE until it is answered, beside whatever else goes on."""
        line, t1 = self._line, self._trunk.t1_seconds
        if leg.tag in line.ended:
            return

        async def bye() -> None:
            await line.watch.repeat(
                lambda: line.send_bye(leg),
                lambda: leg.tag in line.ended or line.refused,
                first=self._repeat_after,
                longest=max(T2_SECONDS, self._repeat_after),
                deadline=self._now() + PATIENCE_IN_T1 * t1,
            )

        self._byes.add(asyncio.create_task(bye()))

    async def _leave(self, *, in_a_hurry: bool) -> None:
        """End what is still open; wait a little for repeats and for late legs of a fork."""
        line = self._line
        hurry = _LEAVING_IN_T1 * self._trunk.t1_seconds
        if self._inviting and not line.over:
            await line.watch.until(lambda: line.provisional or line.over, self._now() + hurry)
            if line.provisional and not line.over:
                await self._cancel(hurry)
        line.given_up = True
        if line.leg is not None:
            self._hang_up(line.leg)
        self._ended_at = self._clock()
        if not in_a_hurry:
            await asyncio.sleep(self._trunk.linger_seconds)
        while pending := [task for task in self._byes if not task.done()]:  # timer F ends each
            await asyncio.wait(pending, timeout=hurry if in_a_hurry else None)
            if in_a_hurry:
                return

    def result(self) -> CallResult:
        """Put together what is known; the call is over."""
        line, final = self._line, self._line.final
        cause = final.q850 if final is not None else None
        return CallResult(
            outcome=self._outcome(),
            sip_code=final.code if final is not None else None,
            q850_cause=cause if cause is not None else line.early_cause,
            redirected_to=final.contact if final is not None and final.redirects else None,
            started_at=self._started_at,
            answered_at=self._answered_at,
            ended_at=self._ended_at or self._clock(),
            ring_seconds=self._ring_seconds,
            hung_up_by_line=line.hung_up_by_line,
            audio_packets=self._ear.packets,
            media=self._ear.told(),
            trace=tuple(line.trace),
        )

    def _outcome(self) -> CallOutcome:
        line, final, ending = self._line, self._line.final, self.ending
        if final is not None and (ending is None or final.stands_after_cancel):
            return classify(final.code, q850=final.q850, rang=line.rang_at is not None)
        if line.malformed:  # what we took for silence may have been an answer
            ending = Ending.GARBLED
        return classify_ending(ending or Ending.NO_RESPONSE, q850=line.early_cause)

    def _close(self) -> None:
        for task in self._byes:
            task.cancel()
        self._ear.close()
        for transport in self._transports:
            transport.close()
