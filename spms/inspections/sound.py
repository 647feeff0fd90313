"""What is heard on a call: RTP measured, never kept (RFC 3550, 3551, 4733). No sockets.

A packet is looked at and forgotten: how many came, how many are missing, how loud it was, and the
touch tones in it. What was said is nobody's business here.
"""

import math
import struct
from enum import StrEnum
from typing import Final

import msgspec

RTP_HEADER: Final = 12
RTP_VERSION: Final = 2
PCMU, PCMA, TELEPHONE_EVENT = 0, 8, 101
TONES: Final = "0123456789*#ABCD"
SILENCE_DBM0: Final = -50.0
"""Below this mean level a stream counts as silence; speech lies around −20 dBm0 (ITU-T G.168)."""
FULL_SCALE_DBM0: Final = 3.14
"""Level of a sine at the full scale of A-law (ITU-T G.711)."""
ENOUGH_PACKETS: Final = 5
MAX_TONES: Final = 32
_FORWARD: Final = 0x8000
"""A sequence number less than this ahead (modulo 2^16) is a later packet (RFC 3550, A.1)."""


class Sound(StrEnum):
    """What came over a stretch of a call."""

    SOUND = "sound"
    SILENCE = "silence"
    NOTHING = "nothing"


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one stretch of a call."""

    sound: Sound
    packets: int
    missing: int
    """Packets that did not come, by their sequence numbers."""
    level_dbm0: float | None
    """Mean level of the G.711 audio that came; null when there was none."""


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """What was heard on a call, before the answer (ring-back, announcements) and after it."""

    early: Heard
    answered: Heard
    tones: str
    """Touch tones (DTMF) sent as events after the answer, in order."""
    foreign: int
    """Datagrams that were no RTP, or not from where the trunk said they would come."""


class Ear:
    """Measures one stretch of a call."""

    def __init__(self) -> None:
        self.packets = 0
        self.tones = ""
        self._stream: int | None = None
        self._first = self._last = 0
        self._distinct = 0
        self._power = 0.0
        self._samples = 0
        self._event: int | None = None

    def hear(self, data: bytes) -> bool:
        """Take in one datagram; False when it is no RTP packet."""
        if len(data) < RTP_HEADER or data[0] >> 6 != RTP_VERSION:
            return False
        kind, sequence, stamp, stream = data[1] & 0x7F, *struct.unpack("!HII", data[2:12])
        start = RTP_HEADER + 4 * (data[0] & 0x0F)
        if data[0] & 0x10 and len(data) >= start + 4:  # an extension, skipped
            start += 4 + 4 * struct.unpack("!H", data[start + 2 : start + 4])[0]
        if len(data) < start:
            return False
        self.packets += 1
        self._count(stream, sequence)
        body = data[start:]
        if kind in {PCMU, PCMA}:
            table = _POWER[kind]
            self._power += sum(table[byte] for byte in body)
            self._samples += len(body)
        elif kind == TELEPHONE_EVENT and len(body) >= 4:  # noqa: PLR2004 - RFC 4733, 2.3
            self._tone(stamp, body[0])
        return True

    def _count(self, stream: int, sequence: int) -> None:
        if self._stream != stream:
            self._stream, self._first, self._last = stream, sequence, sequence
            self._distinct = 1
            return
        ahead = (sequence - self._last) & 0xFFFF
        if 0 < ahead < _FORWARD:
            self._last += ahead
        self._distinct += ahead != 0

    def _tone(self, stamp: int, event: int) -> None:
        """Note an event once: its packets, repeated at the end, share a time stamp."""
        if stamp != self._event and event < len(TONES) and len(self.tones) < MAX_TONES:
            self.tones += TONES[event]
        self._event = stamp

    def told(self) -> Heard:
        """Return the figures so far."""
        level = None
        if self._samples:
            mean = self._power / self._samples
            level = 10 * math.log10(2 * mean) + FULL_SCALE_DBM0 if mean > 0 else -99.0
            level = round(max(level, -99.0), 1)
        sound = Sound.NOTHING
        if self.packets >= ENOUGH_PACKETS:
            sound = Sound.SOUND if level is None or level > SILENCE_DBM0 else Sound.SILENCE
        expected = self._last - self._first + 1 if self._stream is not None else 0
        return Heard(
            sound=sound, packets=self.packets, missing=max(0, expected - self._distinct),
            level_dbm0=level,
        )  # fmt: skip


def _mu_law(byte: int) -> float:
    """Return the power of one µ-law sample, 1 at full scale (G.711)."""
    value = ~byte & 0xFF
    magnitude = (((value & 0x0F) << 3) + 0x84 << (value >> 4 & 0x07)) - 0x84
    return float((magnitude / 32_124) ** 2)


def _a_law(byte: int) -> float:
    """Return the power of one A-law sample, 1 at full scale (G.711)."""
    value = byte ^ 0x55
    exponent, magnitude = value >> 4 & 0x07, (value & 0x0F) << 4
    magnitude = magnitude + 8 if exponent == 0 else magnitude + 0x108 << exponent - 1
    return float((magnitude / 32_256) ** 2)


_POWER: Final = {
    PCMU: [_mu_law(byte) for byte in range(256)],
    PCMA: [_a_law(byte) for byte in range(256)],
}
