"""SMPP 3.4 on the wire: bytes to structs and back. Pure; no bytes at all make it raise.

Names and numbers are those of the specification (SMPP Protocol Specification v3.4, issue 1.2).
"""

import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import msgspec

HEADER: Final = struct.Struct(">IIII")
PDU_MAX: Final = 65_536
"""Octets. More than any message needs; nothing larger is ever kept in memory."""
SEQUENCE_MAX: Final = 0x7FFFFFFF
RESPONSE: Final = 0x80000000
SHORT_MESSAGE_MAX: Final = 254
VERSION: Final = 0x34


class Command(IntEnum):
    """command_id of a request; its response has the highest bit set as well."""

    GENERIC_NACK = 0x80000000
    BIND_RECEIVER = 0x01
    BIND_TRANSMITTER = 0x02
    SUBMIT_SM = 0x04
    DELIVER_SM = 0x05
    UNBIND = 0x06
    BIND_TRANSCEIVER = 0x09
    OUTBIND = 0x0B
    ENQUIRE_LINK = 0x15
    ALERT_NOTIFICATION = 0x102


class Status(IntEnum):
    """command_status, as far as we say or act upon one."""

    OK = 0x00
    BAD_MESSAGE_LENGTH = 0x01
    BAD_COMMAND_LENGTH = 0x02
    BAD_COMMAND = 0x03
    NOT_BOUND = 0x04
    ALREADY_BOUND = 0x05
    SYSTEM_ERROR = 0x08
    BAD_SOURCE = 0x0A
    BAD_DESTINATION = 0x0B
    BIND_FAILED = 0x0D
    BAD_PASSWORD = 0x0E
    BAD_SYSTEM_ID = 0x0F
    QUEUE_FULL = 0x14
    BAD_SYSTEM_TYPE = 0x53
    THROTTLED = 0x58
    TRY_AGAIN = 0x64
    """ESME_RX_T_APPN: we cannot take it now; deliver it again."""
    BAD_OPTIONAL = 0xC0
    BAD_PARAMETER_LENGTH = 0xC2


class Tag(IntEnum):
    """Optional parameters that we read or write."""

    RECEIPTED_MESSAGE_ID = 0x001E
    SAR_REFERENCE = 0x020C
    SAR_TOTAL = 0x020E
    SAR_NUMBER = 0x020F
    MESSAGE_PAYLOAD = 0x0424
    MESSAGE_STATE = 0x0427


class Pdu(msgspec.Struct, frozen=True):
    """One PDU: its header and the octets after it."""

    command: int
    status: int
    sequence: int
    body: bytes

    @property
    def octets(self) -> bytes:
        """All of it, as it stood on the line: a frame is cut by its own length."""
        return write(self.command, self.status, self.sequence, self.body)


class Address(msgspec.Struct, frozen=True):
    """A number with what kind of number it is."""

    digits: str
    ton: int = 0
    npi: int = 0


class ShortMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The body of submit_sm and deliver_sm."""

    source: Address
    destination: Address
    content: bytes
    """short_message, with a user data header where `esm_class` says so."""
    data_coding: int = 0
    esm_class: int = 0
    registered: int = 0
    """1: a delivery receipt is asked for."""
    options: Mapping[int, bytes] = msgspec.field(default_factory=dict)

    @property
    def payload(self) -> bytes:
        """The content, wherever it stands."""
        return self.content or self.options.get(Tag.MESSAGE_PAYLOAD, b"")


class Fault(msgspec.Struct, frozen=True):
    """Why a body could not be read, as the status to answer it with."""

    status: Status


class _Unreadable(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, status: Status) -> None:
        super().__init__()
        self.status = status


class _Reader:
    """Reads a body from front to back."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._body) - self._at

    def take(self, octets: int, fault: Status) -> bytes:
        if octets > self.left:
            raise _Unreadable(fault)
        taken = self._body[self._at : self._at + octets]
        self._at += octets
        return taken

    def octet(self) -> int:
        return self.take(1, Status.BAD_PARAMETER_LENGTH)[0]

    def text(self, size: int, fault: Status = Status.BAD_PARAMETER_LENGTH) -> str:
        """Read a C-octet string of at most `size` octets, the closing zero included."""
        end = self._body.find(0, self._at, self._at + size)
        if end < 0:
            raise _Unreadable(fault)
        return self.take(end + 1 - self._at, fault)[:-1].decode("latin-1")

    def address(self, fault: Status) -> Address:
        ton, npi = self.octet(), self.octet()
        return Address(self.text(21, fault), ton, npi)


