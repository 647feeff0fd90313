"""HTTP/1.1 as it comes over the wire, and the short way for requests whose head came before.

A head (request line and headers) whose request the edge's shortcut has answered is known byte by
byte: it shows who asks, and how long the body is. When the same bytes come again nothing of them
needs to be parsed, checked or routed a second time, and the shortcut is asked without a task. What
is not the same to the last byte is read as uvicorn reads it, and whatever the shortcut does not
answer goes the usual way: one place only knows HTTP, and one what to refuse and in which words.
Whether the asker's token still holds is no part of this; that is asked with every request.
"""

from typing import Any, Final

from litestar.types import ASGIApp, Receive, Scope, Send

from spms.core.edge import JSON, SHORT, Edge, Head, Told, refuse
from spms.core.errors import Refused
from spms.core.strict import Malformed, scan_json
from spms.core.unread import Unread

HEADS_MAX: Final = 10_000
HEAD_BYTES_MAX: Final = 2_048
"""Where clients never send the same head twice, what is remembered of them is forgotten again."""
END: Final = b"\r\n\r\n"


class Wire(Unread):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin between two requests."""
        super().__init__(*args, **kwargs)
        app: Any = self.app
        if not isinstance(app, Edge):
            raise TypeError("the edge is the outermost layer: its heads are known here")
        self._edge, self._heads = app, app.heads
        self._open = False
        """A request has come in part."""
        self._head: bytes | None = None
        """Of the request that uvicorn handles, where it is worth remembering."""
        self._asked: bytes | None = None
        """The request that a shortcut was asked about and has not answered."""
        self._later: list[bytes] = []
        """What came after it."""
        self._leaving = False
        """The connection is to be closed with the next answer."""
        self._idle_since = 0.0

    def data_received(self, data: bytes) -> None:
        """Take the short way with a whole request whose head is known."""
        if self._asked is not None:
            self._later.append(data)
            self.flow.pause_reading()
            return
        if not self._between():
            self._usual(data)
            return
        end = data.find(END) + len(END)
        head = self._heads.get(data[:end])
        if head is not None and len(data) - end == head.size:
            self._ask(head, data, data[end:])
        else:
            before = self.cycle
            self._usual(data)
            if self.cycle is not before:
                self._notice(data, end)

    def _between(self) -> bool:
        """Whether nothing is under way, and the client takes what it is sent."""
        return (
            not self._open
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
        )

    # The usual way

    def _usual(self, data: bytes, app: ASGIApp | None = None) -> None:
        """Let uvicorn read; what begins with these bytes is answered by `app`."""
        self._head = None
        mine: Any = self.app
        self.app = app or mine
        try:
            super().data_received(data)
        finally:
            self.app = mine

    def _notice(self, data: bytes, end: int) -> None:
        """Keep the head of a request that came whole and alone, and after which more may come."""
        cycle = self.cycle
        if (
            len(END) < end <= HEAD_BYTES_MAX and cycle.body == data[end:]
            and not self._open and cycle.keep_alive and not self.expect_100_continue
            and all(name != b"upgrade" for name, _ in self.headers)
        ):  # fmt: skip
            self._head = data[:end]

    def on_message_begin(self) -> None:
        """See a request begin."""
        self._open = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """See it end, unless the connection is to become something else."""
        self._open = self.parser.should_upgrade()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Remember a head that the shortcut was content with."""
        head = self.cycle.scope.get(SHORT)
        if self._head is not None and isinstance(head, Head):
            if len(self._heads) >= HEADS_MAX:
                self._heads.clear()
            self._heads[self._head] = head
        self._idle_since = self.loop.time()
        super().on_response_complete()

    # The short way

    def _ask(self, head: Head, data: bytes, body: bytes) -> None:
        self._asked = data
        try:
            scan_json(body)
        except Malformed:
            self._told(None)
        else:
            head.shortcut.start(head.asker, body, self._told)

    def _told(self, told: Told) -> None:
        """Answer, or let the usual way do it; then see what came meanwhile."""
        asked, self._asked = self._asked, None
        if asked is None or self.transport.is_closing():
            return
        if isinstance(told, bytes):
            self._answer(told)
        else:
            self._usual(asked, self._edge.usual if told is None else _refusing(told))
            if self._leaving:
                super().shutdown()
        if self._later:
            data = b"".join(self._later)
            self._later.clear()
            self.flow.resume_reading()
            self.data_received(data)

    def _answer(self, body: bytes) -> None:
        written = [b"HTTP/1.1 200 OK\r\n"]
        for name, value in self.server_state.default_headers:
            written += (name, b": ", value, b"\r\n")
        written += (b"content-type: ", JSON, b"\r\ncontent-length: %d\r\n" % len(body))
        if self._leaving:
            written.append(b"connection: close\r\n")
        written += (b"\r\n", body)
        self.transport.write(b"".join(written))
        self.server_state.total_requests += 1
        if self._leaving:
            self.transport.close()
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait_for_more(self.timeout_keep_alive)

    def _wait_for_more(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        """Close when nothing has come for long enough; one timer serves for many short requests."""
        self.timeout_keep_alive_task = None
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if self._asked is not None or left > 0:
            self._wait_for_more(max(left, self.timeout_keep_alive / 2))
        else:
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Close, after the answer that is under way."""
        if self._asked is not None:
            self._leaving = True
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of what nobody waits for any more."""
        super().connection_lost(exc)
        self._asked = None
        self._later.clear()
        self._unset_keepalive_if_required()


def _refusing(refusal: Refused) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await refuse(send, refusal)

    return app
