"""What every request passes before any route sees it: size, content type, strict reading.

Litestar and msgspec read generously (the last of two equal keys wins, `1e3` is an integer, deep
nesting is a 500); a gate between companies that do not trust each other must not.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol, cast, runtime_checkable

import msgspec
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from spms.core.errors import FieldError, Invalid, Refused, TooLarge, UnsupportedMedia
from spms.core.http import PROBLEM, problem
from spms.core.strict import Malformed, parse_query, query_int, scan_json

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
WHOLE_NUMBERS: Mapping[str, tuple[int, int]] = {"limit": (1, 100)}
"""Query parameters that are integers, with their bounds: `1e3` or a full-width １ is refused."""

OWN_TYPES: Mapping[str, tuple[str, ...]] = {
    "/oauth/token": ("application/x-www-form-urlencoded",),
    "/charge-files": (
        "text/csv", "application/x-ndjson", "application/gzip", "application/zip",
        "application/octet-stream",
    ),
}  # fmt: skip
"""Paths that read something other than JSON; a charge file streams and is read by its room."""

STREAMED = frozenset({"/charge-files"})

JSON = b"application/json"

Headers = Mapping[bytes, bytes]
Told = bytes | Refused | None
"""JSON, a refusal that ends the matter, or None: the usual way has to answer."""

SHORT: Final = "spms.short"
"""Where the edge leaves in a scope how it was answered without a route."""


class Shortcut(Protocol):
    """Answers a POST from its headers and body alone."""

    async def __call__(self, headers: Headers, body: bytes) -> bytes | None:
        """Return JSON, or None where the usual way has to. Raises `Refused` when that is final."""


@runtime_checkable
class Quick(Shortcut, Protocol):
    """One that can also be asked without a task (`core/wire.py` does)."""

    def asker(self, headers: Headers) -> bytes | None:
        """Return all that matters of the headers; None where the usual way has to."""

    def start(self, asker: bytes, body: bytes, tell: Callable[[Told], None]) -> None:
        """Answer by calling `tell` once, now or later. The body was scanned already."""


class Head(NamedTuple):
    """Of a request that a shortcut has answered."""

    shortcut: Quick
    asker: bytes
    size: int
    """Of the body."""


class Edge:
    """The outermost ASGI layer."""

    def __init__(
        self, app: ASGIApp, *, body_limit: int, shortcuts: Mapping[str, Shortcut] | None = None
    ) -> None:
        """Wrap the application; JSON bodies over `body_limit` bytes get 413.

        A POST to a path among `shortcuts` is tried there first, checked like every other; one with
        query parameters goes the usual way, which knows what the path understands.
        """
        self.app = app
        self.body_limit = body_limit
        self.shortcuts = shortcuts or {}
        self.usual: ASGIApp = self if not shortcuts else Edge(app, body_limit=body_limit)
        """The same without shortcuts."""
        self.heads: dict[bytes, Head] = {}
        """What `core/wire.py` knows about heads that came before, byte by byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then hand on with the body already read (or answer the refusal)."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        if scope["method"] == HttpMethod.HEAD:
            scope, send = {**scope, "method": HttpMethod.GET}, _without_body(send)
        try:
            shortcut = self.shortcuts.get(scope["path"])
            if shortcut is not None and _plain_post(scope):
                headers = _headers(scope)
                body = await self._read(scope["path"], receive, headers)
                answer = await shortcut(headers, body)
                if answer is not None:
                    if isinstance(shortcut, Quick):
                        asker = shortcut.asker(headers)
                        if asker is not None:
                            cast("dict[str, Any]", scope)[SHORT] = Head(shortcut, asker, len(body))
                    await _send_json(send, answer)
                    return
                receive = replay(body, receive)
            else:
                receive = await self._checked(scope, receive)
        except Malformed as error:
            await refuse(send, Invalid(error.detail, code=error.code))
        except Refused as refusal:
            await refuse(send, refusal)
        else:
            await self.app(scope, receive, send)

    async def _checked(self, scope: Any, receive: Receive) -> Receive:
        path: str = scope["path"].rstrip("/") or "/"  # as the router takes it
        if "\x00" in path or b"%00" in scope.get("raw_path", b""):
            raise Invalid("the path has a NUL", code="nul_char")
        _check_query(scope.get("query_string", b""))
        headers = _headers(scope)
        if scope["method"] not in WITH_BODY or path in STREAMED:
            if path in STREAMED and scope["method"] in WITH_BODY:
                _check_type(path, headers)
            return receive
        return replay(await self._read(path, receive, headers), receive)

    async def _read(self, path: str, receive: Receive, headers: Headers) -> bytes:
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise UnsupportedMedia("send the body without Content-Encoding")
        body = await self._body(receive, headers)
        if body and _check_type(path, headers) == "application/json":
            scan_json(body)
        return body

    async def _body(self, receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.body_limit:
            raise TooLarge(f"a JSON body has at most {self.body_limit} bytes")
        message: Any = await receive()
        whole: bytes = message.get("body", b"")
        if not message.get("more_body", False) and len(whole) <= self.body_limit:
            return whole if message["type"] == "http.request" else b""
        chunks, size = [], 0
        while True:
            if message["type"] != "http.request":
                break
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self.body_limit:
                raise TooLarge(f"a JSON body has at most {self.body_limit} bytes")
            if not message.get("more_body", False):
                break
            message = await receive()
        return b"".join(chunks)


def _plain_post(scope: Any) -> bool:
    """Whether it is a POST without query parameters by somebody who shows who it is once."""
    return (
        scope["method"] == HttpMethod.POST
        and not scope.get("query_string")
        and sum(name == b"authorization" for name, _ in scope["headers"]) == 1
    )


def _headers(scope: Any) -> dict[bytes, bytes]:
    """Return the headers; one that decides about the request may come only once."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in found and name in {b"content-type", b"content-length", b"idempotency-key"}:
            raise Invalid(f"the header {name.decode()} came twice", code="duplicate_header")
        found[name] = value
    return found


def _check_type(path: str, headers: Mapping[bytes, bytes]) -> str:
    allowed = OWN_TYPES.get(path, ("application/json",))
    if headers.get(b"content-type") == JSON and "application/json" in allowed:
        return "application/json"
    value = headers.get(b"content-type", b"").decode("latin-1").lower()
    media_type, _, parameters = value.partition(";")
    media_type = media_type.strip()
    if media_type not in allowed:
        raise UnsupportedMedia(f"this path reads {' or '.join(allowed)}")
    if media_type == "application/json" and parameters.strip() not in {"", "charset=utf-8"}:
        raise UnsupportedMedia("JSON is UTF-8")
    return media_type


def _check_query(raw: bytes) -> None:
    for name, value in parse_query(raw).items():
        if name in WHOLE_NUMBERS:
            low, high = WHOLE_NUMBERS[name]
            try:
                query_int(value, low, high)
            except Malformed as error:
                fault = FieldError(pointer=f"?{name}", code=error.code, detail=error.detail)
                raise Invalid(error.detail, errors=[fault]) from error


def _without_body(send: Send) -> Send:
    """Answer HEAD as GET (RFC 9110, 9.3.2): the same status and headers, and no content."""

    async def headers_only(message: Any) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return headers_only


def replay(body: bytes, receive: Receive) -> Receive:
    """Give the route the body that was already read, then whatever the client still says."""
    sent = False

    async def replayed() -> Any:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def _send_json(send: Send, body: bytes) -> None:
    headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def refuse(send: Send, refusal: Refused) -> None:
    """Answer with problem details."""
    body = msgspec.json.encode(problem(refusal))
    headers = [
        (b"content-type", PROBLEM.encode()), (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]  # fmt: skip
    headers += [(k.lower().encode(), v.encode()) for k, v in refusal.headers.items()]
    start: Message = {"type": "http.response.start", "status": refusal.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})
