"""The audio port of one call: RTP from the trunk is measured, a packet now and then opens the path.

Many gateways send only to where they have heard something from (symmetric RTP, RFC 4961), so we
speak silence, seldom, and only to hosts the operator trusts: what the far end's session
description says cannot make this system send a packet to a place of its choice.
"""

import asyncio
import ipaddress
import re
import secrets
import struct
from typing import Final

from spms.inspections.sound import PCMA, Ear, Media

SPEAK_SECONDS: Final = 0.5
SAMPLES: Final = 160
SILENCE: Final = b"\xd5" * SAMPLES
"""20 ms of A-law silence."""

_CONNECTION = re.compile(rb"^c=IN IP[46] ([0-9A-Fa-f.:]{2,45})\r?$", re.MULTILINE)
_AUDIO = re.compile(rb"^m=audio ([0-9]{1,5}) ", re.MULTILINE)


def audio_address(body: bytes) -> tuple[str, int] | None:
    """Return where a session description says that audio goes to; None when it does not."""
    media = _AUDIO.search(body)
    if media is None:
        return None
    own = _CONNECTION.search(body, media.end()) or _CONNECTION.search(body)
    port = int(media[1])
    if own is None or not 0 < port < 1 << 16:
        return None
    try:
        return str(ipaddress.ip_address(own[1].decode())), port
    except ValueError:
        return None


class AudioPort(asyncio.DatagramProtocol):
    """Takes in what arrives at the offered port; keeps figures, no sound."""

    def __init__(self, trusted: frozenset[str]) -> None:
        """Trust these addresses besides the one the trunk's signalling comes from."""
        self._trusted = trusted
        self._early, self._after = Ear(), Ear()
        self._answered = False
        self._foreign = 0
        self._speaking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket, to speak on."""
        # On Python 3.11 the loop's datagram transport is no DatagramTransport by class.
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        """Measure one datagram."""
        ear = self._after if self._answered else self._early
        if str(addr[0]) not in self._trusted or not ear.hear(data):
            self._foreign += 1

    def trust(self, host: str) -> None:
        """Trust one more address: the one that the trunk's name led to."""
        self._trusted |= {host}

    def answered(self, body: bytes) -> None:
        """From now on it is the answer that is heard; open the path to where its audio comes from."""
        if self._answered:
            return
        self._answered = True
        there = audio_address(body)
        if there is not None and there[0] in self._trusted:
            self._speaking = asyncio.create_task(self._speak(there))

    async def _speak(self, there: tuple[str, int]) -> None:
        stream, sequence = secrets.randbits(32), secrets.randbits(15)
        while True:
            for _ in range(2):  # one may get lost
                header = struct.pack("!BBHII", 0x80, PCMA, sequence, SAMPLES * sequence, stream)
                self._transport.sendto(header + SILENCE, there)
                sequence = (sequence + 1) & 0xFFFF
            await asyncio.sleep(SPEAK_SECONDS)

    def close(self) -> None:
        """Fall silent; the socket is its opener's."""
        if self._speaking is not None:
            self._speaking.cancel()

    @property
    def packets(self) -> int:
        """How many RTP packets came."""
        return self._early.packets + self._after.packets

    def told(self) -> Media:
        """Return what was heard."""
        return Media(
            early=self._early.told(), answered=self._after.told(), tones=self._after.tones,
            foreign=self._foreign,
        )  # fmt: skip
