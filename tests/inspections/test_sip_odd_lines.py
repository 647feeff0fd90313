"""The calling side against lines that behave as no SIPp scenario would."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from spms.inspections.outcomes import CallOutcome
from spms.inspections.sip import CallResult
from spms.inspections.sip_messages import Ask, write_response
from tests.inspections.peers import SDP, Peer, call, peer, polite, trunk

REASON_CHANGED = ("Reason", "Q.850;cause=22")


# Lost, repeated and foreign datagrams.


async def test_an_unanswered_invite_is_repeated_word_for_word() -> None:
    async with peer(lambda *_: None) as silent:
        result = await call(trunk(silent.port, t1_seconds=0.02))
    assert result.outcome is CallOutcome.OWN_FAILURE
    assert set(silent.methods()) == {"INVITE"}
    assert 3 <= len(silent.raw) <= 7  # at 0, 1, 3, 7, 15, 31 and 63 T1 (timer A), if on time
    assert len(set(silent.raw)) == 1


async def test_no_trunk_and_no_socket_are_our_own_failure() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    refused = await call(trunk(port))
    assert refused.outcome is CallOutcome.OWN_FAILURE
    assert any("ConnectionRefused" in line for line in refused.trace)
    nowhere = await call(trunk(port, local_host="192.0.2.1"))
    assert (nowhere.outcome, nowhere.trace) == (CallOutcome.OWN_FAILURE, ())


async def test_a_repeated_answer_is_acknowledged_again_with_the_same_ack() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            for _ in range(3):
                line.say(ask, "200 OK", body=SDP)
        polite(line, ask)

    async with peer(react) as line:
        result = await call(trunk(line.port))
    assert result.outcome is CallOutcome.ANSWERED
    assert line.methods() == ["INVITE", "ACK", "ACK", "ACK", "BYE"]
    invite, *acks, bye = line.heard
    assert len(set(line.raw[1:4])) == 1
    assert len({invite.branch, acks[0].branch, bye.branch}) == 3
    assert (acks[0].sequence, bye.sequence) == (1, 2)


async def test_a_repeated_refusal_is_acknowledged_again_on_the_branch_of_the_invite() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            for _ in range(3):
                line.say(ask, "486 Busy Here")

    async with peer(react) as line:
        result = await call(trunk(line.port))
    assert result.outcome is CallOutcome.BUSY
    assert line.methods() == ["INVITE", "ACK", "ACK", "ACK"]
    assert {ask.branch for ask in line.heard} == {line.heard[0].branch}


async def test_every_leg_of_a_fork_is_acknowledged_and_hung_up() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            for tag in ("desk", "hall", "attic"):
                line.say(ask, "200 OK", tag=tag, body=SDP)
        polite(line, ask)

    async with peer(react) as line:
        result = await call(trunk(line.port))
    assert result.outcome is CallOutcome.ANSWERED
    for method in ("ACK", "BYE"):
        tags = sorted(ask.to_tag for ask in line.heard if ask.method == method)
        assert tags == ["attic", "desk", "hall"]


async def test_an_answer_after_we_gave_up_is_hung_up_and_changes_nothing() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if len(line.heard) == 1:  # given up after 64 T1, a third of a second
            asyncio.get_running_loop().call_later(1.0, line.say, ask, "200 OK")
        polite(line, ask)

    async with peer(react) as line:
        result = await call(trunk(line.port, t1_seconds=0.005, linger_seconds=1.5))
    assert (result.outcome, result.answered_at) == (CallOutcome.OWN_FAILURE, None)
    said = [method for method in line.methods() if method != "INVITE"]
    assert said[:2] == ["ACK", "BYE"]
    assert set(said[2:]) <= {"BYE"}  # again, if its answer is not here within 5 ms


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b"Call-ID: 4f2a@probe", b"Call-ID: 4f2b@probe"),
        (b";tag=", b";tag=x"),  # the first is ours, in From
        (b"branch=z9hG4bK", b"branch=z9hG4bKx"),
        (b"CSeq: 1 INVITE", b"CSeq: 2 INVITE"),
        (b"CSeq: 1 INVITE", b"CSeq: 1 OPTIONS"),
        (b"\r\nFrom:", b"\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKother\r\nFrom:"),
    ],
)
async def test_an_answer_to_something_else_is_dropped(there: bytes, instead: bytes) -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            right = write_response(ask, "200 OK", tag="line", body=SDP)
            assert there in right
            line.transport.sendto(right.replace(there, instead, 1), line.source)
            line.say(ask, "486 Busy Here")

    async with peer(react) as line:
        result = await call(trunk(line.port))
    assert result.outcome is CallOutcome.BUSY
    assert line.methods() == ["INVITE", "ACK"]


async def spoofed_call() -> CallResult:
    """Place a call into which a stranger on another port speaks first."""

    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("127.0.0.1", 0))
                forged = write_response(ask, "200 OK", tag="stranger", body=SDP)
                stranger.sendto(forged, line.source)
            asyncio.get_running_loop().call_later(0.1, line.say, ask, "486 Busy Here")

    async with peer(react) as line:
        return await call(trunk(line.port, t1_seconds=0.5))


def test_what_a_stranger_sends_is_not_heard_on_either_event_loop() -> None:
    for run in (asyncio.run, uvloop.run):
        result = run(spoofed_call())
        assert result.outcome is CallOutcome.BUSY
        assert not any("200" in line for line in result.trace)


# Ringing, announcements, hanging up.


async def test_only_trying_is_not_the_lines_fault_and_is_cancelled() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.say(ask, "100 Trying", tag="")
        if ask.method == "CANCEL":
            line.say(ask, "200 OK")
            line.say(line.heard[0], "487 Request Terminated")

    async with peer(react) as line:
        result = await call(trunk(line.port, setup_seconds=0.1))
    assert (result.outcome, result.ring_seconds) == (CallOutcome.OWN_FAILURE, None)
    assert line.methods() == ["INVITE", "CANCEL", "ACK"]
    assert line.heard[1].branch == line.heard[0].branch


@pytest.mark.parametrize(
    ("progress", "headers", "outcome"),
    [
        ("183 Session Progress", (), CallOutcome.UNCLEAR),
        ("183 Session Progress", (REASON_CHANGED,), CallOutcome.NUMBER_CHANGED),
        ("180 Ringing", (), CallOutcome.NO_ANSWER),
        ("182 Queued", (), CallOutcome.NO_ANSWER),
    ],
)
async def test_what_is_heard_up_to_the_ring_limit_decides(
    progress: str, headers: tuple[tuple[str, str], ...], outcome: CallOutcome
) -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.say(ask, progress, headers=headers, body=SDP)
        if ask.method == "CANCEL":
            line.say(ask, "200 OK")
            line.say(line.heard[0], "487 Request Terminated")

    async with peer(react) as line:
        result = await call(trunk(line.port, ring_seconds=0.1))
    assert result.outcome is outcome


async def test_a_refusal_that_crosses_the_cancel_is_the_lines_own_word() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.say(ask, "180 Ringing")
        if ask.method == "CANCEL":
            line.say(line.heard[0], "486 Busy Here")

    async with peer(react) as line:
        result = await call(trunk(line.port, ring_seconds=0.1))
    assert (result.outcome, result.sip_code) == (CallOutcome.BUSY, 486)


async def test_a_line_that_hangs_up_at_once_is_answered_and_noted() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.say(ask, "200 OK", body=SDP)
        if ask.method == "ACK":
            invite = line.heard[0]
            for sequence, method in enumerate(("INVITE", "OPTIONS", "BYE"), 1):
                lines = [
                    f"{method} sip:x@127.0.0.1 SIP/2.0",
                    f"Via: SIP/2.0/UDP 127.0.0.1:{line.port};branch=z9hG4bK{sequence}",
                    f"From: {ask.to}",
                    f"To: {invite.caller}",
                    f"Call-ID: {ask.call_id}",
                    f"CSeq: {sequence} {method}",
                ]
                line.transport.sendto("\r\n".join([*lines, "", ""]).encode(), line.source)

    async with peer(react) as line:
        result = await call(trunk(line.port), hold_seconds=30)
    assert result.outcome is CallOutcome.ANSWERED
    assert result.hung_up_by_line
    assert line.methods() == ["INVITE", "ACK"]  # nobody hangs up on who has hung up
    ours = [line.split(" > ")[1] for line in result.trace if " > " in line]
    assert ours == [
        "INVITE",
        "ACK",
        "488 Not Acceptable Here",
        "405 Method Not Allowed",
        "200 OK",
    ]


# Cancelling the task.


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not fact():  # noqa: ASYNC110 - the peer knows nothing of events
            await asyncio.sleep(0.01)


async def cancelled(line: Peer, when: Callable[[], bool], **changes: float) -> None:
    task = asyncio.create_task(call(trunk(line.port, **changes), hold_seconds=30))
    await until(when)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_task_cancels_a_ringing_call() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.say(ask, "180 Ringing")
        if ask.method == "CANCEL":
            line.say(ask, "200 OK")
            line.say(line.heard[0], "487 Request Terminated")

    async with peer(react) as line:
        await cancelled(line, lambda: bool(line.heard))
        await until(lambda: line.methods() == ["INVITE", "CANCEL", "ACK"])


async def test_a_cancelled_task_hangs_up_an_answered_call() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.say(ask, "200 OK", body=SDP)
        polite(line, ask)

    async with peer(react) as line:
        await cancelled(line, lambda: "ACK" in line.methods())
        assert line.methods() == ["INVITE", "ACK", "BYE"]


async def test_nothing_is_cancelled_before_somebody_took_the_call() -> None:
    async with peer(lambda *_: None) as line:
        await cancelled(line, lambda: bool(line.heard), t1_seconds=0.05)
        assert set(line.methods()) == {"INVITE"}
