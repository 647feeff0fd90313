"""A caller whose process is held up: what came meanwhile is heard before anything is given up.

A turn of the loop reads one datagram of each socket, and knows of a deadline by its end.
"""

import asyncio
import time

from spms.inspections.outcomes import CallOutcome
from spms.inspections.sip_messages import Ask
from tests.inspections.peers import SDP, Peer, call, peer, polite, trunk


async def test_an_answer_that_waits_in_the_socket_at_the_ring_limit_is_in_time() -> None:
    def react(line: Peer, ask: Ask) -> None:
        def answer() -> None:
            line.say(ask, "180 Ringing")
            line.say(ask, "200 OK", body=SDP)
            time.sleep(0.4)  # past the limit, and nobody reads: also not this loop

        if ask.method == "INVITE":
            line.say(ask, "180 Ringing")
            asyncio.get_running_loop().call_later(0.1, answer)
        polite(line, ask)

    async with peer(react) as line:
        result = await call(trunk(line.port, ring_seconds=0.3))
    assert result.outcome is CallOutcome.ANSWERED
    assert line.methods() == ["INVITE", "ACK", "BYE"]


async def test_nothing_is_repeated_whose_answer_waits_in_the_socket() -> None:
    def react(line: Peer, ask: Ask) -> None:
        if ask.method == "INVITE":
            line.transport.sendto(b"\r\n\r\n", line.source)  # keeps the way through a NAT open
            line.say(ask, "486 Busy Here")
            time.sleep(0.1)

    async with peer(react) as line:
        result = await call(trunk(line.port, t1_seconds=0.05))
    assert result.outcome is CallOutcome.BUSY
    assert line.methods() == ["INVITE", "ACK"]
