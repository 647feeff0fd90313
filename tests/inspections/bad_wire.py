"""A wire between us and the line that loses, doubles and delays datagrams, by a fixed plan.

Of an INVITE that has arrived it carries no repeat: a machine that holds our line up for a moment
makes us repeat, and SIPp, which has gone on by then, takes that for a scenario that went wrong.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from spms.inspections.sip_messages import Ask, Malformed, read

Fate = tuple[float, ...]
"""When the copies of one datagram arrive, in seconds from now: none, it is lost; two, doubled."""

LOST: Fate = ()
AT_ONCE: Fate = (0.0,)
TWICE: Fate = (0.0, 0.0)

Plan = Callable[[str, int, int], Fate]
"""From what a datagram is ("> INVITE", "< 180"), the how manieth of that it is, and the how manieth
of all (both from 0)."""


def name_of(data: bytes, direction: str) -> str:
    """Return the direction with the method or the status of a message."""
    try:
        message = read(data)
    except Malformed:
        return f"{direction} ?"
    if isinstance(message, Ask):
        return f"{direction} {message.method}"
    return f"{direction} {message.code} {message.method}"


class Wire:
    """Carries datagrams both ways between whoever calls and one port."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._source: Any = None
        self._near: Any = None
        self._far: Any = None
        self.port = 0
        self.carried: list[str] = []
        self.lost: list[str] = []
        self.asked: list[Ask] = []
        """Every request of the caller's, lost ones as well."""
        self.seen: dict[str, int] = {}

    async def open(self, to: int) -> None:
        """Listen at a free port, and pass on to the other."""
        loop = asyncio.get_running_loop()
        self._far, _ = await loop.create_datagram_endpoint(
            lambda: _End(self._from_line), remote_addr=("127.0.0.1", to)
        )
        self._near, _ = await loop.create_datagram_endpoint(
            lambda: _End(self._from_caller), local_addr=("127.0.0.1", 0)
        )
        self.port = self._near.get_extra_info("sockname")[1]

    def close(self) -> None:
        """Close both ends."""
        self._near.close()
        self._far.close()

    def _from_caller(self, data: bytes, source: Any) -> None:
        self._source = source
        message = read(data)
        if isinstance(message, Ask):
            self.asked.append(message)
        self._pass(data, ">", lambda: self._far.sendto(data))

    def _from_line(self, data: bytes, _: Any) -> None:
        self._pass(data, "<", lambda: self._near.sendto(data, self._source))

    def _pass(self, data: bytes, direction: str, send: Callable[[], None]) -> None:
        name = name_of(data, direction)
        before = self.seen.get(name, 0)
        fate = self._plan(name, before, sum(self.seen.values()))
        if name == "> INVITE" and name in self.carried:
            fate = LOST
        self.seen[name] = before + 1
        (self.carried if fate else self.lost).append(name)
        for delay in fate:
            asyncio.get_running_loop().call_later(delay, send)


class _End(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Any], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._take(data, addr)


@asynccontextmanager
async def bad_wire(to: int, plan: Plan) -> AsyncIterator[Wire]:
    """Put a bad wire before a port."""
    wire = Wire(plan)
    await wire.open(to)
    try:
        yield wire
    finally:
        wire.close()
