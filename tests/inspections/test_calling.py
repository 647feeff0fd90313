"""Calls over real SIP to the sandbox's lines: from how a line behaves to the verdict."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

import msgspec
import pytest

from spms.core import db
from spms.core.clock import SHANGHAI
from spms.core.settings import Settings, SettingsError
from spms.inspections import actions, plan_queries
from spms.inspections.calling import pump_calls
from spms.inspections.model import LineIn, Placing, Start
from spms.inspections.policy import InspectionRules
from spms.inspections.prober import SipProber, sandbox_prober
from spms.inspections.rules import may_call
from spms.inspections.sandbox_call import Behaviour, LineKind
from spms.inspections.sandbox_lines import SandboxLines
from tests import make

HALF_HOUR = timedelta(minutes=30)
CALL = Placing(
    item_id=UUID(int=1), attempt_no=1, number="4008123456", call_id="4f2a", caller="01010011"
)


async def set_line(pool, now, number, kind, **values):
    async with db.transaction(pool) as tx:
        line = LineIn(number=number, behaviour=kind, **values)
        await actions.put_line(tx, line, actor=make.ADMIN, now=now)


async def draw(pool, now):
    async with db.transaction(pool) as tx:
        return await actions.draw_plan(tx, seed=None, start=Start.NOW, actor=make.OFFICER, now=now)


async def items(pool, plan):
    async with db.snapshot(pool) as read:
        return await plan_queries.items_of_plan(read, plan.id, None, 1000)


async def pump_until_judged(pool, prober, clock, plan, *, steps=60):
    """Pump and move the clock by half an hour, until the plan is finished."""
    for _ in range(steps):
        while await pump_calls(pool, prober, clock):
            pass
        async with db.snapshot(pool) as read:
            if (await actions.plan(read, plan.id)).finished_at is not None:
                return
        clock.move(HALF_HOUR)
    raise AssertionError("the plan was never finished")


GOOD = ["answered"] * 9


@pytest.mark.parametrize(
    ("kind", "verdict", "outcomes"),
    [
        (None, "reachable", GOOD),  # a number nobody set answers
        (LineKind.BUSY, "unreachable", ["busy"] * 5),
        (LineKind.NO_ANSWER, "unreachable", ["no_answer"] * 5),
        (LineKind.UNALLOCATED, "unreachable", ["unallocated"] * 5),
        (LineKind.CHANGED, "number_changed", ["number_changed"] * 2),
        (LineKind.CONGESTION, "inconclusive", ["congestion"] * 10),
    ],
)
async def test_from_how_a_line_behaves_to_the_verdict(
    pool, tx, clock, prober, invites, kind, verdict, outcomes
):
    await make.sp(tx, clock.now(), hotlines=("4008123456",))
    if kind is not None:
        await set_line(pool, clock.now(), "4008123456", kind, new_number="4008000009")
    plan = await draw(pool, clock.now())
    await pump_until_judged(pool, prober, clock, plan)
    (item,) = await items(pool, plan)
    assert item.verdict == verdict
    assert [call.outcome for call in item.calls] == outcomes
    assert len(invites) == len(outcomes)
    for call, after in zip(item.calls, item.calls[1:], strict=False):
        assert after.placed_at - call.ended_at >= HALF_HOUR
    evidence = item.calls[0]
    assert evidence.trace[0].endswith("> INVITE")
    assert {call.caller for call in item.calls} == {"10010", "10011"}
    if kind is LineKind.CHANGED:
        assert "4008000009" in evidence.redirected_to


async def test_a_line_set_in_one_process_is_called_by_another(pool, tx, clock):
    """Two probers on one database, as two workers would have."""
    await make.sp(tx, clock.now(), hotlines=("4008123456",))
    plan = await draw(pool, clock.now())
    await set_line(pool, clock.now(), "4008123456", LineKind.CHANGED)
    async with sandbox_prober(pool) as first, sandbox_prober(pool) as second:
        await pump_calls(pool, first, clock)
        clock.move(HALF_HOUR)
        await pump_calls(pool, second, clock)
    (item,) = await items(pool, plan)
    assert item.verdict == "number_changed"


async def test_two_pumps_at_once_never_call_twice(pool, tx, clock, invites):
    for _ in range(15):
        await make.sp(tx, clock.now())
    plan = await draw(pool, clock.now())

    async def worker():
        async with sandbox_prober(pool) as prober:
            prober.simultaneous = 4
            while await pump_calls(pool, prober, clock):
                pass

    await asyncio.gather(worker(), worker(), worker())
    assert Counter(number for _, number in invites) == Counter(
        item.hotline for item in await items(pool, plan)
    )
    assert {call.state for item in await items(pool, plan) for call in item.calls} == {
        "finished", "due",
    }  # fmt: skip


async def test_twenty_crashes_in_the_middle_never_place_an_attempt_twice(
    pool, tx, clock, owner, prober, invites
):
    """Pumps are cut off at random points; what they held is taken for lost, and called later."""
    kinds = [kind for kind in LineKind if kind is not LineKind.FLAKY]
    numbers = [f"4008{n:06d}" for n in range(12)]
    for n in range(6):
        await make.sp(tx, clock.now(), hotlines=numbers[2 * n : 2 * n + 2])
    for n, number in enumerate(numbers):
        await set_line(pool, clock.now(), number, kinds[n % len(kinds)])
    plan = await draw(pool, clock.now())
    dice = random.Random(22)
    for _ in range(20):
        pump = asyncio.create_task(pump_calls(pool, prober, clock))
        await asyncio.sleep(dice.uniform(0.0, 0.25))
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
        await owner.execute(
            "UPDATE hotline_call SET lease_until = clock_timestamp() - interval '1 s' "
            "WHERE state = 'placing'"
        )
        clock.move(HALF_HOUR)
        while not may_call(clock.now(), InspectionRules()):
            clock.move(HALF_HOUR)
    await pump_until_judged(pool, prober, clock, plan, steps=200)
    calls = await tx.fetch(
        "SELECT item_id, attempt_no, call_id, state, placed_at FROM hotline_call"
    )
    placed = {call["call_id"] for call in calls if call["placed_at"] is not None}
    by_id = Counter(call_id for call_id, _ in invites)
    assert by_id.keys() <= placed
    assert set(by_id.values()) == {1}
    assert sum(call["state"] == "unknown" for call in calls) >= 20
    finished = {call["call_id"] for call in calls if call["state"] == "finished"}
    assert finished <= by_id.keys()
    expected = {LineKind.ANSWER: {"reachable"}, LineKind.CONGESTION: {"inconclusive"}}
    for item in await items(pool, plan):
        kind = kinds[numbers.index(item.hotline) % len(kinds)]
        usual = {LineKind.CHANGED: {"number_changed"}}.get(kind, {"unreachable"})
        assert item.verdict in expected.get(kind, usual) | {"inconclusive"}


async def test_no_call_leaves_outside_the_hours_wherever_the_clock_jumps(
    pool, tx, clock, prober, invites
):
    await make.sp(tx, clock.now())
    for kind, number in zip(
        (LineKind.BUSY, LineKind.CONGESTION),
        [row["number"] for row in await tx.fetch("SELECT number FROM sp_hotline")],
        strict=True,
    ):
        await set_line(pool, clock.now(), number, kind)
    await draw(pool, clock.now())
    dice = random.Random(5)
    for _ in range(60):
        clock.move(timedelta(minutes=dice.randint(-300, 400)))
        before = len(invites)
        await pump_calls(pool, prober, clock)
        local = clock.now().astimezone(SHANGHAI)
        if not (8, 30) <= (local.hour, local.minute) < (20, 0):
            assert len(invites) == before
    assert len(invites) > 3


class Watching:
    """A prober that looks, from another connection, at what is stored when a call leaves."""

    callers: ClassVar = ["10010"]
    simultaneous = 5
    calls_per_second = 100.0
    longest_seconds = 20.0

    def __init__(self, prober, owner):
        self.prober, self.owner = prober, owner
        self.seen = []

    async def place(self, call, *, clock):
        row = await self.owner.fetchrow(
            "SELECT number, state, caller, placed_at FROM hotline_call WHERE call_id = $1",
            call.call_id,
        )
        self.seen.append((call.number, clock.now(), tuple(row)))
        return await self.prober.place(call, clock=clock)


async def test_a_call_is_committed_before_it_leaves(pool, tx, clock, prober, owner):
    await make.sp(tx, clock.now(), hotlines=("4008123456",))
    await draw(pool, clock.now())
    watching = Watching(prober, owner)
    assert await pump_calls(pool, watching, clock) == 1
    at = clock.now()
    assert watching.seen == [("4008123456", at, ("4008123456", "placing", "10010", at))]


class Broken:
    """A prober that fails before it could place anything."""

    callers: ClassVar = ["10010"]
    simultaneous = 5
    calls_per_second = 100.0
    longest_seconds = 20.0

    async def place(self, call, *, clock):  # noqa: ARG002
        raise OSError("no socket")


async def test_a_prober_that_breaks_costs_an_attempt_and_stops_nothing(pool, tx, clock):
    await make.sp(tx, clock.now())
    plan = await draw(pool, clock.now())
    assert await pump_calls(pool, Broken(), clock) == 2
    for item in await items(pool, plan):
        assert [call.state for call in item.calls] == ["unknown", "due"]
    await pump_until_judged(pool, Broken(), clock, plan, steps=60)
    assert {item.verdict for item in await items(pool, plan)} == {"inconclusive"}


class Forgetful:
    """A prober whose answers find the database gone."""

    callers: ClassVar = ["10010"]
    simultaneous = 5
    calls_per_second = 100.0
    longest_seconds = 20.0

    def __init__(self, prober, owner):
        self.prober, self.owner = prober, owner

    async def place(self, call, *, clock):
        result = await self.prober.place(call, clock=clock)
        await self.owner.execute("REVOKE UPDATE ON hotline_call FROM spms_app")
        return result


async def test_a_result_that_cannot_be_written_is_said_and_the_call_becomes_unknown(
    pool, tx, clock, prober, owner, invites
):
    await make.sp(tx, clock.now(), hotlines=("4008123456",))
    plan = await draw(pool, clock.now())
    with pytest.raises(Exception, match="permission denied"):
        await pump_calls(pool, Forgetful(prober, owner), clock)
    await owner.execute("GRANT UPDATE ON hotline_call TO spms_app")
    await owner.execute("UPDATE hotline_call SET lease_until = clock_timestamp() - interval '1 s'")
    clock.move(HALF_HOUR)
    await pump_until_judged(pool, prober, clock, plan)
    (item,) = await items(pool, plan)
    assert [call.state for call in item.calls] == ["unknown"] + ["finished"] * 9
    assert len(invites) == 10


async def test_the_operator_s_trunk_is_called_as_the_settings_say(clock):
    async with SandboxLines(t1_seconds=0.05) as lines:
        lines.set("4008123456", Behaviour(kind=LineKind.BUSY))
        prober = SipProber(
            Settings(
                sip_host="127.0.0.1", sip_port=lines.port, sip_caller="01010010, 01010011",
                sip_simultaneous=7, sip_calls_per_second=3,
            )
        )  # fmt: skip
        prober._trunk = msgspec.structs.replace(prober._trunk, linger_seconds=0.05)
        result = await prober.place(CALL, clock=clock)
    assert prober.callers == ["01010010", "01010011"]
    assert (prober.simultaneous, prober.calls_per_second) == (7, 3)
    assert (result.outcome, result.q850_cause) == ("busy", 17)


async def test_a_trunk_that_cannot_be_found_is_our_own_failure(clock):
    prober = SipProber(Settings(sip_host="trunk.invalid", sip_caller="10010,10011"))
    result = await prober.place(CALL, clock=clock)
    assert result.outcome == "own_failure"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"sip_host": "trunk one"},
        {"sip_host": "trunk", "sip_caller": "10010,+"},
        {"sip_host": "trunk", "sip_caller": " , "},
        {"sip_host": "trunk", "sip_caller": "10010"},
        {"sip_host": "trunk", "sip_caller": "10010, 10010"},
        {"sip_host": "trunk", "sip_user": "u"},
        {"sip_host": "trunk", "sip_user": 'u"', "sip_password": "p"},
    ],
)
def test_settings_that_make_no_trunk_are_refused_at_the_start(wrong):
    with pytest.raises(SettingsError):
        SipProber(Settings(**{"sip_caller": "10010,10011"} | wrong))