def frame_length(head: bytes | bytearray) -> int | None:
    """Return how long the PDU is that starts here; None when no PDU may be so long or short."""
    length: int = HEADER.unpack_from(head)[0]
    return length if HEADER.size <= length <= PDU_MAX else None


def read(frame: bytes) -> Pdu:
    """Read one whole frame, of which `frame_length` knows that it has a header."""
    _, command, status, sequence = HEADER.unpack_from(frame)
    return Pdu(command, status, sequence, frame[HEADER.size :])


def write(command: int, status: int, sequence: int, body: bytes = b"") -> bytes:
    """Write one PDU."""
    return HEADER.pack(HEADER.size + len(body), command, status, sequence) + body


def c_string(text: str, size: int) -> bytes:
    """Write a C-octet string of at most `size` octets; raises `ValueError` when it is longer."""
    raw = text.encode("ascii")
    if len(raw) >= size or 0 in raw:
        raise ValueError(f"at most {size - 1} characters fit here")
    return raw + b"\0"


def write_bind(system_id: str, password: str, system_type: str) -> bytes:
    """Write the body of a bind; raises `ValueError` when something does not fit."""
    return (
        c_string(system_id, 16) + c_string(password, 33) + c_string(system_type, 13)
        + bytes((VERSION, 0, 0)) + c_string("", 41)
    )  # fmt: skip


def write_message(message: ShortMessage) -> bytes:
    """Write the body of submit_sm; raises `ValueError` when something does not fit."""
    if len(message.content) > SHORT_MESSAGE_MAX:
        raise ValueError("a short message has at most 254 octets")
    body = b"\0"  # service_type
    for address in (message.source, message.destination):
        body += bytes((address.ton, address.npi)) + c_string(address.digits, 21)
    body += bytes((message.esm_class, 0, 0))
    body += b"\0\0"  # schedule_delivery_time, validity_period
    body += bytes((message.registered, 0, message.data_coding, 0, len(message.content)))
    body += message.content
    for tag, value in message.options.items():
        body += struct.pack(">HH", tag, len(value)) + value
    return body


def read_message(body: bytes) -> ShortMessage | Fault:
    """Read the body of deliver_sm (or submit_sm); a `Fault` says what is wrong with it."""
    try:
        return _message(_Reader(body))
    except _Unreadable as wrong:
        return Fault(wrong.status)


def _message(reader: _Reader) -> ShortMessage:
    reader.text(6)
    source = reader.address(Status.BAD_SOURCE)
    destination = reader.address(Status.BAD_DESTINATION)
    esm_class, _protocol, _priority = reader.octet(), reader.octet(), reader.octet()
    reader.text(17)
    reader.text(17)
    registered, _replace = reader.octet(), reader.octet()
    data_coding, _default = reader.octet(), reader.octet()
    content = reader.take(reader.octet(), Status.BAD_MESSAGE_LENGTH)
    options = _options(reader)
    if content and options.get(Tag.MESSAGE_PAYLOAD):
        raise _Unreadable(Status.BAD_MESSAGE_LENGTH)  # which of the two is meant?
    return ShortMessage(
        source=source, destination=destination, content=content, data_coding=data_coding,
        esm_class=esm_class, registered=registered, options=options,
    )  # fmt: skip


def _options(reader: _Reader) -> dict[int, bytes]:
    options: dict[int, bytes] = {}
    while reader.left:
        tag, length = struct.unpack(">HH", reader.take(4, Status.BAD_OPTIONAL))
        value = reader.take(length, Status.BAD_OPTIONAL)
        if options.setdefault(tag, value) != value:
            raise _Unreadable(Status.BAD_OPTIONAL)  # twice, and not the same
    return options


def read_message_id(body: bytes) -> str | None:
    """Read the body of submit_sm_resp: the SMSC's name for the message, None when it has none."""
    end = body.find(0)
    name = body[: end if end >= 0 else len(body)][:65]
    return name.decode("latin-1") or None
