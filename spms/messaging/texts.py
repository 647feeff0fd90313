"""Texts as a handset has them: GSM 7 bit (3GPP TS 23.038), UCS-2, GBK; cut into parts and joined.

A text that was not understood is None and never a guess: consent is read from these.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE: Final = 0x1B
_EXTENDED: Final = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]",
    0x40: "|", 0x65: "€",
}  # fmt: skip
_TO_GSM: Final = {
    **{char: bytes((code,)) for code, char in enumerate(_BASIC) if code != _ESCAPE},
    **{char: bytes((_ESCAPE, code)) for code, char in _EXTENDED.items()},
}

CODING_DEFAULT: Final = 0
CODING_UCS2: Final = 8
CODING_GBK: Final = 15
_CODING_ASCII: Final = 1
_CODING_LATIN1: Final = 3
_CLASSES: Final = 0xF0
"""From here on data_coding is a message class: bit 2 tells binary from the default alphabet."""
_BINARY: Final = 0x04


class Alphabet(StrEnum):
    """What an SMSC takes data_coding 0 for."""

    GSM7 = "gsm7"
    ASCII = "ascii"
    LATIN1 = "latin1"


class Chinese(StrEnum):
    """How Chinese goes out."""

    UCS2 = "ucs2"
    GBK = "gbk"


class Encoding(msgspec.Struct, frozen=True, kw_only=True):
    """How one SMSC wants texts."""

    alphabet: Alphabet = Alphabet.GSM7
    chinese: Chinese = Chinese.UCS2
    little_endian: bool = False
    """UCS-2 with the low octet first: wrong, but some SMSCs do so."""


class Encoded(msgspec.Struct, frozen=True, kw_only=True):
    """A text in characters that must not be cut."""

    data_coding: int
    characters: Sequence[bytes]
    single: int
    """Octets that fit into a message of one part."""
    part: int
    """Octets that fit into a part beside its header."""

    @property
    def whole(self) -> bytes:
        """All of it."""
        return b"".join(self.characters)


def encode(text: str, how: Encoding) -> Encoded:
    """Write a text in the narrowest coding that has all of its characters."""
    narrow = _narrow(text, how.alphabet)
    if narrow is not None:
        septets = how.alphabet is not Alphabet.LATIN1  # 7 bit over the air: more of them fit
        single, part = (160, 153) if septets else (140, 134)
        return Encoded(
            data_coding=CODING_DEFAULT, characters=narrow, single=single, part=part
        )  # fmt: skip
    if how.chinese is Chinese.GBK:
        try:
            wide = [char.encode("gbk") for char in text]
            return Encoded(data_coding=CODING_GBK, characters=wide, single=140, part=134)
        except UnicodeEncodeError:
            pass  # a character that GBK does not have
    wide = [char.encode(_utf16(how), "replace") for char in text]
    return Encoded(data_coding=CODING_UCS2, characters=wide, single=140, part=134)


def _narrow(text: str, alphabet: Alphabet) -> list[bytes] | None:
    if alphabet is Alphabet.GSM7:
        known = [_TO_GSM.get(char) for char in text]
        return None if None in known else [each for each in known if each is not None]
    try:
        return [char.encode(alphabet) for char in text]
    except UnicodeEncodeError:
        return None


def parts(encoded: Encoded) -> list[bytes]:
    """Cut a text into as few parts as possible, never within a character."""
    if len(encoded.whole) <= encoded.single:
        return [encoded.whole]
    found, part = [], b""
    for character in encoded.characters:
        if len(part) + len(character) > encoded.part:
            found.append(part)
            part = b""
        part += character
    return [*found, part]


def decode(raw: bytes, data_coding: int, how: Encoding) -> str | None:
    """Read a text; None when it is binary, in an unknown coding, or not well formed."""
    codecs: dict[int, str] = {
        CODING_DEFAULT: how.alphabet,
        _CODING_ASCII: Alphabet.ASCII,
        _CODING_LATIN1: Alphabet.LATIN1,
        CODING_UCS2: _utf16(how),
        CODING_GBK: Chinese.GBK,
    }
    if data_coding >= _CLASSES:
        codec = None if data_coding & _BINARY else codecs[CODING_DEFAULT]
    else:
        codec = codecs.get(data_coding)
    if codec is None:
        return None
    try:
        text = _gsm7(raw) if codec == Alphabet.GSM7 else raw.decode(codec)
    except UnicodeDecodeError:
        return None
    return None if text is None or "\0" in text else text  # no text has a NUL; no column either


def _utf16(how: Encoding) -> str:
    return "utf-16-le" if how.little_endian else "utf-16-be"


def _gsm7(raw: bytes) -> str | None:
    text, escaped = "", False
    for code in raw:
        if escaped:
            char = _EXTENDED.get(code)
            escaped = False
        elif code == _ESCAPE:
            escaped = True
            continue
        else:
            char = _BASIC[code] if code < len(_BASIC) else None
        if char is None:
            return None
        text += char
    return None if escaped else text


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of which long message this is."""

    reference: int
    total: int
    number: int
    """From 1."""


def write_header(header: Header) -> bytes:
    """Write a user data header for a part, with a reference of one octet."""
    return bytes((5, 0, 3, header.reference & 0xFF, header.total, header.number))


def split_header(content: bytes) -> tuple[Header | None, bytes] | None:
    """Split a user data header from the text; the header is None where it is about other things.

    None alone: the header is broken, and so nothing can be said about the text.
    """
    if not content or len(content) < content[0] + 1:
        return None
    elements, text = content[1 : content[0] + 1], content[content[0] + 1 :]
    header = None
    while elements:
        if len(elements) < 2 or len(elements) < elements[1] + 2:  # noqa: PLR2004 - kind, length
            return None
        kind, value, elements = (
            elements[0],
            elements[2 : elements[1] + 2],
            elements[elements[1] + 2 :],
        )
        if (kind, len(value)) in {(0, 3), (8, 4)}:
            header = Header(
                reference=int.from_bytes(value[:-2]), total=value[-2], number=value[-1]
            )  # fmt: skip
    if header is not None and not 1 <= header.number <= header.total:
        return None
    return header, text
