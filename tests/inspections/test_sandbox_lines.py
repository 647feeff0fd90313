"""The demonstration hotlines, called by SIPp and by our own calling side."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from spms.inspections.outcomes import CallOutcome
from spms.inspections.sandbox_lines import Behaviour, LineKind, SandboxLines
from spms.inspections.sip import CallResult, Trunk, place_call
from spms.inspections.sip_messages import Answer, read

QUICK = 0.05


@pytest.fixture
async def lines() -> AsyncIterator[SandboxLines]:
    async with SandboxLines(seed=7, t1_seconds=QUICK) as started:
        for kind in LineKind:
            started.set(
                f"4000{list(LineKind).index(kind)}", Behaviour(kind=kind, ring_seconds=QUICK)
            )
        yield started


def number_of(kind: LineKind) -> str:
    return f"4000{list(LineKind).index(kind)}"


async def call(lines: SandboxLines, number: str, *, ring_seconds: float = 5.0) -> CallResult:
    trunk = Trunk(
        host="127.0.0.1",
        port=lines.port,
        caller="01010086",
        ring_seconds=ring_seconds,
        t1_seconds=0.1,
        linger_seconds=QUICK,
    )
    at = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
    call_id = secrets.token_hex(8)
    return await place_call(trunk, number, call_id=call_id, clock=lambda: at, hold_seconds=QUICK)


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("calls_and_talks", LineKind.ANSWER),
        ("calls_engaged", LineKind.BUSY),
        ("calls_changed", LineKind.CHANGED),
        ("calls_nobody", LineKind.UNALLOCATED),
        ("calls_congested", LineKind.CONGESTION),
        ("calls_and_gives_up", LineKind.NO_ANSWER),
    ],
)
async def test_sipp_finds_every_line_right(
    sipp: Any, lines: SandboxLines, scenario: str, kind: LineKind
) -> None:
    await sipp.call(scenario, lines.port, number_of(kind))


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (LineKind.ANSWER, CallOutcome.ANSWERED),
        (LineKind.BUSY, CallOutcome.BUSY),
        (LineKind.CHANGED, CallOutcome.NUMBER_CHANGED),
        (LineKind.UNALLOCATED, CallOutcome.UNALLOCATED),
        (LineKind.CONGESTION, CallOutcome.CONGESTION),
    ],
)
async def test_a_test_call_finds_what_the_line_was_told_to_be(
    lines: SandboxLines, kind: LineKind, outcome: CallOutcome
) -> None:
    assert (await call(lines, number_of(kind))).outcome is outcome


async def test_nobody_answers_within_the_patience_of_the_caller(lines: SandboxLines) -> None:
    result = await call(lines, number_of(LineKind.NO_ANSWER), ring_seconds=0.2)
    assert (result.outcome, result.sip_code) == (CallOutcome.NO_ANSWER, 487)


async def test_a_number_without_a_line_is_unallocated(lines: SandboxLines) -> None:
    result = await call(lines, "99999")
    assert (result.outcome, result.q850_cause) == (CallOutcome.UNALLOCATED, 1)


async def test_a_changed_line_tells_its_new_number(lines: SandboxLines) -> None:
    lines.set("40009", Behaviour(kind=LineKind.CHANGED, new_number="4008008009"))
    result = await call(lines, "40009")
    assert result.redirected_to == f"sip:4008008009@127.0.0.1:{lines.port}"


async def test_a_line_can_be_changed_and_taken_away_while_running(lines: SandboxLines) -> None:
    number = number_of(LineKind.ANSWER)
    lines.set(number, Behaviour(kind=LineKind.BUSY))
    assert (await call(lines, number)).outcome is CallOutcome.BUSY
    assert lines.get(number) == lines.table[number] == Behaviour(kind=LineKind.BUSY)
    lines.remove(number)
    assert (await call(lines, number)).outcome is CallOutcome.UNALLOCATED
    assert lines.get(number) is None


async def answered(seed: int) -> int:
    """Call a flaky line thirty times at once; count the answers."""
    async with SandboxLines(seed=seed, t1_seconds=QUICK) as lines:
        lines.set("40005", Behaviour(kind=LineKind.FLAKY, connect_rate=0.7, ring_seconds=0))
        results = await asyncio.gather(*(call(lines, "40005", ring_seconds=1.5) for _ in range(30)))
    outcomes = [result.outcome for result in results]
    assert set(outcomes) == {CallOutcome.ANSWERED, CallOutcome.NO_ANSWER}
    return outcomes.count(CallOutcome.ANSWERED)


async def test_a_flaky_line_connects_as_often_as_its_seed_says() -> None:
    first, again, other = await asyncio.gather(answered(1), answered(1), answered(3))
    assert first == again
    assert 12 <= other <= 29


@pytest.mark.parametrize(
    "wrong",
    [{"connect_rate": 1.1}, {"connect_rate": -0.1}, {"ring_seconds": 61}, {"new_number": "1\r\n2"}],
)
def test_a_behaviour_out_of_range_is_refused_at_the_border(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": "flaky", **wrong}, Behaviour)


class Caller:
    """A calling side that sends exactly what it is told to."""

    def __init__(self, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(("127.0.0.1", port))
        self._port = self._socket.getsockname()[1]

    def send(self, method: str, number: str, *, to_tag: str = "", branch: str = "z9hG4bKa") -> None:
        lines = [
            f"{method} sip:{number}@127.0.0.1 SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self._port};branch={branch};rport",
            "From: <sip:1@127.0.0.1>;tag=caller",
            f"To: <sip:{number}@127.0.0.1>{to_tag and ';tag='}{to_tag}",
            "Call-ID: one@call",
            f"CSeq: 1 {method}",
        ]
        self._socket.send("\r\n".join([*lines, "", ""]).encode())

    async def hear(self) -> Answer:
        async with asyncio.timeout(60):
            message = read(await self._loop.sock_recv(self._socket, 9000))
        assert isinstance(message, Answer)
        return message

    async def hear_until(self, code: int) -> Answer:
        while (message := await self.hear()).code != code:
            pass
        return message

    def throw(self, data: bytes) -> None:
        self._socket.send(data)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
async def caller(lines: SandboxLines) -> AsyncIterator[Caller]:
    one = Caller(lines.port)
    yield one
    one.close()


async def test_an_answer_is_repeated_until_it_is_acknowledged(caller: Caller) -> None:
    number = number_of(LineKind.ANSWER)
    caller.send("INVITE", number)
    first = await caller.hear_until(200)
    assert await caller.hear() == await caller.hear() == first
    caller.send("ACK", number, to_tag=first.to_tag, branch="z9hG4bKb")
    caller.send("BYE", number, to_tag=first.to_tag, branch="z9hG4bKc")
    while (message := await caller.hear()).method != "BYE":
        assert message == first
    assert message.code == 200


async def test_a_refusal_is_repeated_until_it_is_acknowledged(caller: Caller) -> None:
    number = number_of(LineKind.BUSY)
    caller.send("INVITE", number)
    first = await caller.hear_until(486)
    assert await caller.hear() == await caller.hear() == first
    caller.send("ACK", number, to_tag=first.to_tag)
    caller.send("OPTIONS", number, branch="z9hG4bKd")
    while (message := await caller.hear()).method != "OPTIONS":
        assert message == first


async def test_a_repeated_invite_is_the_same_call(caller: Caller) -> None:
    number = number_of(LineKind.NO_ANSWER)
    caller.send("INVITE", number)
    ringing = await caller.hear_until(180)
    caller.send("INVITE", number)
    assert await caller.hear() == ringing
    caller.send("CANCEL", number)
    assert (await caller.hear()).method == "CANCEL"
    ended = await caller.hear_until(487)
    assert ended.to_tag == ringing.to_tag


@pytest.mark.parametrize(
    ("method", "to_tag", "code"),
    [
        ("BYE", "nobody", 481),
        ("CANCEL", "", 481),
        ("INVITE", "nobody", 481),
        ("OPTIONS", "", 200),
        ("SUBSCRIBE", "", 405),
    ],
)
async def test_a_request_without_a_call_is_answered_as_it_should(
    caller: Caller, method: str, to_tag: str, code: int
) -> None:
    caller.send(method, "4000", to_tag=to_tag)
    assert (await caller.hear()).code == code


async def test_rubbish_is_not_answered_and_does_no_harm(
    lines: SandboxLines, caller: Caller
) -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    for data in (
        b"",
        b"\x00",
        b"INVITE",
        b"INVITE sip:1@b SIP/2.0\r\n\r\n",
        b"\r\n\r\n",
        b"x" * 9000,
    ):
        caller.throw(data)
    caller.send("ACK", "40000")
    assert (await call(lines, number_of(LineKind.BUSY))).outcome is CallOutcome.BUSY
    caller.send("OPTIONS", "40000")
    assert (await caller.hear()).method == "OPTIONS"
    assert faults == []


async def test_closing_ends_calls_that_still_ring(lines: SandboxLines, caller: Caller) -> None:
    caller.send("INVITE", number_of(LineKind.NO_ANSWER))
    await caller.hear_until(180)
    before = asyncio.all_tasks()
    await lines.close()
    assert len(asyncio.all_tasks()) < len(before)
    with pytest.raises(RuntimeError, match="not started"):
        _ = lines.port
