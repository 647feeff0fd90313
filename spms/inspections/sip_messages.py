"""Reading and writing SIP messages (RFC 3261): bytes in, facts out. No sockets, no timers.

`sipmessage` does the parsing; this file decides what is let in. Whatever is wrong with a datagram
comes out as `Malformed`, and what passes holds no control characters, so header texts of the far
end can be sent back (Route, To, Via) without carrying a second header in with them.
"""

import re
from collections.abc import Iterable

from msgspec import Struct
from sipmessage import Address, CSeq, Message, Response, Via

GONE = 410
TERMINATED = 487
MAX_HEADER_BYTES = 16_384
MAX_ROUTES = 20
MAX_URI_LENGTH = 255
MAX_LIST_LENGTH = 2_048

_PROGRESS, _SUCCESS, _REDIRECTION = 1, 2, 3  # classes of status

_START_LINE = re.compile(r"SIP/2\.0 [1-6][0-9]{2} |[A-Z]{1,20} sips?:\S{1,255} SIP/2\.0$")
_FOLD = re.compile(r"\r\n[ \t]+")
_SPACE_BEFORE_COLON = re.compile(r"^([^\s:]+)[ \t]+:", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LIST_ITEM = re.compile(r'(?:[^,<"]|<[^<>]*>|"(?:[^"\\]|\\.)*")+')
_URI = re.compile(r"<\s*(sips?:[^<>\s]+)\s*>|^\s*(sips?:[^<>\s;,]+)", re.IGNORECASE)
_LOOSE = re.compile(r";lr(?=[;=>?]|$)", re.IGNORECASE)
_CAUSE = re.compile(r"\s*Q\.850\s*;(?:.*;)?\s*cause\s*=\s*([0-9]{1,3})(?![0-9])", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,6}")
_OPEN_RPORT = re.compile(r";\s*rport(?=\s*(?:[;,]|$))", re.IGNORECASE)
_USER = re.compile(r"sips?:([^@;:]{1,64})[^@]*@", re.IGNORECASE)


class Malformed(ValueError):  # noqa: N818 - a finding about the far end, not a fault here
    """The datagram is no SIP message, or one that must not be trusted."""


class _Common(Struct, frozen=True, kw_only=True):
    branch: str
    call_id: str
    sequence: int
    method: str
    from_tag: str
    to: str
    to_tag: str
    record_route: tuple[str, ...]
    contact: str | None


class Answer(_Common, frozen=True, kw_only=True):
    """A response, reduced to what a caller has to know. `method` is that of the request."""

    code: int
    phrase: str
    challenges: tuple[str, ...]
    q850: int | None
    vias: int
    body: bytes = b""

    @property
    def provisional(self) -> bool:
        """The request is being worked on (1xx)."""
        return self.code // 100 == _PROGRESS

    @property
    def success(self) -> bool:
        """The request was granted (2xx)."""
        return self.code // 100 == _SUCCESS

    @property
    def refusal(self) -> bool:
        """A final status that is no success (3xx to 6xx)."""
        return self.code // 100 > _SUCCESS

    @property
    def redirects(self) -> bool:
        """A Contact beside this status names another address to call (3xx, 410)."""
        return self.code // 100 == _REDIRECTION or self.code == GONE

    @property
    def stands_after_cancel(self) -> bool:
        """It is the line's own word although we cancelled: neither 487 nor a late success."""
        return self.refusal and self.code != TERMINATED


class Ask(_Common, frozen=True, kw_only=True):
    """A request, reduced to what the called side has to know and to send back."""

    uri: str
    caller: str
    vias: tuple[str, ...]

    @property
    def number(self) -> str:
        """The called number: the user part of the request-URI, empty when there is none."""
        found = _USER.match(self.uri)
        return found[1] if found else ""


def read(data: bytes) -> Answer | Ask:
    """Read one datagram. Raises `Malformed` and nothing else, whatever the bytes are."""
    try:
        return _read(data)
    except Malformed:
        raise
    except (ValueError, TypeError, LookupError) as fault:  # all that the parser was seen to raise
        raise Malformed from fault


def _read(data: bytes) -> Answer | Ask:
    head, gap, body = data.partition(b"\r\n\r\n")
    if not gap or len(head) > MAX_HEADER_BYTES:
        raise Malformed
    # Gateways write texts in GBK as well: an undecodable phrase must not cost the whole message.
    text = _SPACE_BEFORE_COLON.sub(r"\1:", _FOLD.sub(" ", head.decode("utf-8", errors="replace")))
    if any(_CONTROL.search(line) for line in text.split("\r\n")):
        raise Malformed
    start = text.split("\r\n", 1)[0]
    if not _START_LINE.match(start):
        raise Malformed
    message = Message.parse(text.encode() + gap + body)
    headers = message.headers
    for name in ("Call-ID", "CSeq", "From", "To"):
        if len(headers.getlist(name)) != 1:
            raise Malformed
    length = headers.get("Content-Length", str(len(body))) or ""
    if not _LENGTH.fullmatch(length) or int(length) > len(body):
        raise Malformed
    cseq = CSeq.parse(headers["CSeq"])
    vias = [via for value in headers.getlist("Via") for via in Via.parse_many(value)]
    common = {
        "branch": vias[0].parameters.get("branch") or "",
        "call_id": headers["Call-ID"],
        "sequence": cseq.sequence,
        "method": cseq.method,
        "from_tag": Address.parse(headers["From"]).parameters.get("tag") or "",
        "to": headers["To"],
        "to_tag": Address.parse(headers["To"]).parameters.get("tag") or "",
        "record_route": _routes(headers.getlist("Record-Route")),
        "contact": uri_of(headers.get("Contact", "") or ""),
    }
    if isinstance(message, Response):
        return Answer(
            **common,  # type: ignore[arg-type]  # one dict for both kinds; msgspec keeps the names
            code=message.code,
            phrase=message.phrase,
            challenges=(
                *headers.getlist("WWW-Authenticate"),
                *headers.getlist("Proxy-Authenticate"),
            ),
            q850=_cause(headers.getlist("Reason")),
            vias=len(vias),
            body=body[: int(length)],
        )
    if cseq.method != message.method:
        raise Malformed
    return Ask(
        **common,  # type: ignore[arg-type]
        uri=start.split(" ")[1],
        caller=headers["From"],
        vias=tuple(headers.getlist("Via")),
    )


def _items(values: list[str]) -> list[str]:
    if any(len(value) > MAX_LIST_LENGTH for value in values):
        raise Malformed
    return [item.strip() for value in values for item in _LIST_ITEM.findall(value)]


def _routes(values: list[str]) -> tuple[str, ...]:
    routes = tuple(_items(values))
    if len(routes) > MAX_ROUTES or any(uri_of(route) is None for route in routes):
        raise Malformed
    return routes


def _cause(values: list[str]) -> int | None:
    found = (_CAUSE.match(item) for item in _items(values))
    return next((int(match[1]) for match in found if match), None)


def uri_of(value: str) -> str | None:
    """Return the first SIP address in a Contact or Route value; None when there is none."""
    found = _URI.search(value[: 4 * MAX_URI_LENGTH])
    uri = (found[1] or found[2]) if found else None
    return uri if uri and len(uri) <= MAX_URI_LENGTH else None


def path(target: str, record_route: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return request-URI and Route values of a caller's request inside a dialog.

    RFC 3261, 12.1.2 and 12.2.1.1: the recorded route reversed; a first hop without `lr` is a
    strict router, which wants its own address as request-URI and the target at the end.
    """
    routes = record_route[::-1]
    first = uri_of(routes[0]) if routes else None
    if first is None or _LOOSE.search(first):
        return target, routes
    return first, (*routes[1:], f"<{target}>")


def write_request(
    method: str, uri: str, headers: Iterable[tuple[str, str]], body: bytes = b""
) -> bytes:
    """Put a request together; Content-Length is added."""
    return _write(f"{method} {uri} SIP/2.0", headers, body)


def write_response(
    ask: Ask,
    status: str,
    *,
    tag: str = "",
    source: tuple[str, int] | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> bytes:
    """Answer a request with a status such as `486 Busy Here`.

    `tag` is put to To when the request had none; `source` is where the request came from, told
    back to a caller which asked for it with `rport` (RFC 3581).
    """
    vias = ask.vias
    if source is not None:
        seen = f";rport={source[1]};received={source[0]}"
        vias = (_OPEN_RPORT.sub(seen, vias[0], count=1), *vias[1:])
    own = f";tag={tag}" if tag and not ask.to_tag else ""
    echoed = [
        *(("Via", via) for via in vias),
        *(("Record-Route", route) for route in ask.record_route),
        ("From", ask.caller),
        ("To", ask.to + own),
        ("Call-ID", ask.call_id),
        ("CSeq", f"{ask.sequence} {ask.method}"),
    ]
    return _write(f"SIP/2.0 {status}", [*echoed, *headers], body)


def _write(start: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def audio_offer(host: str, port: int) -> bytes:
    """Describe a plain telephone-quality audio session at `host`:`port` (SDP, RFC 4566).

    Nothing in it names this system: a line that knows a test call could answer only those.
    """
    family = "IP6" if ":" in host else "IP4"
    lines = (
        "v=0",
        f"o=- {port} 1 IN {family} {host}",
        "s=-",
        f"c=IN {family} {host}",
        "t=0 0",
        f"m=audio {port} RTP/AVP 8 0 101",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=sendrecv",
        "",
    )
    return "\r\n".join(lines).encode()
