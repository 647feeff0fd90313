"""One call to a demonstration hotline, from INVITE to BYE or refusal (RFC 3261, UAS)."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from spms.inspections.sip_messages import Ask, audio_offer, write_response
from spms.inspections.sip_timing import PATIENCE_IN_T1, T2_SECONDS, Watch

LONGEST_RINGING_SECONDS = 180.0  # then the exchange gives up by itself (RFC 3261, 13.3.1.1)
LONGEST_TALK_SECONDS = 300.0
_NO_VOICE = 9  # the discard port: nobody speaks on these lines
LOOPBACK = "127.0.0.1"
ALLOW = ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS")


class LineKind(StrEnum):
    """What a hotline does when it is called."""

    ANSWER = "answer"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    CHANGED = "changed"
    UNALLOCATED = "unallocated"
    FLAKY = "flaky"  # answers some calls, lets the others ring
    CONGESTION = "congestion"


class Behaviour(Struct, frozen=True, kw_only=True):
    """How one hotline behaves. `connect_rate` is for flaky lines, `new_number` for changed ones."""

    kind: LineKind = LineKind.ANSWER
    ring_seconds: Annotated[float, Meta(ge=0, le=60)] = 0.2
    connect_rate: Annotated[float, Meta(ge=0, le=1)] = 0.7
    new_number: Annotated[str, Meta(pattern=r"^\+?[0-9]{1,20}$")] | None = None


# Kinds that end without ringing: status line and Q.850 cause.
REFUSALS: Mapping[LineKind, tuple[str, int]] = {
    LineKind.BUSY: ("486 Busy Here", 17),
    LineKind.CHANGED: ("410 Gone", 22),
    LineKind.UNALLOCATED: ("404 Not Found", 1),
    LineKind.CONGESTION: ("503 Service Unavailable", 42),
}


class SandboxCall:
    """What is known of one incoming call, and what the line does with it."""

    def __init__(
        self,
        ask: Ask,
        send: Callable[[bytes], None],
        *,
        source: tuple[str, int],
        here: str,
    ) -> None:
        self.tag = secrets.token_hex(8)
        self._ask = ask
        self._send = send
        self._source = source
        self._here = here
        self._watch = Watch()
        self._last = b""
        self._final = False
        self._acked = False
        self._cancelled = False
        self._over = False

    def hear_invite(self, ask: Ask) -> None:
        """Repeat the last answer to a repeated INVITE; refuse to change a session that runs."""
        if ask.branch == self._ask.branch:
            self._send(self._last)
        else:
            status = "488 Not Acceptable Here"
            self._send(write_response(ask, status, tag=self.tag, source=self._source))

    def hear_ack(self) -> None:
        """Stop repeating the final answer."""
        self._acked = self._final
        self._watch.tell()

    def hear_cancel(self) -> None:
        """End the ringing; too late once the call is answered."""
        self._cancelled = True
        self._watch.tell()

    def hear_bye(self) -> None:
        """End the call."""
        self._over = True
        self._watch.tell()

    async def play(self, behaviour: Behaviour, t1: float) -> None:
        """Behave as told, and keep the call until its last repeat has been answered."""
        self._say("100 Trying")
        refusal = REFUSALS.get(behaviour.kind)
        if refusal is not None:
            status, cause = refusal
            await self._finish(status, t1, cause=cause, contact=behaviour.new_number)
            return
        self._say("180 Ringing")
        answers = behaviour.kind is LineKind.ANSWER
        ringing = behaviour.ring_seconds if answers else LONGEST_RINGING_SECONDS
        if await self._wait(lambda: self._cancelled or self._over, ringing):
            await self._finish("487 Request Terminated", t1)
        elif answers:
            await self._finish("200 OK", t1)
            if self._acked:
                await self._wait(lambda: self._over, LONGEST_TALK_SECONDS)
        else:
            await self._finish("480 Temporarily Unavailable", t1, cause=19)
        await asyncio.sleep(t1)  # a repeated BYE or ACK still finds the call

    async def _wait(self, fact: Callable[[], bool], seconds: float) -> bool:
        return await self._watch.until(fact, asyncio.get_running_loop().time() + seconds)

    async def _finish(
        self, status: str, t1: float, *, cause: int | None = None, contact: str | None = None
    ) -> None:
        """Give the final answer and repeat it until it is acknowledged (timers G and H)."""
        self._final = True
        self._prepare(status, cause=cause, contact=contact)
        await self._watch.repeat(
            lambda: self._send(self._last),
            lambda: self._acked or self._over,
            first=t1,
            longest=T2_SECONDS,
            deadline=asyncio.get_running_loop().time() + PATIENCE_IN_T1 * t1,
        )

    def _say(self, status: str) -> None:
        self._prepare(status)
        self._send(self._last)

    def _prepare(
        self, status: str, *, cause: int | None = None, contact: str | None = None
    ) -> None:
        """Make the status the answer that a repeated INVITE gets as well."""
        answered = status.startswith("200")
        trying = status.startswith("100")
        headers = [] if cause is None else [("Reason", f"Q.850;cause={cause}")]
        if contact or answered or not (self._final or trying):
            headers.append(("Contact", f"<sip:{contact or self._ask.number}@{self._here}>"))
        if answered:
            headers += [ALLOW, ("Content-Type", "application/sdp")]
        self._last = write_response(
            self._ask,
            status,
            tag="" if trying else self.tag,
            source=self._source,
            headers=headers,
            body=audio_offer(LOOPBACK, _NO_VOICE) if answered else b"",
        )
