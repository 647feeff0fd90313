"""Posts one webhook: to a checked address, once, bounded in time and size.

aiohttp asks our resolver, which refuses a name if any of its addresses is not public, and then
makes each socket through our factory, which sees the very address that is connected to. Between
the two nothing looks the name up again, so a name that changes its mind in between gains nothing.
TLS is checked against the name. Redirects, proxies and cookies are not followed, read or kept.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from spms.partners.webhook_address import (
    AddressRefused,
    UrlRefused,
    may_call,
    read_url,
    require_callable,
)
from spms.partners.webhook_model import Answer, AttemptResult
from spms.partners.webhook_rules import response_start, result_of

READ_BYTES_MAX = 1024
"""So much of an answer is read; the connection is then closed, whatever else would come."""

Lookup = Callable[[str, int], Awaitable[list[str]]]


async def look_up(host: str, port: int) -> list[str]:
    """Ask the system's resolver for a name's addresses."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Checked(AbstractResolver):
    """Answers with addresses only when all of them may be called."""

    def __init__(self, lookup: Lookup, *, loopback: bool) -> None:
        self._lookup = lookup
        self._loopback = loopback

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look a name up once and check every address."""
        addresses = await self._lookup(host, port)
        require_callable(addresses, loopback=self._loopback)
        return [
            ResolveResult(
                hostname=host, host=address, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            )
            for address in addresses
            if family in {socket.AF_UNSPEC, socket.AF_INET6 if ":" in address else socket.AF_INET}
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing to close."""


class Poster:
    """Posts webhooks, each over a connection of its own."""

    def __init__(
        self,
        *,
        loopback: bool = False,
        lookup: Lookup = look_up,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`loopback` lets posts go to this machine (sandbox); `tls` replaces the trusted roots."""
        self.loopback = loopback
        connector = aiohttp.TCPConnector(
            resolver=_Checked(lookup, loopback=loopback), use_dns_cache=False, force_close=True,
            limit=0, ssl=tls or True, socket_factory=self._socket,
        )  # fmt: skip
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
            trust_env=False,
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what is open."""
        await self._session.close()

    def _socket(self, info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        """Make the socket for one address: the last place where it can be refused."""
        family, kind, proto, _, address = info
        if not may_call(str(address[0]), loopback=self.loopback):
            raise AddressRefused
        made = socket.socket(family, kind, proto)
        made.setblocking(False)  # noqa: FBT003 - the socket module wants it so
        return made

    async def post(
        self,
        url: str,
        body: bytes,
        headers: dict[str, str],
        *,
        ports: Sequence[int],
        timeout: float,
    ) -> Answer:
        """Post once and say what came of it; never raises for what the other side does.

        `timeout` (seconds) is for the whole of it, however slowly the answer drips.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        status: int | None = None
        retry_after, start = None, b""
        try:
            read_url(url, ports=ports, loopback=self.loopback)
            async with asyncio.timeout(timeout), self._session.post(
                url, data=body, headers=headers, allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as response:  # fmt: skip
                status = response.status
                retry_after = response.headers.get("Retry-After")
                start = await response.content.read(READ_BYTES_MAX)
            result = result_of(status)
        except Exception as error:  # noqa: BLE001 - whatever the other side brings about
            # A status that came counts, also when what follows it is cut off or drips.
            result = failure(error) if status is None else result_of(status)
        return Answer(
            result=result, http_status=status, retry_after=retry_after,
            duration_ms=int((loop.time() - began) * 1000),
            response_start=response_start(start) if start else None,
        )  # fmt: skip


def failure(error: BaseException) -> AttemptResult:
    """Name what went wrong, by kind only: an error's words may repeat what the other side said."""
    if isinstance(error, AddressRefused | UrlRefused):
        return AttemptResult.ADDRESS
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return AttemptResult.TLS
    if isinstance(error, TimeoutError):
        return AttemptResult.TIMEOUT
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL | ValueError):
        return AttemptResult.BAD_ANSWER
    return AttemptResult.UNREACHABLE
