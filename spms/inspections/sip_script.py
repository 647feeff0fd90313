"""What the caller says in one call: every request, put together. No sockets, no timers.

A `Script` holds what must stay the same through a call (tags, Call-ID, our own address) and what
must not (branches, sequence numbers, the nonce's count).
"""

import secrets

from msgspec import Struct

from spms.inspections.sip_digest import Challenge, Credentials, credentials_header
from spms.inspections.sip_messages import Answer, audio_offer, path, write_request

ALLOW = ("Allow", "INVITE, ACK, CANCEL, BYE")
PROXY_CHALLENGE = 407
_BRANCH = "z9hG4bK"  # RFC 3261, 8.1.1.7


class Dialled(Struct, frozen=True, kw_only=True):
    """Who calls whom: fixed for the whole call. Host is the trunk's, as it stands in addresses."""

    number: str
    caller: str
    host: str
    call_id: str


class Leg(Struct, frozen=True, kw_only=True):
    """One answered dialog. A forking network may open several with a single call."""

    tag: str
    to: str
    uri: str
    routes: tuple[str, ...]
    ack: bytes


class Script:
    """Writes the requests of one call."""

    def __init__(self, dialled: Dialled) -> None:
        """Begin a call; `settle_at` must follow before anything is written."""
        self.call_id = dialled.call_id
        self.tag = secrets.token_hex(8)
        self.sequence = 1
        self.branch = new_branch()
        self._dialled = dialled
        self._uri = f"sip:{dialled.number}@{dialled.host};user=phone"
        self._proof: tuple[str, Challenge, Credentials] | None = None
        self._count = 0

    def settle_at(self, local: tuple[str, int], *, audio_port: int, reliable: bool) -> None:
        """Learn our own address, which the messages have to name, and how they are carried."""
        host, port = local
        self._host = f"[{host}]" if ":" in host else host
        self._here = f"{self._host}:{port}"
        self._carried = "TCP" if reliable else "UDP"
        self._by = ";transport=tcp" if reliable else ""
        self._offer = audio_offer(host, audio_port)

    def prove(self, code: int, challenge: Challenge, who: Credentials) -> None:
        """Make the next INVITE a new one that answers the challenge (RFC 3261, 22.2)."""
        self._trust(code, challenge, who)
        self.sequence += 1
        self.branch = new_branch()
        self._count = 1

    def _trust(self, code: int, challenge: Challenge, who: Credentials) -> None:
        name = "Proxy-Authorization" if code == PROXY_CHALLENGE else "Authorization"
        self._proof = (name, challenge, who)

    def prove_bye(self, code: int, challenge: Challenge, who: Credentials) -> None:
        """Let the next BYE answer a challenge of its own."""
        self._trust(code, challenge, who)
        self.sequence += 1
        self._count = 0

    def invite(self) -> bytes:
        """Return the INVITE: the same bytes each time, as a repeat must be."""
        headers = [
            *self._headers(self.branch, "INVITE", to=self._callee),
            ("Contact", f"<sip:{self._dialled.caller}@{self._here}{self._by}>"),
            ALLOW,
            *self._proofs("INVITE", self._uri, self._count),
            ("Content-Type", "application/sdp"),
        ]
        return write_request("INVITE", self._uri, headers, self._offer)

    def cancel(self) -> bytes:
        """Return what takes the INVITE back."""
        headers = self._headers(self.branch, "CANCEL", to=self._callee)
        return write_request("CANCEL", self._uri, headers)

    def ack_refusal(self, answer: Answer) -> bytes:
        """Acknowledge a final answer that is no success: part of the INVITE's transaction."""
        return write_request("ACK", self._uri, self._headers(self.branch, "ACK", to=answer.to))

    def leg(self, answer: Answer) -> Leg:
        """Open the dialog of a success. The ACK repeats the INVITE's credentials (22.1)."""
        uri, routes = path(answer.contact or self._uri, answer.record_route)
        headers = [
            *self._headers(new_branch(), "ACK", to=answer.to),
            *(("Route", route) for route in routes),
            *self._proofs("INVITE", self._uri, self._count),
        ]
        ack = write_request("ACK", uri, headers)
        return Leg(tag=answer.to_tag, to=answer.to, uri=uri, routes=routes, ack=ack)

    def bye(self, leg: Leg) -> tuple[str, bytes]:
        """Return the branch and bytes of what hangs up a leg: each time a new request."""
        branch = new_branch()
        headers = [
            *self._headers(branch, "BYE", to=leg.to, sequence=self.sequence + 1),
            *(("Route", route) for route in leg.routes),
            *self._proofs("BYE", leg.uri, self._count + 1),
        ]
        return branch, write_request("BYE", leg.uri, headers)

    @property
    def _callee(self) -> str:
        return f"<{self._uri}>"

    def _headers(
        self, branch: str, method: str, *, to: str, sequence: int | None = None
    ) -> list[tuple[str, str]]:
        return [
            ("Via", f"SIP/2.0/{self._carried} {self._here};branch={branch};rport"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self._dialled.caller}@{self._host}>;tag={self.tag}"),
            ("To", to),
            ("Call-ID", self.call_id),
            ("CSeq", f"{sequence or self.sequence} {method}"),
        ]

    def _proofs(self, method: str, uri: str, count: int) -> list[tuple[str, str]]:
        if self._proof is None:
            return []
        name, challenge, who = self._proof
        # The branch serves as cnonce: unguessable, new for each INVITE, the same in its repeats.
        value = credentials_header(
            challenge, who, method=method, uri=uri, count=max(1, count), cnonce=self.branch
        )
        return [(name, value)]


def new_branch() -> str:
    """Return a branch that no other transaction has."""
    return _BRANCH + secrets.token_hex(12)
