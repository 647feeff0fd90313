"""How SIP messages are carried to the trunk: datagrams, or a stream cut at Content-Length.

Either is connected to the trunk's address: what anybody else sends does not get here.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Protocol

from spms.inspections.sip_messages import MAX_HEADER_BYTES

MAX_BODY_BYTES = 65_536
_LENGTH = re.compile(
    rb"^(?:Content-Length|l)[ \t]*:[ \t]*([0-9]{1,6})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)
_KEEP_ALIVE = b"\r\n"


class Ears(Protocol):
    """Whoever takes in what arrives."""

    def hear(self, data: bytes) -> None:
        """Take in one message."""

    def refuse(self, why: str) -> None:
        """Take note that the network does not carry our messages (any more)."""


class Wire:
    """The way to the trunk."""

    def __init__(
        self,
        transport: asyncio.BaseTransport,
        send: Callable[[bytes], None],
        *,
        reliable: bool,
    ) -> None:
        """Wrap a connected transport."""
        self._transport = transport
        self.send = send
        self.reliable = reliable
        """Nothing gets lost, so nothing needs repeating."""
        self.local: tuple[str, int] = transport.get_extra_info("sockname")[:2]
        self.peer: str = transport.get_extra_info("peername")[0]

    def close(self) -> None:
        """Let go of the socket."""
        self._transport.close()


async def open_wire(
    kind: str, ears: Ears, *, here: str, there: tuple[str, int], patience: float
) -> Wire:
    """Connect to the trunk within `patience` seconds. Raises OSError when that cannot be."""
    loop = asyncio.get_running_loop()
    if kind == "udp":
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(ears), local_addr=(here, 0), remote_addr=there
        )
        return Wire(transport, transport.sendto, reliable=False)
    async with asyncio.timeout(patience):  # TimeoutError is an OSError
        stream, _ = await loop.create_connection(
            lambda: _Stream(ears), *there, local_addr=(here, 0)
        )
    return Wire(stream, stream.write, reliable=True)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, ears: Ears) -> None:
        self._ears = ears

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:  # noqa: ARG002
        self._ears.hear(data)

    def error_received(self, exc: Exception) -> None:
        self._ears.refuse(type(exc).__name__)


class _Stream(asyncio.Protocol):
    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self._cutter = Cutter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for message in self._cutter.cut(data):
            self._ears.hear(message)
        if self._cutter.lost:
            self._ears.hear(b"")  # what comes now cannot be told apart any more
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ears.refuse("ConnectionClosed" if exc is None else type(exc).__name__)


class Cutter:
    """Cuts a stream into messages (RFC 3261, 18.3). Keep-alives (RFC 5626) are left out."""

    def __init__(self) -> None:
        self._rest = b""
        self.lost = False
        """The stream made no sense; nothing that follows can be cut."""

    def cut(self, data: bytes) -> list[bytes]:
        """Take in bytes and return the messages that they complete."""
        self._rest += data
        found: list[bytes] = []
        while not self.lost:
            while self._rest.startswith(_KEEP_ALIVE):
                self._rest = self._rest[len(_KEEP_ALIVE) :]
            head, gap, after = self._rest.partition(b"\r\n\r\n")
            if len(head) > MAX_HEADER_BYTES:
                self.lost = True
            if not gap or self.lost:
                break
            length = _LENGTH.findall(head)
            if len(length) != 1 or int(length[0]) > MAX_BODY_BYTES:
                self.lost = True  # a stream cannot do without it (18.3)
                break
            end = int(length[0])
            if len(after) < end:
                break
            found.append(head + gap + after[:end])
            self._rest = after[end:]
        return found
