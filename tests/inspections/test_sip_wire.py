"""SIP over a stream, proof asked for late, sound, and the torture messages of RFC 4475."""

import asyncio
import random
import socket
import struct
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest

from spms.inspections.outcomes import CallOutcome
from spms.inspections.sip_audio import SILENCE, audio_address
from spms.inspections.sip_digest import Credentials
from spms.inspections.sip_messages import Ask, Malformed, audio_offer, read, write_response
from spms.inspections.sip_wire import Cutter
from spms.inspections.sound import Ear, Sound
from tests.inspections.peers import SDP, Peer, call, peer, polite, trunk
from tests.inspections.torture import MESSAGES

WHO = Credentials(username="probe", password="secret")


@pytest.mark.parametrize(
    ("scenario", "outcome", "code"),
    [
        ("answered", CallOutcome.ANSWERED, 200),
        ("busy", CallOutcome.BUSY, 486),
        ("rings_on", CallOutcome.NO_ANSWER, 487),
        ("congested", CallOutcome.CONGESTION, 503),
        ("digest", CallOutcome.ANSWERED, 200),
    ],
)
async def test_sipp_hears_the_same_call_over_tcp(
    sipp: Any, scenario: str, outcome: CallOutcome, code: int
) -> None:
    port = await sipp.answer(scenario, "-t", "t1")
    line = trunk(port, transport="tcp", ring_seconds=0.3, t1_seconds=0.5, credentials=WHO)
    result = await call(line)
    assert (result.outcome, result.sip_code) == (outcome, code)
    sent = [words.split(" > ")[1] for words in result.trace if " > " in words]
    assert len([each for each in sent if each == "INVITE"]) == 1 + (scenario == "digest")
    await sipp.judged_right()


