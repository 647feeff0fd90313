"""A called side that does exactly what a test tells it to, and short ways to call it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from spms.inspections.sip import CallResult, Trunk, place_call
from spms.inspections.sip_messages import Ask, Malformed, read, write_response

NUMBER = "01088886666"
START = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"

React = Callable[["Peer", Ask], None]


def trunk(port: int, **changes: Any) -> Trunk:
    """Return a trunk on the loopback that repeats nothing merely because the machine was held up.

    Both ends live in one process: what stops it for longer than T1 between a request and its
    answer makes a repeat, which tests that count messages would take for a fault.
    """
    plain = Trunk(
        host="127.0.0.1", port=port, caller="01010086", t1_seconds=0.5, linger_seconds=0.2
    )
    return msgspec.structs.replace(plain, **changes)


def ticking() -> Callable[[], datetime]:
    """Return a clock that is a second later each time it is asked."""
    times: Iterator[datetime] = (START + timedelta(seconds=n) for n in range(100))
    return lambda: next(times)


async def call(line: Trunk, *, hold_seconds: float = 0.2) -> CallResult:
    clock = ticking()
    return await place_call(
        line, NUMBER, call_id="4f2a@probe", clock=clock, hold_seconds=hold_seconds
    )


class Peer(asyncio.DatagramProtocol):
    """A called side that does exactly what `react` tells it to."""

    def __init__(self, react: React) -> None:
        self.react = react
        self.heard: list[Ask] = []
        self.raw: list[bytes] = []
        self.source = ("", 0)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.source = addr
        with suppress(Malformed):
            message = read(data)
            if isinstance(message, Ask):
                self.raw.append(data)
                self.heard.append(message)
                self.react(self, message)

    def say(self, ask: Ask, status: str, tag: str = "line", **more: Any) -> bytes:
        headers = [("Contact", f"<sip:{NUMBER}@127.0.0.1:{self.port}>"), *more.pop("headers", ())]
        data = write_response(ask, status, tag=tag, headers=headers, **more)
        self.transport.sendto(data, self.source)
        return data

    def methods(self) -> list[str]:
        return [ask.method for ask in self.heard]


@asynccontextmanager
async def peer(react: React) -> AsyncIterator[Peer]:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_datagram_endpoint(
        lambda: Peer(react), local_addr=("127.0.0.1", 0)
    )
    yield protocol
    protocol.transport.close()


def polite(peer: Peer, ask: Ask) -> None:
    """End calls as a good line does."""
    if ask.method == "BYE":
        peer.say(ask, "200 OK")
