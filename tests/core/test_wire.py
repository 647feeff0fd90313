"""The short way on the wire says byte for byte what uvicorn says, however the bytes come in.

The same bytes go to uvicorn's own connection and to ours, in the same pieces.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, cast

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from spms.core import wire
from spms.core.edge import Edge, Headers, Told
from spms.core.errors import Unavailable
from spms.core.unread import Unread
from spms.core.wire import Wire

GOOD, HEADS = b'{"a":"yes"}', b"Host: a\r\nContent-Type: application/json\r\nAuthorization: me\r\n"


class Says:
    """A shortcut that answers what it was asked, some turns of the loop later."""

    def __init__(self) -> None:
        self.started, self.turns, self.waiting = 0, 2, list[Callable[[], None]]()

    async def __call__(self, headers: Headers, body: bytes) -> bytes | None:
        await asyncio.sleep(0)
        told = self._told(headers.get(b"authorization", b""), body)
        if isinstance(told, Unavailable):
            raise told
        return cast("bytes | None", told)

    def asker(self, headers: Headers) -> bytes | None:
        return headers.get(b"authorization")

    def start(self, asker: bytes, body: bytes, tell: Callable[[Told], None]) -> None:
        self.started += 1
        self._later(self.turns, lambda: tell(self._told(asker, body)))

    def _later(self, turns: int, call: Callable[[], None]) -> None:
        if turns < 0:
            self.waiting.append(call)
        elif not turns:
            call()
        else:
            asyncio.get_running_loop().call_soon(self._later, turns - 1, call)

    def _told(self, asker: bytes, body: bytes) -> Told:
        if b"busy" in body:
            return Unavailable("too many questions wait", headers={"Retry-After": "1"})
        return asker + b" says " + body if b"yes" in body else None


async def usual(scope: Any, receive: Any, send: Any) -> None:
    """Answer what no shortcut answers: with what came."""
    body = f"{scope['method']} {scope['path']}: ".encode() + (await receive()).get("body", b"")
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 422, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Line(asyncio.Transport):
    """The server's end of a connection; what it writes is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.closed, self.reading = b"", False, True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class End:
    """A connection, and what stands behind it."""

    def __init__(self, kind: type[Unread], says: Says | None = None) -> None:
        self.says, self.line = says or Says(), Line()
        self.edge = Edge(usual, body_limit=2000, shortcuts={"/q": self.says})
        config = uvicorn.Config(
            cast("Any", self.edge), log_config=None, lifespan="off", http=kind, proxy_headers=False
        )
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"today")]
        self.protocol = kind(config=config, server_state=self.state, app_state={})
        self.protocol.connection_made(self.line)

    async def take(self, pieces: Sequence[bytes], turns: Sequence[int] = (0,)) -> bytes:
        """Feed pieces, some turns of the loop after one another; return all that is written."""
        for n, piece in enumerate(pieces):
            for _ in range(1000):
                if self.line.reading:
                    break
                await asyncio.sleep(0)
            if self.line.closed:
                break
            self.protocol.data_received(piece)
            for _ in range(turns[n % len(turns)]):
                await asyncio.sleep(0)
        await self.settle()
        return self.line.written

    async def settle(self) -> None:
        for _ in range(60):
            await asyncio.sleep(0)


def ask(
    body: bytes = GOOD, *, more: bytes = b"", path: bytes = b"/q", verb: bytes = b"POST",
    version: bytes = b"1.1",
) -> bytes:  # fmt: skip
    head = verb + b" " + path + b" HTTP/" + version + b"\r\n" + HEADS + more
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


CHUNKED = (
    b"POST /q HTTP/1.1\r\n" + HEADS + b"Transfer-Encoding: chunked\r\n\r\n"
    b"b\r\n" + GOOD + b"\r\n0\r\n\r\n"
)
KINDS = {
    "good": ask(), "other asker": ask().replace(b": me", b": us"), "no": ask(b'{"a":"not"}'),
    "busy": ask(b'{"a":"busy"}'), "same key twice": ask(b'{"a":1,"a":"yes"}'),
    "as long as good, twice": ask(b'{"":0,"":1}'), "as long, broken": ask(b'{"a":"yes"{'),
    "as long, not UTF-8": ask(b'{"a":"y\xff"} '), "as long, NUL": ask(b'{"a":"ye\0"}'),
    "empty": ask(b""), "too large": ask(b'{"a":"' + b"yes" * 900 + b'"}'), "query": ask(path=b"/q?a=1"),
    "other path": ask(path=b"/p"), "escaped": ask(path=b"/%71"), "put": ask(verb=b"PUT"),
    "get": b"GET /q HTTP/1.1\r\nHost: a\r\n\r\n", "old": ask(version=b"1.0"),
    "close": ask(more=b"Connection: close\r\n"), "chunked": CHUNKED,
    "expects": ask(more=b"Expect: 100-continue\r\n"), "upgrade": ask(more=b"Upgrade: h2c\r\n"),
    "no type": ask().replace(b"Content-Type", b"X-Type"), "typed twice": ask(more=HEADS[9:41]),
    "long head": ask(more=b"X: " + b"x" * 3000 + b"\r\n"), "more": ask() + b"\r\n",
    "two": ask() + ask(), "bad": b"POST /q\r\n\r\n", "encoded": ask(more=b"Content-Encoding: br\r\n"),
}  # fmt: skip


