"""A third party's SMSC (smpp34) in the test's own process, and a line that can be cut."""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import smpp34
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from spms.core.settings import SmppSettings
from tests.ports import free_port

BIND_TRANSCEIVER, DELIVER_SM, DELIVER_SM_RESP = 0x09, 0x05, 0x80000005
SUBMIT_SM, SUBMIT_SM_RESP = 0x04, 0x80000004
PATIENCE = 30


def link_settings(port, name="smsc", **changes):
    values = {
        "host": "127.0.0.1", "system_id": "spms", "password": "secret", "reconnect_seconds": 0.004,
        "reconnect_seconds_max": 0.05,
    }  # fmt: skip
    return SmppSettings(name=name, port=port, **{**values, **changes})


class Smsc:
    """Takes every bind; accepts what is submitted unless told otherwise; delivers."""

    def __init__(self, server: smpp34.Server, port: int) -> None:
        self.port = port
        self.submitted: list[smpp34.SubmitSmEvent] = []
        self.answer: Callable[[smpp34.SubmitSmEvent, int], None] = self.accept
        self.bound = asyncio.Event()
        self.binds = 0
        self._server = server
        self._session: smpp34.Esme | None = None
        self._arrived = asyncio.Event()

    @staticmethod
    def accept(event, number) -> None:
        event.accept(f"m{number}")

    async def serve(self) -> None:
        while True:
            event = await self._server.next()
            if isinstance(event, smpp34.Esme):
                self._session = event
                self.binds += 1
                self.bound.set()
            elif isinstance(event, smpp34.SubmitSmEvent):
                self.submitted.append(event)
                self.answer(event, len(self.submitted))
                self._arrived.set()
            elif self._session is not None and event.session_id == self._session.session_id:
                self.bound.clear()

    async def session(self) -> smpp34.Esme:
        await asyncio.wait_for(self.bound.wait(), PATIENCE)
        assert self._session is not None
        return self._session

    async def deliver(self, source, content, *, to="10010", **more) -> int:
        """Deliver once and return the status; raises `SmppError` when the line breaks."""
        session = await self.session()
        answer = await session.deliver_sm(
            destination_addr=to, source_addr=source, short_message=content, **more
        )
        return answer.command_status

    async def deliver_until_taken(self, source, content, **more) -> int:
        """Deliver again and again, as an SMSC does, until it is acknowledged; return the tries."""
        tries = 1
        while True:
            with contextlib.suppress(smpp34.SmppError):
                if await self.deliver(source, content, **more) == 0:
                    return tries
            tries += 1
            await asyncio.sleep(0.001)

    async def arrived(self, count: int) -> None:
        """Wait until so many messages have been submitted."""
        while len(self.submitted) < count:
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), PATIENCE)


@asynccontextmanager
async def running_smsc() -> AsyncIterator[Smsc]:
    port = free_port()
    server = smpp34.Server(host="127.0.0.1", port=port, system_id="SMSC", inbound_capacity=5000)
    await server.start()
    smsc = Smsc(server, port)
    task = asyncio.create_task(smsc.serve())
    try:
        yield smsc
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.stop()


class Line:
    """A line between link and SMSC that breaks in the middle of a PDU, as often as told."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._cut: tuple[int, int] | None = None
        self.cuts = 0
        self.port = 0
        self.passed: list[bytes] = []
        """Every whole PDU that went over it, either way."""
        self.flowing = asyncio.Event()
        """Cleared: the line is there, but nothing comes through (half open)."""
        self.flowing.set()

    def seen(self, command: int) -> list[bytes]:
        """Return the PDUs of a kind that went over it, in order."""
        return [pdu for pdu in self.passed if struct.unpack(">I", pdu[4:8])[0] == command]

    def cut(self, command: int, octets: int) -> None:
        """Break after so many octets of the next PDU of a kind have passed."""
        self._cut = (command, octets)

    def hold(self) -> None:
        """Break no more, also where it was told to."""
        self._cut = None

    @property
    def armed(self) -> bool:
        return self._cut is not None

    async def serve(self, reader, writer) -> None:
        try:
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.transport.abort()
            return
        ways = [(reader, back_writer), (back_reader, writer)]
        tasks = [asyncio.create_task(self._pass(*way)) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, back_writer):
            each.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass(self, reader, writer) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(16)
                length, command = struct.unpack(">II", head[:8])
                pdu = head + await reader.readexactly(length - 16)
                await self.flowing.wait()
                if self._cut is not None and self._cut[0] == command:
                    _, octets = self._cut
                    self._cut = None
                    self.cuts += 1
                    writer.write(pdu[:octets])
                    await writer.drain()
                    return
                self.passed.append(pdu)
                writer.write(pdu)
                await writer.drain()


@asynccontextmanager
async def line_to(smsc: Smsc, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Line]:
    line = Line(smsc.port)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0, ssl=tls)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        line.flowing.set()


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, str]:
    """Make a certificate for a name; return a server's context and the authority's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    public, private = folder / "smsc.pem", folder / "smsc.key"
    public.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, str(public)