async def test_a_trunk_that_takes_no_stream_or_drops_it_is_our_own_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    result = await call(trunk(port, transport="tcp"))
    assert result.outcome is CallOutcome.OWN_FAILURE

    async def drop(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(drop, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        result = await call(trunk(port, transport="tcp"))
    assert result.outcome is CallOutcome.OWN_FAILURE


def test_a_stream_is_cut_where_the_messages_end_however_it_arrives() -> None:
    one = b"SIP/2.0 180 Ringing\r\nContent-Length: 0\r\n\r\n"
    two = b"SIP/2.0 200 OK\r\nl : 5\r\n\r\n\r\n\r\nx"
    stream = one + b"\r\n\r\n" + two + b"\r\n" + one
    for size in (1, 3, 7, len(stream)):
        cutter = Cutter()
        found = [
            message
            for n in range(0, len(stream), size)
            for message in cutter.cut(stream[n : n + size])
        ]
        assert found == [one, two, one]
        assert not cutter.lost


@pytest.mark.parametrize(
    "stream",
    [
        b"SIP/2.0 200 OK\r\n\r\n",
        b"SIP/2.0 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"SIP/2.0 200 OK\r\nContent-Length: 999999\r\n\r\n",
        b"x" * 20_000,
    ],
)
def test_a_stream_that_cannot_be_cut_is_given_up(stream: bytes) -> None:
    cutter = Cutter()
    assert cutter.cut(stream) == []
    assert cutter.lost
    assert cutter.cut(b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n") == []


CHALLENGE = 'Digest realm="trunk", nonce="{}", qop="auth"{}'


async def test_a_stale_nonce_is_answered_once_more_and_a_third_challenge_is_not() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            stale = ", stale=true" if ask.sequence > 1 else ""
            challenge = CHALLENGE.format(f"n{ask.sequence}", stale)
            line.say(ask, "407 Proxy", headers=[("Proxy-Authenticate", challenge)])

    async with peer(react) as line:
        result = await call(trunk(line.port, credentials=WHO))
    assert result.outcome is CallOutcome.OWN_FAILURE
    invites = [ask.sequence for ask in line.heard if ask.method == "INVITE"]
    assert sorted(set(invites)) == [1, 2, 3]


async def test_a_bye_that_is_challenged_is_said_again_with_proof() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.say(ask, "200 OK", body=SDP)
        if ask.method == "BYE":
            if b"Proxy-Authorization" in line.raw[-1]:
                line.say(ask, "200 OK")
            else:
                challenge = CHALLENGE.format("bye", "")
                line.say(ask, "407 Proxy", headers=[("Proxy-Authenticate", challenge)])

    async with peer(react) as line:
        result = await call(trunk(line.port, credentials=WHO))
    assert result.outcome is CallOutcome.ANSWERED
    byes = [ask for ask in line.heard if ask.method == "BYE"]
    assert len(byes) == 2
    assert byes[0].branch != byes[1].branch
    assert byes[1].sequence == byes[0].sequence + 1


async def test_a_reliable_provisional_is_heard_as_a_plain_one() -> None:
    """We never say that we support 100rel; whoever sends it all the same is not answered."""

    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.say(ask, "180 Ringing", headers=[("Require", "100rel"), ("RSeq", "1")])
            asyncio.get_running_loop().call_later(0.05, line.say, ask, "486 Busy Here")

    async with peer(react) as line:
        result = await call(trunk(line.port))
    assert result.outcome is CallOutcome.BUSY
    assert result.ring_seconds is not None
    assert "PRACK" not in line.methods()
    assert b"100rel" not in line.raw[0]


# Sound.


def rtp(sequence: int, body: bytes, *, kind: int = 8, stamp: int = 0, stream: int = 7) -> bytes:
    return struct.pack("!BBHII", 0x80, kind, sequence & 0xFFFF, stamp, stream) + body


def test_sound_is_told_from_silence_and_from_nothing() -> None:
    speech, quiet, nobody = Ear(), Ear(), Ear()
    dice = random.Random(1)
    for n in range(20):
        assert speech.hear(rtp(65_530 + n, bytes(dice.randrange(0x20, 0x40) for _ in range(160))))
        assert quiet.hear(rtp(n, SILENCE))
    assert not nobody.hear(b"no RTP at all")
    assert not nobody.hear(b"\x00" * 40)
    assert speech.told().sound is Sound.SOUND
    assert (speech.told().packets, speech.told().missing) == (20, 0)
    assert quiet.told().sound is Sound.SILENCE
    assert (quiet.told().level_dbm0 or 0) < -60
    assert nobody.told().sound is Sound.NOTHING


def test_lost_packets_are_counted_and_tones_read_once() -> None:
    ear = Ear()
    for n in (0, 1, 4, 5, 3, 9):
        ear.hear(rtp(n, SILENCE))
    assert ear.told().missing == 4  # 2, 6, 7 and 8
    for stamp, digit in ((100, 1), (200, 1), (300, 11)):
        for n in range(3):  # a tone's end is sent three times
            ear.hear(rtp(10 + n, bytes([digit, 0x80, 1, 0x40]), kind=101, stamp=stamp))
    assert ear.tones == "11#"


def test_a_full_scale_sine_has_the_level_that_g711_gives_it() -> None:
    ear = Ear()
    loudest = 0x2A ^ 0x80  # 127 A-law steps: a square wave, 3 dB over the sine
    for n in range(10):
        ear.hear(rtp(n, bytes([loudest]) * 160))
    assert ear.told().level_dbm0 == pytest.approx(6.15, abs=0.2)


@pytest.mark.parametrize(
    ("body", "address"),
    [
        (audio_offer("192.0.2.1", 4000), ("192.0.2.1", 4000)),
        (audio_offer("2001:db8::1", 4000), ("2001:db8::1", 4000)),
        (b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 0 RTP/AVP 8\r\n", None),
        (b"v=0\r\nm=audio 9 RTP/AVP 8\r\nc=IN IP4 192.0.2.2\r\n", ("192.0.2.2", 9)),
        (b"v=0\r\nc=IN IP4 999.0.2.1\r\nm=audio 9 RTP/AVP 8\r\n", None),
        (b"v=0\r\nm=audio 9 RTP/AVP 8\r\n", None),
        (b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 99999 RTP/AVP 8\r\n", None),
        (b"", None),
    ],
)
def test_where_audio_goes_is_read_from_the_session_description(
    body: bytes, address: tuple[str, int] | None
) -> None:
    assert audio_address(body) == address


class Voice(asyncio.DatagramProtocol):
    """The far end's audio socket: notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002
        self.heard.append(data)


@asynccontextmanager
async def voice(host: str = "127.0.0.1") -> Any:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Voice, local_addr=(host, 0))
    yield protocol, transport.get_extra_info("sockname")[1]
    transport.close()


def port_of(offer: bytes) -> int:
    found = audio_address(offer)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("trusted", [True, False])
async def test_ring_back_and_answer_are_heard_apart_and_only_trusted_hosts_are_spoken_to(
    *, trusted: bool
) -> None:
    there = "127.0.0.1" if trusted else "127.0.0.2"
    async with voice(there) as (far, far_port):
        sdp = audio_offer(there, far_port)

        def play(line: Peer, first: int, count: int, body: bytes) -> None:
            port = port_of(line.raw[0])
            for n in range(count):
                far.transport.sendto(rtp(first + n, body), ("127.0.0.1", port))

        def react(line: Peer, ask: Ask) -> None:
            loop = asyncio.get_running_loop()
            if ask.method == "INVITE":
                line.say(ask, "180 Ringing")
                play(line, 0, 6, bytes(range(0x20, 0x40)) * 5)
                loop.call_later(0.4, lambda: line.say(ask, "200 OK", body=sdp))
                loop.call_later(0.8, lambda: play(line, 100, 8, SILENCE))
            polite(line, ask)

        async with peer(react) as line:
            result = await call(trunk(line.port), hold_seconds=1.2)
    assert result.media is not None
    if trusted:
        assert result.media.early.sound is Sound.SOUND
        assert (result.media.early.packets, result.media.answered.packets) == (6, 8)
        assert result.media.answered.sound is Sound.SILENCE
        assert far.heard, "a packet opens the path"
    else:
        assert (result.media.early.sound, result.media.foreign) == (Sound.NOTHING, 14)
        assert far.heard == []
    assert msgspec.json.decode(msgspec.json.encode(result.media), type=type(result.media))


# RFC 4475.


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_torture_message_is_read_or_malformed_and_nothing_else(name: str) -> None:
    with suppress(Malformed):
        read(MESSAGES[name])


async def test_torture_messages_in_place_of_answers_never_count_against_the_sp() -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))

    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.say(ask, "180 Ringing")
            for message in MESSAGES.values():
                line.transport.sendto(message, line.source)
        if ask.method == "CANCEL":
            line.say(ask, "200 OK")
            line.say(line.heard[0], "487 Request Terminated")

    async with peer(react) as line:
        result = await call(trunk(line.port, ring_seconds=0.2))
    assert result.outcome is CallOutcome.PROTOCOL_ERROR
    assert faults == []


async def test_answers_tortured_by_headers_of_their_own_still_end_the_call() -> None:
    """The valid oddities of RFC 4475 (3.1.1.1), put into an answer to our INVITE."""

    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            odd = write_response(
                ask, "486 Busy Here", tag="line", headers=[("Reason", "Q.850;cause=17")]
            )
            odd = odd.replace(b"Call-ID:", b"i  :").replace(b"\r\nReason: ", b"\r\nREASON : \r\n  ")
            odd = odd.replace(b"Content-Length: 0", b"NewFangledHeader: x\r\n y;z\r\nl: 0000")
            line.transport.sendto(odd, line.source)

    async with peer(react) as line:
        result = await call(trunk(line.port))
    assert (result.outcome, result.q850_cause) == (CallOutcome.BUSY, 17)