async def both(pieces: Sequence[bytes], turns: Sequence[int] = (0,), says: int = 2) -> End:
    plain, short = End(Unread), End(Wire)
    short.says.turns = says
    assert await short.take(pieces, turns) == await plain.take(pieces, turns)
    assert short.line.closed == plain.line.closed
    assert short.state.total_requests == plain.state.total_requests
    return short


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_request_is_answered_as_uvicorn_answers_it(kind: str) -> None:
    """Before and after its head is known, alone and between others."""
    assert KINDS[kind]
    one, good = KINDS[kind], KINDS["good"]
    for turns in (0, 60):
        for says in (0, 2):
            await both([one, one, one], [turns], says)
            await both([good, good, one, good, one, good], [turns], says)


@pytest.mark.parametrize("begun", [
    b"PUT /p HTTP/1.1\r\nHost: a\r\nX: ", b"PUT /p HTTP/1.1\r\nHost: a\r\n",
    b"PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(ask()), b"P", b"\r\n",
])  # fmt: skip
async def test_what_looks_like_a_known_request_within_another_is_none(begun: bytes) -> None:
    """Nobody can smuggle a question into another's header or body."""
    for turns in (0, 60):
        await both([ask(), ask(), begun, ask(), ask()], [turns])


async def test_a_head_that_came_before_is_neither_parsed_nor_routed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end = End(Wire)
    await end.take([ask()])
    monkeypatch.setattr(Unread, "data_received", None)
    await end.take([ask(b'{"b":"yes"}')])
    assert end.says.started == 1
    assert end.line.written.endswith(b'me says {"b":"yes"}')
    assert len(end.edge.heads) == 1


@pytest.mark.parametrize(
    "kind", ["close", "old", "chunked", "expects", "upgrade", "long head", "two", "no", "busy"]
)
async def test_what_is_not_plain_is_never_remembered(kind: str) -> None:
    end = End(Wire)
    await end.take([KINDS[kind]], [60])
    assert end.edge.heads == {}
    assert end.says.started == 0


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEADS_MAX", 5)
    end = End(Wire)
    for n in range(23):
        await end.take([ask(more=b"X-Request-Id: %d\r\n" % n)])
        assert len(end.edge.heads) <= 5


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_however_the_bytes_are_cut_the_answers_are_the_same(data: st.DataObject) -> None:
    names = ["good", "good", "good", *KINDS]
    stream = b"".join(KINDS[data.draw(st.sampled_from(names))] for _ in range(5))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    cuts += [m for m in range(len(stream)) if stream[m : m + 6] in {b"POST /", b"PUT /q"}]
    edges = sorted({0, len(stream), *cuts})
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    turns = data.draw(st.lists(st.sampled_from([0, 1, 2, 7, 40]), min_size=1, max_size=4))
    asyncio.run(_ignored(both(pieces, turns, data.draw(st.integers(0, 3)))))


async def _ignored(made: Any) -> None:
    await made


async def known(turns: int = -1) -> End:
    """Return a connection with a question that is not answered before the test says so."""
    end = End(Wire)
    await end.take([ask()])
    end.line.written, end.says.turns = b"", turns
    end.protocol.data_received(ask())
    assert end.says.waiting
    return end


async def test_what_comes_while_a_question_waits_is_answered_after_it_in_order() -> None:
    end = await known()
    end.protocol.data_received(ask(b'{"b":"no"}') + ask(b'{"c":"yes"}')[:40])
    assert not end.line.reading, "a client that does not wait is made to"
    end.says.waiting.pop()()
    assert end.line.reading
    end.protocol.data_received(ask(b'{"c":"yes"}')[40:])
    await end.settle()
    assert end.line.written.count(b"HTTP/1.1") == 3
    first, second, third = [end.line.written.find(w) for w in (b'{"a"', b'{"b"', b'{"c"')]
    assert 0 < first < second < third


@pytest.mark.parametrize("told", [b"{}", None, Unavailable("busy")])
async def test_who_is_gone_is_told_nothing(told: Told) -> None:
    end = await known()
    end.protocol.data_received(ask())
    end.line.closed = True
    end.protocol.connection_lost(None)
    assert isinstance(end.protocol, Wire)
    end.protocol._told(told)  # as the shortcut does
    end.says.waiting.pop()()
    await end.settle()
    assert end.line.written == b""
    assert not end.state.connections


@pytest.mark.parametrize("body", [GOOD, b'{"a":"busy"}', b'{"a":"not"}'])
async def test_a_server_that_ends_answers_what_is_under_way(body: bytes) -> None:
    end = End(Wire)
    await end.take([ask(b'{"a":"yes"}'.ljust(len(body)))], [60])
    end.line.written, end.says.turns = b"", -1
    end.protocol.data_received(ask(body))
    assert end.says.waiting
    end.protocol.shutdown()
    assert not end.line.closed
    end.says.waiting.pop()()
    await end.settle()
    assert end.line.closed
    assert end.line.written.count(b"HTTP/1.1") == end.line.written.count(b"connection: close") == 1
    idle = End(Wire)
    await idle.take([ask(), ask()])
    idle.protocol.shutdown()
    assert idle.line.closed


async def test_a_client_that_takes_nothing_is_asked_for_no_more() -> None:
    end = End(Wire)
    await end.take([ask()])
    end.protocol.pause_writing()
    end.line.written = b""
    await end.take([ask()])
    assert (end.says.started, end.line.written) == (0, b"")
    end.protocol.resume_writing()
    await end.settle()
    assert end.line.written.endswith(b"me says " + GOOD)


async def test_a_connection_is_closed_once_it_is_idle_and_not_before() -> None:
    end = await known()
    assert isinstance(end.protocol, Wire)
    end.protocol.timeout_keep_alive_handler()
    assert not end.line.closed, "a question waits"
    end.says.waiting.pop()()
    end.protocol.timeout_keep_alive_handler()
    assert not end.line.closed, "it was answered just now"
    end.protocol.timeout_keep_alive = -1
    end.protocol.timeout_keep_alive_handler()
    assert end.line.closed
