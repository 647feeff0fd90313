"""The caller's end of one call: what has been heard so far, and what must be answered at once.

Everything here happens inside the event loop's callback for one datagram: no waiting. How long to
wait for which fact, and when to give up, is decided in `sip.py`.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable

from msgspec import Struct

from spms.inspections.sip_digest import Challenge, Credentials, credentials_header
from spms.inspections.sip_messages import (
    Answer,
    Ask,
    Malformed,
    audio_offer,
    path,
    read,
    write_request,
    write_response,
)
from spms.inspections.sip_timing import Watch

MAX_LEGS = 16
MAX_TRACE_LINES = 200
MAX_PHRASE = 40
_ALLOW = ("Allow", "INVITE, ACK, CANCEL, BYE")
_EARLY_MEDIA = 183
_SIGNS_OF_RINGING = frozenset({180, 181, 182, _EARLY_MEDIA})  # ringing, forwarded, queued
_PROXY_CHALLENGE = 407
_BRANCH = "z9hG4bK"  # RFC 3261, 8.1.1.7


class Leg(Struct, frozen=True, kw_only=True):
    """One answered dialog. A forking network may open several with a single call."""

    tag: str
    ack: bytes
    bye: bytes


class Dialled(Struct, frozen=True, kw_only=True):
    """Who calls whom: fixed for the whole call. Host is the trunk's, as it stands in addresses."""

    number: str
    caller: str
    host: str
    call_id: str


