"""The load client, in a process of its own: keep-alive HTTP, or one WebSocket per client.

It sends what it was given as bytes and looks at answers no closer than it must: it shares the cores
with what it measures. Prints one JSON object.
"""

import argparse
import asyncio
import base64
import json
import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import uvloop

UNIQUE = b"@@@@@@@@@@@@@@@@"
"""In a message: replaced by 16 characters that never come again."""

PATIENCE = 20
"""Times as long as it was told to, the client waits for its first answer."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to send."""

    ports: list[int]
    """Of the server's processes; connections are spread over them evenly, as a balancer does."""
    clients: int = 0
    seconds: float
    messages: list[bytes] = []
    mark: bytes = b""
    """What an answer has once for every question that it answers as wished."""
    streams: list[tuple[str, list[bytes]]] = []
    """Instead of clients and messages: a token for each WebSocket, and what is sent on it, once."""
    in_flight: int = 1
    """Messages under way on each WebSocket."""
    pause: float = 0
    """Seconds that a client of HTTP waits between an answer and the next question."""


class Counted:
    """What came back."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.took: list[float] = []
        self.marks = 0
        self.wrong: list[bytes] = []
        self.run = f"{os.getpid():07d}"[-7:].encode()
        self.serial = 0

    def message(self, messages: list[bytes], n: int) -> bytes:
        """Return the n-th message, made unique where it asks for it."""
        found = messages[n % len(messages)]
        if UNIQUE not in found:
            return found
        self.serial += 1
        return found.replace(UNIQUE, self.run + b"%09d" % self.serial)


class Http(asyncio.Protocol):
    """Asks again as soon as it is answered."""

    def __init__(self, counted: Counted) -> None:
        self.counted, self.buffer, self.begun = counted, b"", 0.0
        self.n = random.randrange(len(counted.job.messages))  # noqa: S311

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Send the next message."""
        self.n += 1
        self.begun = time.perf_counter()
        self.transport.write(self.counted.message(self.counted.job.messages, self.n))

    def data_received(self, data: bytes) -> None:
        """Take an answer; ask again once it is whole."""
        buffer = self.buffer = self.buffer + data if self.buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = buffer.find(b"content-length: ") + 16
        if len(buffer) < end + 4 + int(buffer[at : buffer.find(b"\r", at)]):
            return
        if not buffer.startswith(b"HTTP/1.1 200"):
            self.counted.wrong.append(buffer[:300])
        self.counted.took.append(time.perf_counter() - self.begun)
        self.counted.marks += buffer.count(self.counted.job.mark)
        self.buffer = b""
        if self.counted.job.pause:
            asyncio.get_running_loop().call_later(self.counted.job.pause, self.ask)
        else:
            self.ask()


class Socket(asyncio.Protocol):
    """Keeps so many messages under way on one WebSocket (RFC 6455); the mask is zeros."""

    def __init__(self, counted: Counted, token: str, messages: list[bytes]) -> None:
        self.counted, self.token, self.messages = counted, token, messages
        self.buffer, self.open, self.n = b"", False, -1

    def connection_made(self, transport: Any) -> None:
        """Shake hands."""
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /authorisations/stream HTTP/1.1\r\nHost: spms\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {self.token}\r\n\r\n".encode()
        )

    def ask(self) -> None:
        """Send the next message as one binary frame."""
        self.n += 1
        body = self.counted.message(self.messages, self.n)
        size = len(body)
        if size < 126:  # noqa: PLR2004 - RFC 6455, 5.2
            head = bytes((0x82, 0x80 | size))
        elif size < 65536:  # noqa: PLR2004
            head = b"\x82\xfe" + size.to_bytes(2, "big")
        else:
            head = b"\x82\xff" + size.to_bytes(8, "big")
        self.transport.write(head + b"\0\0\0\0" + body)

    def data_received(self, data: bytes) -> None:
        """Take whole frames; ask again for each."""
        self.buffer += data
        if not self.open:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.counted.wrong.append(head[:300])
                return
            self.open, self.buffer = True, rest
            for _ in range(self.counted.job.in_flight):
                self.ask()
        while (frame := self._frame()) is not None:
            self.counted.took.append(0.0)
            self.counted.marks += frame.count(self.counted.job.mark)
            self.ask()

    def _frame(self) -> bytes | None:
        buffer = self.buffer
        if len(buffer) < 2:  # noqa: PLR2004
            return None
        size, start = buffer[1] & 0x7F, 2
        if size == 126:  # noqa: PLR2004
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:  # noqa: PLR2004
            size, start = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < start + size:
            return None
        self.buffer = buffer[start + size :]
        if buffer[0] & 0x0F not in {1, 2}:
            self.counted.wrong.append(buffer[:100])
        return buffer[start : start + size]


async def load(job: Job) -> dict[str, Any]:
    """Keep the clients asking; say how many were answered, and how long answers took."""
    counted = Counted(job)
    loop = asyncio.get_running_loop()
    kinds: list[Callable[[], asyncio.Protocol]] = [partial(Http, counted)] * job.clients
    kinds += [partial(Socket, counted, token, messages) for token, messages in job.streams]
    made = [
        await loop.create_connection(kind, "127.0.0.1", job.ports[i % len(job.ports)])
        for i, kind in enumerate(kinds)
    ]
    begun, marks, answers = time.perf_counter(), counted.marks, len(counted.took)
    await asyncio.sleep(job.seconds)
    for _ in range(PATIENCE * 10):  # a busy machine: until something came back
        if counted.marks > marks or counted.wrong:
            break
        await asyncio.sleep(job.seconds / 10)
    lasted = time.perf_counter() - begun
    for transport, _ in made:
        transport.abort()
    took = sorted(counted.took[answers:])
    return {
        "answers_per_s": len(took) / lasted,
        "marks_per_s": (counted.marks - marks) / lasted,
        "p50_ms": took[len(took) // 2] * 1000 if took else None,
        "p99_ms": took[len(took) * 99 // 100] * 1000 if took else None,
        "wrong": [one.decode("latin-1") for one in counted.wrong[:3]],
    }


def main() -> None:
    """Read the job from a file, run it, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path)
    job = msgspec.msgpack.decode(parser.parse_args().job.read_bytes(), type=Job)
    json.dump(uvloop.run(load(job)), sys.stdout)


if __name__ == "__main__":
    main()
