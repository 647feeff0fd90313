"""Where a webhook may go: a table of hostile addresses, and that none of them is connected to."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, ip_address
from typing import Self

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from spms.partners.webhook_address import UrlRefused, may_call, read_url
from spms.partners.webhook_model import AttemptResult, WebhookRules
from spms.partners.webhook_post import Poster

PORTS = WebhookRules().ports
PUBLIC = "93.184.216.34"
BODY = b'{"position": 1, "subject": "a"}'

HOSTILE = [
    "http://sp.example.com/", "ftp://sp.example.com/", "file:///etc/passwd", "gopher://a.com/",
    "//sp.example.com/", "sp.example.com", "", "https://", "https:///x", "https:/sp.example.com",
    "https://127.0.0.1/", "https://127.1/", "https://0/", "https://0.0.0.0/", "https://2130706433/",
    "https://0x7f.1/", "https://0x7f000001/", "https://017700000001/", "https://0177.0.0.1/",
    "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data", "https://224.0.0.1/", "https://255.255.255.255/",
    "https://8.8.8.8/", "https://[::1]/", "https://[::]/", "https://[::ffff:10.0.0.1]/",
    "https://[::ffff:a00:1]/", "https://[fe80::1%25eth0]/", "https://[fc00::1]/",
    "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://[2001:db8::1]/",
    "https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://a.localhost/",
    "https://db.internal/", "https://printer.local/", "https://router.lan/", "https://intranet/",
    "https://metadata.google.internal/", "https://a.test/", "https://1.0.0.127.in-addr.arpa/",
    "https://user@sp.example.com/", "https://user:pass@sp.example.com/",
    "https://sp.example.com@127.0.0.1/", "https://127.0.0.1#@sp.example.com/",
    "https://sp.example.com#@127.0.0.1/", "https://sp.example.com\\@127.0.0.1/",
    "https://sp.example.com:22/", "https://sp.example.com:5432/", "https://sp.example.com:0/",
    "https://sp.example.com:80/", "https://sp.example.com:/", "https://sp.example.com:x/",
    "https://sp.example.com:65536/", "https://sp.example.com:443:443/", "https://sp。example。com/",
    "https://sp%2eexample.com/", "https://%31%32%37.0.0.1/", "https://①②⑦.0.0.1/",
    "https://sp.example.com/\r\nHost: a", "https://sp.example.com/ x", " https://sp.example.com/",
    "https://sp.example.com/\n", "https://sp.example.com/é", "https://sp_1.example.com/",
    "https://-sp.example.com/", "https://sp..example.com/", "https://.example.com/",
    "https://" + "a" * 64 + ".com/", "https://sp.example.com./", "HTTPS://sp.example.com/",
]  # fmt: skip

FORBIDDEN = [
    "0.0.0.0", "0.1.2.3",  # noqa: S104 - refused, not bound
    "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
    "127.255.255.254", "169.254.0.1", "169.254.169.254", "172.16.0.0", "172.31.255.255",
    "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.0", "198.18.0.1", "198.19.255.255",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8",
    "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:2::1", "2001:10::1",
    "2001:db8::1", "2002:a00:1::1", "3fff::1", "5f00::1", "fc00::1", "fd00::1", "fe80::1",
    "fe80::1%eth0", "2606:4700::1%eth0", "fec0::1", "ff02::1", "", "localhost", "127.1", "1",
]  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused(url):
    with pytest.raises(UrlRefused):
        read_url(url, ports=PORTS, loopback=False)


@pytest.mark.parametrize(
    "url",
    ["https://sp.example.com/", "https://sp.example.com", "https://a-b.sp.example.com:8443/x?y=1",
     "https://xn--fiq228c.xn--fiqs8s/%E4%BD%A0", "https://SP.Example.COM/Hook"],
)  # fmt: skip
def test_a_public_https_name_is_taken(url):
    assert read_url(url, ports=PORTS, loopback=False).scheme == "https"


def test_this_machine_only_where_the_sandbox_says_so():
    for url in ("http://127.0.0.1:9000/x", "http://localhost:9000/", "http://[::1]:9000/"):
        assert read_url(url, ports=PORTS, loopback=True).port == 9000
        with pytest.raises(UrlRefused):
            read_url(url, ports=PORTS, loopback=False)
    for url in ("http://10.0.0.1:9000/", "https://169.254.169.254/", "http://sp.example.com/"):
        with pytest.raises(UrlRefused):
            read_url(url, ports=PORTS, loopback=True)


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_that_is_not_public_is_never_called(address):
    assert not may_call(address, loopback=False)


def test_public_addresses_may_be_called():
    for address in ("8.8.8.8", PUBLIC, "1.1.1.1", "223.5.5.5", "2400:3200::1", "2606:4700::1111"):
        assert may_call(address, loopback=False)


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_is_more_public_for_us_than_for_python(address: IPv4Address):
    if may_call(str(address), loopback=False):
        assert ip_address(address).is_global
        assert not address.is_multicast
    assert not may_call(f"::ffff:{address}", loopback=False)


class Listener:
    """A server that only counts who connects to it."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            writer.close()

        self._server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()