class Line(asyncio.DatagramProtocol):
    """Facts heard in one call, kept up to date by the datagrams from the trunk."""

    def __init__(
        self,
        dialled: Dialled,
        *,
        on_spare_leg: Callable[[Leg], None],
        on_answer: Callable[[Answer], None] = lambda _: None,
    ) -> None:
        """`on_spare_leg` is told of every answered leg besides the first: it has to be ended."""
        self.watch = Watch()
        self.audio_port = 0  # to be set before the socket opens: it is offered in the INVITE
        self.provisional = False  # some 1xx came: CANCEL may be sent
        self.rang_at: float | None = None  # loop time of the first 180 to 183
        self.belled = False  # 180, 181 or 182: more than early media
        self.early_cause: int | None = None  # Q.850 cause in a 183
        self.final: Answer | None = None
        self.leg: Leg | None = None  # the first leg that answered
        self.cancel_answered = False
        self.refused = False  # the network said that nobody takes our datagrams
        self.ended: set[str] = set()  # tags of legs that are over
        self.hung_up_by_line = False
        self.given_up = False  # what comes now is ended, and changes nothing
        self.malformed = 0
        self.dropped = 0
        self.trace: list[str] = []
        self._dialled = dialled
        self._on_spare_leg = on_spare_leg
        self._tell_answer = on_answer
        self._legs: dict[str, Leg] = {}
        self._acks: dict[str, bytes] = {}  # by branch of the INVITE that got no success
        self._bye_tags: dict[str, str] = {}  # by branch of the BYE
        self._tag = secrets.token_hex(8)
        self._sequence = 1
        self._branch = _new_branch()
        self._proof: tuple[str, Challenge, Credentials] | None = None
        self._uri = f"sip:{dialled.number}@{dialled.host};user=phone"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn our own address, which the messages have to name."""
        # On Python 3.11 the loop's datagram transport is no DatagramTransport by class.
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]
        host, port = transport.get_extra_info("sockname")[:2]
        self._host = f"[{host}]" if ":" in host else host
        self._offer = audio_offer(host, self.audio_port)
        self._here = f"{self._host}:{port}"
        self._began = asyncio.get_running_loop().time()

    @property
    def over(self) -> bool:
        """Whether waiting for an answer to the INVITE has become pointless."""
        return self.final is not None or self.refused

    @property
    def proven(self) -> bool:
        """Whether the INVITE carries credentials."""
        return self._proof is not None

    def prove(self, challenge: Challenge, who: Credentials) -> None:
        """Make the next INVITE a new one that answers the challenge (RFC 3261, 22.2)."""
        proxy = self.final is not None and self.final.code == _PROXY_CHALLENGE
        name = "Proxy-Authorization" if proxy else "Authorization"
        self._proof = (name, challenge, who)
        self._sequence += 1
        self._branch = _new_branch()
        self.final = None
        self.provisional = False

    # What is sent.

    def send_invite(self) -> None:
        """Ask for the call; the same bytes each time, as a repeat must be."""
        headers = [
            *self._headers(self._branch, "INVITE", to=self._callee),
            ("Contact", f"<sip:{self._dialled.caller}@{self._here}>"),
            _ALLOW,
            *self._proof_headers("INVITE", self._uri),
            ("Content-Type", "application/sdp"),
        ]
        self._send("INVITE", write_request("INVITE", self._uri, headers, self._offer))

    def send_cancel(self) -> None:
        """Take the INVITE back. Only allowed after a provisional answer (RFC 3261, 9.1)."""
        headers = self._headers(self._branch, "CANCEL", to=self._callee)
        self._send("CANCEL", write_request("CANCEL", self._uri, headers))

    def send_bye(self, leg: Leg) -> None:
        """Hang up one leg."""
        self._send("BYE", leg.bye)

    @property
    def _callee(self) -> str:
        return f"<{self._uri}>"

    def _headers(
        self, branch: str, method: str, *, to: str, sequence: int | None = None
    ) -> list[tuple[str, str]]:
        return [
            ("Via", f"SIP/2.0/UDP {self._here};branch={branch};rport"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self._dialled.caller}@{self._host}>;tag={self._tag}"),
            ("To", to),
            ("Call-ID", self._dialled.call_id),
            ("CSeq", f"{sequence or self._sequence} {method}"),
        ]

    def _proof_headers(self, method: str, uri: str, *, count: int = 1) -> list[tuple[str, str]]:
        if self._proof is None:
            return []
        name, challenge, who = self._proof
        # The branch serves as cnonce: unguessable, new for each INVITE, the same in its repeats.
        value = credentials_header(
            challenge, who, method=method, uri=uri, count=count, cnonce=self._branch
        )
        return [(name, value)]

    def _send(self, what: str, data: bytes) -> None:
        self._note(">", what)
        self._transport.sendto(data)

    def _note(self, direction: str, what: str) -> None:
        if len(self.trace) < MAX_TRACE_LINES:
            since = asyncio.get_running_loop().time() - self._began
            self.trace.append(f"+{since * 1000:.0f} ms {direction} {what}")

    # What is heard.

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:  # noqa: ARG002
        """Take in one datagram of the trunk's; the socket is connected, so it is from there."""
        try:
            message = read(data)
        except Malformed:
            self.malformed += 1
            self._note("<", "not SIP")
        else:
            taken = self._on_ask(message) if isinstance(message, Ask) else self._on_answer(message)
            self.dropped += not taken
        self.watch.tell()

    def error_received(self, exc: Exception) -> None:
        """Note that the network refused a datagram of ours (ICMP)."""
        self._note("<", type(exc).__name__)
        self.refused = True
        self.watch.tell()

    def _on_answer(self, answer: Answer) -> bool:
        ours = answer.call_id == self._dialled.call_id and answer.from_tag == self._tag
        if not ours or answer.vias != 1:  # RFC 3261, 8.1.3.3
            return False
        if answer.method == "INVITE":
            return self._on_invite_answer(answer)
        if answer.method == "CANCEL" and answer.branch == self._branch:
            self._note_answer(answer)
            self.cancel_answered = True
            return True
        if answer.method == "BYE" and answer.branch in self._bye_tags:
            self._note_answer(answer)
            if not answer.provisional:
                self.ended.add(self._bye_tags[answer.branch])
            return True
        return False

    def _on_invite_answer(self, answer: Answer) -> bool:
        if answer.refusal and answer.branch in self._acks:  # our ACK was lost
            self._note_answer(answer)
            self._send("ACK", self._acks[answer.branch])
            return True
        if answer.branch != self._branch or answer.sequence != self._sequence:
            return False
        self._note_answer(answer)
        if answer.provisional:
            self._on_progress(answer)
        elif answer.success:
            self._on_success(answer)
        else:
            headers = self._headers(self._branch, "ACK", to=answer.to)
            self._acks[self._branch] = write_request("ACK", self._uri, headers)
            self._send("ACK", self._acks[self._branch])
            if not self.given_up:
                self.final = self.final or answer
        return True

    def _note_answer(self, answer: Answer) -> None:
        phrase = "".join(c for c in answer.phrase if " " <= c <= "~")[:MAX_PHRASE]
        self._note("<", f"{answer.code} {phrase} ({answer.method})")

    def _on_progress(self, answer: Answer) -> None:
        if self.final is not None:
            return
        self.provisional = True
        if answer.code in _SIGNS_OF_RINGING:
            if self.rang_at is None:
                self.rang_at = asyncio.get_running_loop().time()
            self.belled = self.belled or answer.code != _EARLY_MEDIA
            self.early_cause = answer.q850 or self.early_cause

    def _on_success(self, answer: Answer) -> None:
        leg = self._legs.get(answer.to_tag)
        if leg is not None:  # our ACK was lost
            self._send("ACK", leg.ack)
            return
        if len(self._legs) >= MAX_LEGS:
            return
        leg = self._legs[answer.to_tag] = self._leg(answer)
        self._send("ACK", leg.ack)
        if self.final is None and not self.given_up:
            self.final, self.leg = answer, leg
            self._tell_answer(answer)
        else:
            self._on_spare_leg(leg)

    def _leg(self, answer: Answer) -> Leg:
        uri, routes = path(answer.contact or self._uri, answer.record_route)
        route_headers = [("Route", route) for route in routes]
        bye_branch = _new_branch()
        self._bye_tags[bye_branch] = answer.to_tag

        def inside(
            method: str, branch: str, sequence: int, proof: Iterable[tuple[str, str]]
        ) -> bytes:
            headers = self._headers(branch, method, to=answer.to, sequence=sequence)
            return write_request(method, uri, [*headers, *route_headers, *proof])

        # The ACK repeats the INVITE's credentials as they were (RFC 3261, 22.1).
        ack_proof = self._proof_headers("INVITE", self._uri)
        bye_proof = self._proof_headers("BYE", uri, count=2)
        return Leg(
            tag=answer.to_tag,
            ack=inside("ACK", _new_branch(), self._sequence, ack_proof),
            bye=inside("BYE", bye_branch, self._sequence + 1, bye_proof),
        )

    def _on_ask(self, ask: Ask) -> bool:
        leg = self._legs.get(ask.from_tag)
        if ask.call_id != self._dialled.call_id or ask.to_tag != self._tag or leg is None:
            return False
        self._note("<", ask.method)
        if ask.method == "BYE":
            self.ended.add(leg.tag)
            self.hung_up_by_line = self.hung_up_by_line or leg is self.leg
            self._reply(ask, "200 OK")
        elif ask.method == "INVITE":  # a change of the session: the one we have stays
            self._reply(ask, "488 Not Acceptable Here")
        elif ask.method != "ACK":
            self._reply(ask, "405 Method Not Allowed", (_ALLOW,))
        return True

    def _reply(self, ask: Ask, status: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        self._send(status, write_response(ask, status, headers=headers))


def _new_branch() -> str:
    return _BRANCH + secrets.token_hex(12)
