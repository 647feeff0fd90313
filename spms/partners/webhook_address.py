"""Which addresses a webhook may go to (SSRF). Pure: looking a name up is `webhook_post`'s.

An SP names the address that our machine then calls from inside the operator's network. So the URL
is held to a narrow form, and the IP address that is really connected to must be a public one.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import msgspec

from spms.core.errors import Unprocessable

NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        # IPv4 (IANA special-purpose registry, multicast, reserved)
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        # IPv6 inside 2000::/3: protocol assignments, Teredo, documentation, 6to4
        "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    )
)  # fmt: skip
GLOBAL_V6 = IPv6Network("2000::/3")
"""The only IPv6 space in public use: mapped, translated, local and multicast ones lie outside."""

PLAIN_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[!-~]*)?(?:\?[!-~]*)?\Z")
NAME = re.compile(
    r"(?=.{4,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]\Z"
)
NEVER = re.compile(
    r"(?:\A|\.)(?:localhost|local|localdomain|internal|intranet|lan|home|corp|private|invalid"
    r"|test|onion|arpa)\Z"
)
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
PORTS = {"http": 80, "https": 443}


class UrlRefused(Unprocessable):
    """Webhooks cannot go to this address."""

    code = "url_refused"


class AddressRefused(Exception):  # noqa: N818 - a verdict on an address, not a failure of ours
    """A name leads to an address that may not be called."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL names."""

    scheme: str
    host: str
    port: int


def read_url(url: str, *, ports: Sequence[int], loopback: bool) -> Target:
    """Read where a URL leads; raise `UrlRefused` for anything but https to a public-looking name.

    `loopback` (sandbox only) also lets http and https go to this machine, on any port.
    """
    if not PLAIN_URL.match(url) or "\\" in url:
        raise UrlRefused("write https://name/path in ASCII, without user name and fragment")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UrlRefused("the host or port cannot be read") from None
    if "@" in parts.netloc or parts.netloc.endswith(":") or "#" in url:
        raise UrlRefused("write no user name, no empty port and no fragment")
    target = Target(
        scheme=parts.scheme, host=host, port=PORTS[parts.scheme] if port is None else port
    )
    if loopback and host in LOOPBACK_NAMES and target.port > 0:
        return target
    if parts.scheme != "https":
        raise UrlRefused("only https")
    if not NAME.match(host) or NEVER.search(host):
        raise UrlRefused("the host must be a public DNS name, not an address")
    if target.port not in ports:
        raise UrlRefused(f"the port must be one of {', '.join(map(str, ports))}")
    return target


def may_call(address: str, *, loopback: bool) -> bool:
    """Whether an IP address may be connected to: a public one, or this machine in the sandbox."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if loopback and found.is_loopback:
        return True
    if isinstance(found, IPv6Address) and (found not in GLOBAL_V6 or found.scope_id is not None):
        return False
    return not any(found.version == net.version and found in net for net in NOT_PUBLIC)


def require_callable(addresses: list[str], *, loopback: bool) -> None:
    """Raise `AddressRefused` unless every address of an answer may be called.

    One bad address among good ones is an attack, or a fault that the SP should hear about.
    """
    if not addresses or not all(may_call(each, loopback=loopback) for each in addresses):
        raise AddressRefused
