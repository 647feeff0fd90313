"""Hotlines for the demonstration: they answer over real SIP on the loopback, as configured.

A small called side (RFC 3261, UAS) that looks the called number up in a table of behaviours.
Nothing in the platform knows that these lines are not real; the trunk's address is all that
differs. Ringing is short here, so a round of test calls takes seconds.
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from spms.inspections.sandbox_call import ALLOW, LOOPBACK, Behaviour, LineKind, SandboxCall
from spms.inspections.sip_messages import Ask, Malformed, read, write_response

__all__ = ["Behaviour", "LineKind", "SandboxLines"]

MAX_CALLS = 1_000


class SandboxLines:
    """All demonstration hotlines behind one UDP port of the loopback. Use `async with`.

    The same seed and the same order of calls to a flaky number give the same answers.
    """

    def __init__(self, *, seed: int = 0, t1_seconds: float = 0.5) -> None:
        self._seed = seed
        self._t1 = t1_seconds
        self._behaviours: dict[str, Behaviour] = {}
        self._dice: dict[str, random.Random] = {}
        self._switch: _Switch | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1; port 0 takes any free one. Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        switch = _Switch(self._decide, self._t1)
        await loop.create_datagram_endpoint(lambda: switch, local_addr=(LOOPBACK, port))
        self._switch = switch

    async def close(self) -> None:
        """Stop listening and forget all calls."""
        if self._switch is not None:
            await self._switch.close()
            self._switch = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def port(self) -> int:
        """The UDP port the lines answer on. Raises RuntimeError while they are not started."""
        if self._switch is None:
            raise RuntimeError("the sandbox lines are not started")
        return self._switch.port

    def set(self, number: str, behaviour: Behaviour) -> None:
        """Set or change a line; calls already going on end as they began."""
        self._behaviours[number] = behaviour

    def remove(self, number: str) -> None:
        """Take a line out of service: from now on the number is unallocated."""
        self._behaviours.pop(number, None)

    def get(self, number: str) -> Behaviour | None:
        """Return the behaviour of a line; None for a number without one."""
        return self._behaviours.get(number)

    @property
    def table(self) -> Mapping[str, Behaviour]:
        """All lines by number."""
        return dict(self._behaviours)

    def _decide(self, number: str) -> Behaviour:
        behaviour = self._behaviours.get(number, Behaviour(kind=LineKind.UNALLOCATED))
        if behaviour.kind is not LineKind.FLAKY:
            return behaviour
        dice = self._dice.setdefault(
            number,
            random.Random(f"{self._seed}:{number}"),  # noqa: S311 - a rehearsal, not a secret
        )
        connects = dice.random() < behaviour.connect_rate
        kind = LineKind.ANSWER if connects else LineKind.NO_ANSWER
        return Behaviour(kind=kind, ring_seconds=behaviour.ring_seconds)


class _Switch(asyncio.DatagramProtocol):
    """Takes the datagrams and finds the call each belongs to."""

    def __init__(self, decide: Callable[[str], Behaviour], t1_seconds: float) -> None:
        self._decide = decide
        self._t1 = t1_seconds
        self._by_branch: dict[tuple[str, str], SandboxCall] = {}
        self._by_tag: dict[tuple[str, str], SandboxCall] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # On Python 3.11 the loop's datagram transport is no DatagramTransport by class.
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]
        self.port: int = transport.get_extra_info("sockname")[1]

    async def close(self) -> None:
        self._transport.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        source = (str(addr[0]), addr[1])
        try:
            ask = read(data)
        except Malformed:
            return
        if isinstance(ask, Ask):
            self._on_ask(ask, source)

    def _on_ask(self, ask: Ask, source: tuple[str, int]) -> None:
        call = self._by_branch.get((ask.call_id, ask.branch))
        if ask.to_tag:
            call = self._by_tag.get((ask.call_id, ask.to_tag))
        match ask.method:
            case "ACK":
                if call is not None:
                    call.hear_ack()
            case "INVITE" if call is not None:
                call.hear_invite(ask)
            case "INVITE" if not ask.to_tag:
                self._open(ask, source)
            case "CANCEL" | "BYE" if call is not None:
                self._reply(ask, source, "200 OK", tag=call.tag)
                call.hear_cancel() if ask.method == "CANCEL" else call.hear_bye()
            case "CANCEL" | "BYE" | "INVITE":
                self._reply(ask, source, "481 Call/Transaction Does Not Exist")
            case "OPTIONS":
                self._reply(ask, source, "200 OK")
            case _:
                self._reply(ask, source, "405 Method Not Allowed")

    def _reply(self, ask: Ask, source: tuple[str, int], status: str, *, tag: str = "") -> None:
        data = write_response(
            ask, status, tag=tag or secrets.token_hex(8), source=source, headers=[ALLOW]
        )
        self._transport.sendto(data, source)

    def _open(self, ask: Ask, source: tuple[str, int]) -> None:
        if len(self._tasks) >= MAX_CALLS:
            self._reply(ask, source, "503 Service Unavailable")
            return
        here = f"{LOOPBACK}:{self.port}"
        call = SandboxCall(
            ask, lambda data: self._transport.sendto(data, source), source=source, here=here
        )
        branch_key, tag_key = (ask.call_id, ask.branch), (ask.call_id, call.tag)
        self._by_branch[branch_key] = self._by_tag[tag_key] = call
        task = asyncio.create_task(call.play(self._decide(ask.number), self._t1))
        self._tasks.add(task)

        def forget(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            del self._by_branch[branch_key], self._by_tag[tag_key]

        task.add_done_callback(forget)
