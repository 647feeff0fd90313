"""Loss, doubling and delay between our caller and SIPp: the outcome is right all the same.

SIPp itself takes no INVITE again once it has gone on: so what is lost before that is ours.
"""

from typing import Any

import pytest

from spms.inspections.outcomes import CallOutcome
from spms.inspections.sip import Trunk
from tests.inspections.bad_wire import AT_ONCE, LOST, TWICE, Fate, Plan, bad_wire
from tests.inspections.peers import call, trunk

LINGER = 0.7
"""So long after the end a repeat is still answered: longer than SIPp takes for one (0.3 s)."""


def hasty(port: int, **changes: Any) -> Trunk:
    """Return a trunk that soon says again what may be lost."""
    return trunk(port, t1_seconds=0.05, **changes)


def first(*names: str, fate: Fate = LOST) -> Plan:
    """Do something to the first datagram of each kind."""
    return lambda name, nth, _: fate if name in names and nth == 0 else AT_ONCE


def every(n: int, fate: Fate = LOST, start: int = 0) -> Plan:
    """Do something to each n-th datagram, whatever it is."""
    return lambda _name, _nth, place: fate if place % n == start else AT_ONCE


def twice(name: str) -> Fate:
    """Double whatever SIPp takes twice."""
    return AT_ONCE if name == "> INVITE" else TWICE


PROVISIONAL = ("< 100 INVITE", "< 180 INVITE")
PLANS: dict[str, Plan] = {
    "the INVITE is lost": first("> INVITE"),
    "the INVITE is lost three times": lambda name, nth, _: (
        LOST if name == "> INVITE" and nth < 3 else AT_ONCE
    ),
    "all that comes before the answer is lost": first(*PROVISIONAL),
    "the answer is lost": first("< 200 INVITE"),
    "the ACK is lost": first("> ACK"),
    "the BYE is lost": first("> BYE"),
    "the answer to the BYE is lost": first("< 200 BYE"),
    "all of ours is lost once": first("> INVITE", "> ACK", "> BYE"),
    "all of theirs but the ringing is lost once": first("< 200 INVITE", "< 200 BYE"),
    "every third datagram is lost": every(3, start=2),
    "everything after the INVITE comes twice": lambda name, *_: twice(name),
    "every second datagram is late": every(2, fate=(0.04,)),
    "every third datagram is late": every(3, fate=(0.03,)),
    "the ringing comes after the answer": first(*PROVISIONAL, fate=(0.3,)),
}


@pytest.mark.parametrize("plan", PLANS)
async def test_an_answered_call_is_answered_and_hung_up_on_a_bad_wire(sipp: Any, plan: str) -> None:
    port = await sipp.answer("lossy")
    async with bad_wire(port, PLANS[plan]) as wire:
        line = hasty(wire.port, ring_seconds=3.0, linger_seconds=LINGER)
        result = await call(line, hold_seconds=0.6)
        await sipp.judged_right()
    assert (result.outcome, result.sip_code) == (CallOutcome.ANSWERED, 200)
    invites = [ask for ask in wire.asked if ask.method == "INVITE"]
    assert len({(ask.branch, ask.sequence, ask.call_id) for ask in invites}) == 1
    byes = [ask for ask in wire.asked if ask.method == "BYE"]
    assert len({(ask.branch, ask.sequence) for ask in byes}) == 1
    assert "> BYE" in wire.carried
    assert "CANCEL" not in {ask.method for ask in wire.asked}


@pytest.mark.parametrize(
    "lost", ["> INVITE", "< 100 INVITE", "< 486 INVITE", "> ACK", "nothing, but twice"]
)
async def test_a_busy_line_is_busy_on_a_bad_wire(sipp: Any, lost: str) -> None:
    port = await sipp.answer("busy")
    plan = (lambda name, *_: twice(name)) if lost.startswith("nothing") else first(lost)
    async with bad_wire(port, plan) as wire:
        result = await call(hasty(wire.port, linger_seconds=LINGER))
        await sipp.judged_right()
    assert (result.outcome, result.sip_code) == (CallOutcome.BUSY, 486)
    assert len({ask.branch for ask in wire.asked if ask.method == "INVITE"}) == 1


@pytest.mark.parametrize("lost", ["> CANCEL", "< 200 CANCEL", "< 487 INVITE", "> ACK"])
async def test_ringing_is_given_up_on_a_bad_wire(sipp: Any, lost: str) -> None:
    port = await sipp.answer("rings_on")
    async with bad_wire(port, first(lost)) as wire:
        result = await call(hasty(wire.port, ring_seconds=0.2, linger_seconds=LINGER))
        await sipp.judged_right()
    assert (result.outcome, result.sip_code) == (CallOutcome.NO_ANSWER, 487)
    assert lost in wire.lost
    assert len({ask.branch for ask in wire.asked if ask.method == "INVITE"}) == 1


async def test_a_dead_wire_is_our_own_failure_after_one_transaction(sipp: Any) -> None:
    port = await sipp.answer("lossy")
    async with bad_wire(port, lambda *_: LOST) as wire:
        result = await call(trunk(wire.port, t1_seconds=0.01))
    assert result.outcome is CallOutcome.OWN_FAILURE
    assert {ask.method for ask in wire.asked} == {"INVITE"}
    assert len(wire.asked) > 3
    assert len({ask.branch for ask in wire.asked}) == 1


async def test_a_bye_that_nobody_answers_is_said_until_the_transaction_is_over(sipp: Any) -> None:
    port = await sipp.answer("lossy")
    async with bad_wire(port, lambda name, *_: LOST if name == "> BYE" else AT_ONCE) as wire:
        result = await call(trunk(wire.port, t1_seconds=0.02))
    assert result.outcome is CallOutcome.ANSWERED
    byes = [ask for ask in wire.asked if ask.method == "BYE"]
    assert len(byes) > 3
    assert len({(ask.branch, ask.sequence) for ask in byes}) == 1