async def test_a_name_that_leads_inside_is_not_connected_to_however_it_gets_there():
    answers: list[list[str]] = []

    async def lookup(_host: str, _port: int) -> list[str]:
        return answers.pop(0)

    async with Listener() as listener, Poster(lookup=lookup) as poster:
        ports = [listener.port]
        url = f"https://sp.example.com:{listener.port}/"
        read_url(url, ports=ports, loopback=False)  # what registration sees is fine

        async def post(url: str) -> AttemptResult:
            answer = await poster.post(url, BODY, {}, ports=ports, timeout=5)
            return AttemptResult(answer.result)

        for found in (["127.0.0.1"], ["::1"], [PUBLIC, "127.0.0.1"], ["::ffff:127.0.0.1"],
                      ["127.0.0.1", PUBLIC], ["169.254.169.254"], []):  # fmt: skip
            answers[:] = [found]
            assert await post(url) is AttemptResult.ADDRESS
            assert answers == []  # looked up once
        for hostile in HOSTILE:
            assert await post(hostile) is AttemptResult.ADDRESS
        # A URL stored before the rules became stricter meets them all the same.
        for literal in ("https://127.0.0.1:{}/", "http://127.0.0.1:{}/", "https://[::1]:{}/"):
            assert await post(literal.format(listener.port)) is AttemptResult.ADDRESS
        assert listener.connections == 0


async def test_the_socket_itself_is_the_last_wall():
    """Even a resolver gone wrong connects nowhere inside."""
    async with Listener() as listener, Poster() as poster:
        session = poster._session
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever carries it out
            await session.get(f"http://127.0.0.1:{listener.port}/")
        assert listener.connections == 0


def certificate(name: str) -> tuple[bytes, bytes]:
    """Make a certificate that is its own root, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    at = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1)).not_valid_after(at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


async def test_tls_is_checked_against_the_name_and_the_pinned_address_is_used(tmp_path):
    public, private = certificate("sp.example.com")
    (tmp_path / "c.pem").write_bytes(public + private)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(tmp_path / "c.pem")
    hosts = []

    async def handle(request: web.Request) -> web.Response:
        hosts.append(request.host)
        return web.Response()

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving).start()
    port = runner.addresses[0][1]
    looked_up = []

    async def lookup(host: str, _port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) % 2 else ["10.0.0.1"]

    async def post(poster: Poster, host: str) -> AttemptResult:
        url = f"https://{host}:{port}/"
        return (await poster.post(url, BODY, {}, ports=[port], timeout=5)).result

    trusting = ssl.create_default_context(cadata=public.decode())
    try:
        async with Poster(loopback=True, lookup=lookup, tls=trusting) as poster:
            assert await post(poster, "sp.example.com") is AttemptResult.DELIVERED
            assert (
                await post(poster, "sp.example.com") is AttemptResult.ADDRESS
            )  # rebound: 10.0.0.1
            assert await post(poster, "other.example.com") is AttemptResult.TLS
        looked_up.clear()
        async with Poster(loopback=True, lookup=lookup) as strict:
            assert await post(strict, "sp.example.com") is AttemptResult.TLS
    finally:
        await runner.cleanup()
    assert hosts == [f"sp.example.com:{port}"]


@pytest.mark.parametrize(
    ("said", "result"),
    [
        (b"", AttemptResult.UNREACHABLE),
        (b"\x00\x01\x02\r\n\r\n", AttemptResult.BAD_ANSWER),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, AttemptResult.BAD_ANSWER),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"1" * 9_000_000,
         AttemptResult.DELIVERED),
        (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", AttemptResult.BAD_ANSWER),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz",
         AttemptResult.DELIVERED),
        (None, AttemptResult.TIMEOUT),
    ],
)  # fmt: skip
async def test_whatever_a_server_says_is_an_answer_in_time_and_size(said, result):
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if said is None:
            await reader.read()  # says nothing until the caller hangs up
        else:
            writer.write(said)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Poster(loopback=True) as poster:
        answer = await poster.post(
            f"http://127.0.0.1:{port}/", BODY, {}, ports=[], timeout=0.5 if said is None else 20
        )
    assert answer.result is result
    assert len(answer.response_start or "") <= 256
    assert "11111" not in (answer.response_start or "")
