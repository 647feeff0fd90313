"""The calling side against answers that are no SIP, or hardly."""

import asyncio
import random
from typing import Any

import pytest

from spms.inspections.outcomes import CallOutcome
from spms.inspections.sip import CallResult
from spms.inspections.sip_digest import Credentials
from spms.inspections.sip_messages import Ask, write_response
from tests.inspections.peers import SDP, Peer, call, peer, trunk


async def test_an_answer_that_is_not_sip_is_a_protocol_error_not_a_fault_of_the_sp() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.say(ask, "180 Ringing")
            torn = write_response(ask, "200 OK", tag="line", body=SDP)[:-20]
            line.transport.sendto(torn, line.source)
        if ask.method == "CANCEL":
            line.say(ask, "200 OK")
            line.say(line.heard[0], "487 Request Terminated")

    async with peer(react) as line:
        result = await call(trunk(line.port, ring_seconds=0.1))
    assert result.outcome is CallOutcome.PROTOCOL_ERROR


def mutated(dice: random.Random, data: bytes) -> bytes:
    """Spoil a good message in one of many ways."""
    lines = data.split(b"\r\n")
    where, other = dice.randrange(len(data)), dice.randrange(len(data))
    line = dice.randrange(len(lines))
    match dice.randrange(9):
        case 0:
            return dice.randbytes(dice.randrange(1, 200))
        case 1:
            return data[:where]
        case 2:
            return data[: min(where, other)] + data[max(where, other) :]
        case 3:
            return data[:where] + dice.randbytes(dice.randrange(1, 8)) + data[where:]
        case 4:
            lines.insert(line, dice.choice(lines))
        case 5:
            lines[line] += dice.choice(
                [
                    b";self=1",
                    b'"',
                    b"<",
                    b",",
                    b"\xff\xfe",
                    b"\x00",
                    b"9" * 5000,
                    b"; ;",
                    b"=",
                    b"%",
                ]
            )
        case 6:
            dice.shuffle(lines)
        case 7:
            lines[line] = lines[line].replace(b":", b" ", 1)
        case _:
            changed = bytearray(data)
            for _ in range(dice.randrange(1, 6)):
                changed[dice.randrange(len(changed))] = dice.randrange(256)
            return bytes(changed)
    return b"\r\n".join(lines)


@pytest.mark.parametrize("seed", range(4))
async def test_no_answer_whatever_its_bytes_breaks_a_call(seed: int) -> None:
    dice = random.Random(seed)
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    statuses = ["180 Ringing", "200 OK", "302 Moved", "401 Unauthorized", "486 Busy Here"]
    extra = [
        ("Reason", "Q.850;cause=22"),
        ("Record-Route", "<sip:192.0.2.1;lr>,<sip:192.0.2.2>"),
        ("WWW-Authenticate", 'Digest realm="a", nonce="b", qop="auth,auth-int"'),
    ]

    def react(line: Peer, ask: Ask) -> None:
        for _ in range(3):
            status = dice.choice(statuses)
            good = write_response(ask, status, tag="line", headers=extra, body=SDP)
            line.transport.sendto(mutated(dice, good), line.source)
        if ask.method == "INVITE" and dice.random() < 0.7:
            line.say(ask, dice.choice(statuses), headers=extra)
        elif ask.method != "ACK":
            line.say(ask, "200 OK")

    async def one() -> CallResult:
        who = Credentials(username="probe", password="secret")
        line = trunk(there.port, t1_seconds=0.005, ring_seconds=0.02, credentials=who)
        return await call(line, hold_seconds=0.01)

    async with peer(react) as there:
        results = await asyncio.gather(*(one() for _ in range(60)))
    assert [type(result) for result in results] == [CallResult] * 60
    assert {type(result.outcome) for result in results} == {CallOutcome}
    assert faults == []
