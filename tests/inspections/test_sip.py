"""The calling side against SIPp, and what it sends and keeps."""

from datetime import timedelta
from typing import Any

import pytest
import uvloop

from spms.inspections.outcomes import CallOutcome
from spms.inspections.sandbox_lines import Behaviour, SandboxLines
from spms.inspections.sip import CallResult, Trunk, place_call
from spms.inspections.sip_digest import Credentials
from spms.inspections.sip_messages import Ask
from tests.inspections.peers import NUMBER, SDP, START, Peer, call, peer, polite, ticking, trunk


@pytest.mark.parametrize(
    ("scenario", "outcome", "code", "cause"),
    [
        ("answered", CallOutcome.ANSWERED, 200, None),
        ("busy", CallOutcome.BUSY, 486, 17),
        ("changed", CallOutcome.NUMBER_CHANGED, 410, 22),
        ("unallocated", CallOutcome.UNALLOCATED, 404, 1),
        ("declined", CallOutcome.REJECTED, 603, None),
        ("forbidden", CallOutcome.OWN_FAILURE, 403, None),
        ("congested", CallOutcome.CONGESTION, 503, 34),
        ("routed", CallOutcome.ANSWERED, 200, None),
        ("digest_unknown", CallOutcome.OWN_FAILURE, 401, None),
    ],
)
async def test_sipp_sees_a_right_call_and_we_a_right_outcome(
    sipp: Any, scenario: str, outcome: CallOutcome, code: int, cause: int | None
) -> None:
    port = await sipp.answer(scenario)
    result = await call(trunk(port))
    found = (result.outcome, result.sip_code, result.q850_cause)
    assert found == (outcome, code, cause), result.trace
    assert (result.answered_at is not None) == (outcome is CallOutcome.ANSWERED)
    await sipp.judged_right()


async def test_ringing_on_is_cancelled_at_the_limit(sipp: Any) -> None:
    port = await sipp.answer("rings_on")
    result = await call(trunk(port, ring_seconds=0.2))
    assert (result.outcome, result.sip_code) == (CallOutcome.NO_ANSWER, 487)
    assert result.ring_seconds is not None
    assert result.answered_at is None
    await sipp.judged_right()


async def test_an_answer_that_crosses_the_cancel_is_hung_up_and_too_late(sipp: Any) -> None:
    port = await sipp.answer("answers_too_late")
    result = await call(trunk(port, ring_seconds=0.2))
    assert (result.outcome, result.sip_code) == (CallOutcome.NO_ANSWER, 200)
    assert result.answered_at is not None
    await sipp.judged_right()


async def test_a_redirection_is_recorded_and_not_followed(sipp: Any) -> None:
    port = await sipp.answer("redirected")
    result = await call(trunk(port))
    assert result.outcome is CallOutcome.UNCLEAR
    assert result.redirected_to == "sip:02112345@192.0.2.7"
    assert sum("> INVITE" in line for line in result.trace) == 1
    await sipp.judged_right()


async def test_a_silent_trunk_is_our_own_failure(sipp: Any) -> None:
    port = await sipp.answer("silent")
    result = await call(trunk(port, t1_seconds=0.01))
    assert (result.outcome, result.sip_code) == (CallOutcome.OWN_FAILURE, None)
    await sipp.judged_right()


async def test_sipp_finds_our_credentials_right(sipp: Any) -> None:
    who = Credentials(username="probe", password="secret")
    port = await sipp.answer("digest")
    result = await call(trunk(port, credentials=who))
    assert result.outcome is CallOutcome.ANSWERED
    await sipp.judged_right()


async def test_sipp_finds_a_wrong_password_wrong(sipp: Any) -> None:
    who = Credentials(username="probe", password="guessed")
    port = await sipp.answer("digest")
    result = await call(trunk(port, credentials=who))
    assert (result.outcome, result.sip_code) == (CallOutcome.OWN_FAILURE, 403)
    await sipp.judged_right()


async def test_credentials_are_shown_once_not_in_a_loop(sipp: Any) -> None:
    who = Credentials(username="probe", password="secret")
    port = await sipp.answer("digest_refused")
    result = await call(trunk(port, credentials=who))
    assert (result.outcome, result.sip_code) == (CallOutcome.OWN_FAILURE, 407)
    await sipp.judged_right()


async def test_the_messages_do_not_tell_that_the_call_is_a_test() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.say(ask, "486 Busy Here")

    async with peer(react) as line:
        await call(trunk(line.port))
    text = line.raw[0].decode().lower()
    assert "user-agent" not in text
    assert "spms" not in text
    assert "inspection" not in text


async def test_times_are_those_of_the_clock_given() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.say(ask, "200 OK", body=SDP)
        polite(line, ask)

    async with peer(react) as line:
        result = await call(trunk(line.port))
    assert result.started_at == START
    assert result.answered_at == START + timedelta(seconds=1)
    assert result.ended_at == START + timedelta(seconds=2)


@pytest.mark.parametrize("number", ["", "86 10", "１０１", "10\r\nVia: x", "sip:a@b", "1" * 21])
async def test_a_called_number_that_is_none_is_refused_and_not_repeated(number: str) -> None:
    with pytest.raises(ValueError, match="a number is digits") as refusal:
        await place_call(trunk(5060), number, call_id="a", clock=ticking())
    assert not number or number not in str(refusal.value)


@pytest.mark.parametrize("wrong", [{"caller": "10086>"}, {"host": "a b"}, {"host": "a>\r\n"}])
def test_a_trunk_that_would_break_the_message_is_refused(wrong: dict[str, str]) -> None:
    given = {"host": "127.0.0.1", "caller": "10086", **wrong}
    with pytest.raises(ValueError, match="of a trunk must be"):
        Trunk(host=given["host"], caller=given["caller"])


async def uvloop_call() -> CallResult:
    async with SandboxLines(t1_seconds=0.05) as lines:
        lines.set(NUMBER, Behaviour(ring_seconds=0.05))
        return await call(trunk(lines.port))


def test_a_call_runs_on_uvloop_from_end_to_end() -> None:
    result = uvloop.run(uvloop_call())
    assert result.outcome is CallOutcome.ANSWERED
    assert [line.split(" ms ")[1] for line in result.trace] == [
        "> INVITE",
        "< 100 Trying (INVITE)",
        "< 180 Ringing (INVITE)",
        "< 200 OK (INVITE)",
        "> ACK",
        "> BYE",
        "< 200 OK (BYE)",
    ]
