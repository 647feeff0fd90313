"""HTTP digest for SIP (RFC 3261 section 22, RFC 8760): prove to the trunk who is calling.

The challenge is read here and not by `sipmessage`, which cannot read a list such as
`qop="auth,auth-int"` and needs exponential time for a challenge made to hurt.
"""

import hashlib
import re
from collections.abc import Iterable

from msgspec import Struct

MAX_CHALLENGE_LENGTH = 2_048

_PARAMETER = re.compile(r'([A-Za-z0-9-]{1,32})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Credentials(Struct, frozen=True, kw_only=True):
    """Name and password the trunk knows us by. Neither appears when the value is printed."""

    username: str
    password: str

    def __post_init__(self) -> None:
        """Refuse a name that would end its own quotation mark in the header (ValueError)."""
        if re.search(r'["\\\x00-\x1f\x7f]', self.username):
            raise ValueError("a SIP user name has no quotation marks or control characters")

    def __repr__(self) -> str:
        """Keep the secret out of logs and tracebacks."""
        return "Credentials(…)"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        """Keep the secret out of pretty-printed tracebacks as well."""
        return []


class Challenge(Struct, frozen=True, kw_only=True):
    """A digest challenge that can be answered. `algorithm` is `MD5` or `SHA-256`."""

    realm: str
    nonce: str
    opaque: str | None
    algorithm: str
    algorithm_named: bool
    with_qop: bool
    stale: bool = False  # the proof was right, the nonce too old (RFC 7616, 3.3)


def choose(values: Iterable[str]) -> Challenge | None:
    """Pick the challenge to answer, SHA-256 before MD5; None when none can be answered."""
    readable = [challenge for value in values if (challenge := _challenge(value)) is not None]
    return min(readable, key=lambda c: c.algorithm != "SHA-256", default=None)


def _challenge(value: str) -> Challenge | None:
    if len(value) > MAX_CHALLENGE_LENGTH:
        return None
    scheme, _, rest = value.strip().partition(" ")
    given = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(rest)}
    algorithm = given.get("algorithm", "MD5").upper()
    qops = [qop.strip().lower() for qop in given.get("qop", "").split(",") if qop.strip()]
    if scheme.lower() != "digest" or not given.get("nonce") or "realm" not in given:
        return None
    if algorithm not in {"MD5", "SHA-256"} or (qops and "auth" not in qops):
        return None
    return Challenge(
        realm=given["realm"],
        nonce=given["nonce"],
        opaque=given.get("opaque"),
        algorithm=algorithm,
        algorithm_named="algorithm" in given,
        with_qop=bool(qops),
        stale=given.get("stale", "").lower() == "true",
    )


def credentials_header(
    challenge: Challenge, who: Credentials, *, method: str, uri: str, count: int, cnonce: str
) -> str:
    """Return the value of Authorization or Proxy-Authorization.

    `count` is how many requests this nonce has been used for, this one included (RFC 7616, nc).
    """
    nc = f"{count:08x}"
    secret = _hash(challenge, f"{who.username}:{challenge.realm}:{who.password}")
    act = _hash(challenge, f"{method}:{uri}")
    middle = f"{nc}:{cnonce}:auth:" if challenge.with_qop else ""
    parts = [
        f'username="{who.username}"',
        f'realm="{challenge.realm}"',
        f'nonce="{challenge.nonce}"',
        f'uri="{uri}"',
        f'response="{_hash(challenge, f"{secret}:{challenge.nonce}:{middle}{act}")}"',
    ]
    if challenge.algorithm_named:
        parts.append(f"algorithm={challenge.algorithm}")
    if challenge.with_qop:
        parts.append(f'qop=auth, nc={nc}, cnonce="{cnonce}"')
    if challenge.opaque is not None:
        parts.append(f'opaque="{challenge.opaque}"')
    return "Digest " + ", ".join(parts)


def _hash(challenge: Challenge, text: str) -> str:
    name = "sha256" if challenge.algorithm == "SHA-256" else "md5"
    return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()
