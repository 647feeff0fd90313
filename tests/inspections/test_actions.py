"""Drawing, taking and judging on a real database."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from spms.core import anchors, db, heads
from spms.core.access import job_actor
from spms.core.errors import NotFound
from spms.inspections import actions, call_log, evidence, judging, plan_queries, queries
from spms.inspections.model import Greeting, Start, Verdict, Why
from spms.inspections.outcomes import CallOutcome
from spms.inspections.rules import commitment, faults_of
from spms.inspections.sip import CallResult
from spms.inspections.sound import Heard, Media, Sound
from tests import make

JOB = job_actor("draw_spot_checks")
HALF_HOUR = timedelta(minutes=30)
CALLERS = ["10010", "10011", "10012"]


def result(now, outcome=CallOutcome.ANSWERED, code=200, ring_seconds=3.0, media=None):
    return CallResult(
        outcome=outcome, sip_code=code, q850_cause=None, redirected_to=None, started_at=now,
        answered_at=None, ended_at=now, ring_seconds=ring_seconds, hung_up_by_line=False,
        audio_packets=0, trace=("+0 ms > INVITE",), media=media,
    )  # fmt: skip


async def draw(pool, now, *, seed="seed", start=Start.NOW, actor=make.OFFICER):
    async with db.transaction(pool) as tx:
        return await actions.draw_plan(tx, seed=seed, start=start, actor=actor, now=now)


async def take(pool, now, limit=10):
    async with db.transaction(pool) as tx:
        return await actions.take_due_calls(
            tx, callers=CALLERS, limit=limit, lease_seconds=60, now=now
        )


async def record(pool, call, now, **values):
    async with db.transaction(pool) as tx:
        await actions.record_call(tx, call, result(now, **values), now=now)


async def items(pool, plan):
    async with db.snapshot(pool) as read:
        return await plan_queries.items_of_plan(read, plan.id, None, 1000)


async def told(owner):
    rows = await owner.fetch("SELECT payload FROM outbox WHERE topic = 'inspection.judged'")
    return [row["payload"] for row in rows]


@pytest.fixture
async def one(tx, now):
    """One SP with one hotline."""
    return await make.sp(tx, now, hotlines=("4008123456",))


async def test_a_plan_draws_every_hotline_in_force_and_binds_itself_to_its_seed(pool, tx, now):
    sps = [await make.sp(tx, now) for _ in range(3)]
    await make.sp(tx, now, status="closed")
    plan = await draw(pool, now, seed=None, start=Start.SPREAD)
    drawn = await items(pool, plan)
    assert {item.sp_id for item in drawn} == set(sps)
    assert (len(drawn), plan.items_total, plan.candidates) == (6, 6, 6)
    assert all([call.attempt_no for call in item.calls] == [1] for item in drawn)
    seed = await tx.fetchval("SELECT seed FROM inspection_plan")
    assert plan.seed is None
    assert plan.seed_sha256 == commitment(seed)
    assert len(seed) == 32
    async with db.snapshot(pool) as read:
        with pytest.raises(actions.NotFinished):
            await actions.document(read, plan.id)


async def until_judged(pool, plan, now, *, steps=60, **values):
    """Take and record with the same result until the plan is finished; return when that was."""
    for _ in range(steps):
        for call in await take(pool, now, limit=100):
            await record(pool, call, now, **values)
        async with db.snapshot(pool) as read:
            if (await actions.plan(read, plan.id)).finished_at is not None:
                return now
        now += HALF_HOUR
    raise AssertionError("never finished")


async def test_the_plan_is_shown_when_the_last_item_is_judged_and_can_be_drawn_again(
    pool, tx, now, owner
):
    await make.sp(tx, now)
    plan = await draw(pool, now)
    first, second = await take(pool, now)
    await record(pool, first, now)
    await record(pool, second, now)
    async with db.snapshot(pool) as read:
        assert (await actions.plan(read, plan.id)).seed is None
    over = await until_judged(pool, plan, now + HALF_HOUR)
    async with db.snapshot(pool) as read:
        done = await actions.plan(read, plan.id)
        text = await actions.document(read, plan.id)
    assert (done.finished_at, done.items_judged) == (over, 2)
    assert over - now == 8 * HALF_HOUR, "nine answers show a good line"
    assert done.seed.startswith("seed.")
    assert faults_of(text, plan.plan_sha256) == []
    assert {payload["verdict"] for payload in await told(owner)} == {"reachable"}


FAILED = {"outcome": CallOutcome.BUSY, "code": 486, "ring_seconds": None}


async def test_a_line_found_bad_is_one_finding_until_it_is_cured_or_ought_to_have_been(
    pool, tx, now, one, owner
):
    first = await draw(pool, now)
    twin = await draw(pool, now)
    await until_judged(pool, first, now, **FAILED)
    await until_judged(pool, twin, now + timedelta(hours=4), **FAILED)
    (finding,) = await items(pool, first)
    (again,) = await items(pool, twin)
    assert (finding.verdict, finding.same_as) == ("unreachable", None)
    assert (again.verdict, again.same_as) == ("unreachable", finding.id)
    assert [p["same_as"] for p in await told(owner)] == [None, str(finding.id)]
    async with db.transaction(pool) as own:
        later = now + timedelta(days=1)
        assert await actions.draw_daily(own, actor=JOB, now=later) == "no hotline to draw"

    overdue = now + timedelta(days=6)
    third = await draw(pool, overdue)
    await until_judged(pool, third, overdue, **FAILED)
    (new,) = await items(pool, third)
    assert new.same_as is None, "not cured in time: a finding of its own"

    fourth = await draw(pool, overdue + timedelta(days=1))
    await until_judged(pool, fourth, overdue + timedelta(days=1))
    closed = await tx.fetch("SELECT closed_because FROM hotline_finding ORDER BY found_at")
    assert [row[0] for row in closed] == ["overdue", "cured"]


async def test_findings_of_one_line_at_the_same_time_are_one(pool, tx, now, one, owner):
    plans = [await draw(pool, now) for _ in range(2)]
    at = now
    for n in range(4):
        at = now + n * HALF_HOUR
        for _ in plans:
            (call,) = await take(pool, at)
            await record(pool, call, at, **FAILED)
    at += HALF_HOUR
    (one_call,) = await take(pool, at)
    await owner.execute("UPDATE hotline_call SET number = '4008123457' WHERE state = 'due'")
    (other,) = await take(pool, at)
    await asyncio.gather(record(pool, one_call, at, **FAILED), record(pool, other, at, **FAILED))
    assert await tx.fetchval("SELECT count(*) FROM hotline_finding") == 1
    found = [item for plan in plans for item in await items(pool, plan)]
    assert sorted(item.same_as is None for item in found) == [False, True]


async def test_every_call_is_evidence_linked_to_the_one_before(pool, tx, now, one, owner):
    plan = await draw(pool, now)
    for n in range(3):
        (call,) = await take(pool, now + n * HALF_HOUR)
        await record(pool, call, now + n * HALF_HOUR, **FAILED)
    (item,) = await items(pool, plan)
    callers = [call.caller for call in item.calls[:3]]
    assert len(set(callers)) == 3, "a retest shows another number"
    async with db.snapshot(pool) as read:
        chain = await queries.evidence(read, "4008123456")
    assert [link.attempt_no for link in chain] == [1, 2, 3]
    assert evidence.first_break(chain) is None
    for link, call in zip(chain, item.calls, strict=False):
        assert not evidence.disagrees(link, item.id, item.hotline, call)
    async with db.transaction(pool) as own:
        assert await call_log.faults(own) == (1, [])
        assert await anchors.make(own, now=now, others=[call_log.CHAINS]) == 1
    await owner.execute("UPDATE hotline_call SET outcome = 'congestion' WHERE attempt_no = 2")
    (item,) = await items(pool, plan)
    assert evidence.disagrees(chain[1], item.id, item.hotline, item.calls[1])
    await owner.execute(
        "UPDATE hotline_evidence SET evidence = replace(evidence, 'busy', 'answered') "
        "WHERE position = 2"
    )
    await owner.execute("DELETE FROM hotline_evidence WHERE position = 1")
    async with db.snapshot(pool) as read:
        assert evidence.first_break(await queries.evidence(read, "4008123456")) == 1
        _, faults = await call_log.faults(read)
        anchored = await heads.at(read, call_log.CHAINS, [(0, "4008123456", 4)])
    assert {(fault.seq, fault.kind) for fault in faults} == {
        (1, "missing"), (2, "altered"), (2, "fact_changed"),
    }  # fmt: skip
    assert [(one.hash, one.last) for one in anchored] == [(None, 3)]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await tx.execute("UPDATE hotline_evidence SET evidence = ''")


async def test_a_number_that_was_asked_to_be_given_up_before_is_not_held_against_the_sp(
    pool, tx, now, one, owner
):
    await owner.execute(
        """INSERT INTO contact_change (id, sp_id, hotlines, responsible_name, responsible_mobile,
                                       state, requested_at, requested_by)
           VALUES (gen_random_uuid(), $1, '{4008123457}', 'x', 'x', 'requested', $2, 'sp')""",
        one, now - HALF_HOUR,
    )  # fmt: skip
    plan = await draw(pool, now)
    await until_judged(pool, plan, now, outcome=CallOutcome.NUMBER_CHANGED, code=410)
    (item,) = await items(pool, plan)
    assert (item.verdict, item.reason) == ("inconclusive", "change_requested")


async def test_another_party_than_the_registered_one_is_a_changed_number(pool, tx, now, one):
    greeting = Greeting(number="4008123456", code="1234")
    async with db.transaction(pool) as own:
        actor = make.sp_actor(one)
        await judging.register_greeting(own, greeting, actor=actor, now=now)
        stranger = Greeting(number="4008999999", code="1234")
        with pytest.raises(NotFound):
            await judging.register_greeting(own, stranger, actor=actor, now=now)
    plan = await draw(pool, now)
    nobody = Heard(sound=Sound.SOUND, packets=9, missing=0, level_dbm0=-20.0)
    for n, tones in enumerate(("1234", "", "777", "777")):
        (call,) = await take(pool, now + n * HALF_HOUR)
        media = Media(early=nobody, answered=nobody, tones=tones, foreign=0)
        await record(pool, call, now + n * HALF_HOUR, media=media)
    (item,) = await items(pool, plan)
    assert [call.other_party for call in item.calls] == [False, False, True, True]
    assert item.verdict == "number_changed"


async def test_the_last_two_verdicts_at_the_same_time_finish_the_plan(pool, tx, now):
    for _ in range(4):
        await make.sp(tx, now)
    plan = await draw(pool, now)
    for n in range(9):
        at = now + n * HALF_HOUR
        await asyncio.gather(*(record(pool, call, at) for call in await take(pool, at)))
    async with db.snapshot(pool) as read:
        assert (await actions.plan(read, plan.id)).finished_at == at


async def test_nothing_is_drawn_where_nobody_can_be_called(pool, now):
    with pytest.raises(actions.NothingToInspect):
        await draw(pool, now)
    async with db.transaction(pool) as tx:
        assert await actions.draw_daily(tx, actor=JOB, now=now) == "no hotline to draw"


async def test_a_day_has_one_daily_plan_whatever_the_number_of_workers(pool, tx, now, one):
    async def daily(at):
        async with db.transaction(pool) as own:
            return await actions.draw_daily(own, actor=JOB, now=at)

    said = await asyncio.gather(*(daily(now) for _ in range(5)))
    assert sorted(said) == ["1 hotlines drawn"] + ["drawn already"] * 4
    assert await daily(now + timedelta(days=1)) == "no hotline to draw", "it is being called"
    await make.sp(tx, now)
    assert await daily(now + timedelta(days=1)) == "2 hotlines drawn"
    assert await tx.fetchval("SELECT count(*) FROM inspection_plan") == 2


async def test_a_call_is_taken_once_whoever_asks(pool, tx, now):
    for _ in range(10):
        await make.sp(tx, now)
    await draw(pool, now)
    taken = await asyncio.gather(*(take(pool, now, limit=3) for _ in range(10)))
    calls = [(call.item_id, call.attempt_no) for some in taken for call in some]
    while more := await take(pool, now):
        calls += [(call.item_id, call.attempt_no) for call in more]
    assert len(calls) == len(set(calls)) == 20


async def test_one_number_never_gets_two_calls_at_a_time(pool, tx, now):
    """Two SPs show the same number, and two plans drew it."""
    for _ in range(2):
        await make.sp(tx, now, hotlines=("4008123456",))
    await draw(pool, now)
    await draw(pool, now)
    for left in (4, 3, 2, 1):
        waiting = "SELECT count(*) FROM hotline_call WHERE state = 'due' AND due_at <= $1"
        assert await tx.fetchval(waiting, now) == left
        calls = await take(pool, now)
        assert len(calls) == 1
        assert await take(pool, now) == []
        await record(pool, calls[0], now)
    with pytest.raises(asyncpg.UniqueViolationError):
        await tx.execute(
            """INSERT INTO hotline_call (item_id, attempt_no, number, due_at, state, call_id,
                                         caller, placed_at, lease_until)
               SELECT item_id, attempt_no + n, number, due_at, 'placing', n::text, caller,
                      placed_at, lease_until
                 FROM (SELECT * FROM hotline_call LIMIT 1) c, generate_series(1, 2) n"""
        )


@pytest.mark.parametrize(("hours", "opening_hours"), [(8, 20.5), (12, 20.5), (20, 20.5)])
async def test_outside_the_hours_calls_wait_for_the_opening(
    pool, tx, now, one, hours, opening_hours
):
    """From Monday noon: 20:00, midnight and 08:00; the next opening is Tuesday 08:30."""
    await draw(pool, now)
    assert await take(pool, now + timedelta(hours=hours)) == []
    due = await tx.fetchval("SELECT due_at FROM hotline_call")
    assert due == now + timedelta(hours=opening_hours)
    assert await take(pool, due - timedelta(seconds=1)) == []
    assert len(await take(pool, due)) == 1


async def test_a_retest_is_half_an_hour_later_or_in_the_morning(pool, tx, now, one):
    await draw(pool, now)
    failed = {"outcome": CallOutcome.BUSY, "code": 486, "ring_seconds": None}
    (call,) = await take(pool, now)
    await record(pool, call, now, **failed)
    assert await take(pool, now + HALF_HOUR - timedelta(seconds=1)) == []
    late = now + timedelta(hours=7, minutes=57)  # 19:57
    (call,) = await take(pool, late)
    await record(pool, call, late, **failed)
    due = await tx.fetchval("SELECT due_at FROM hotline_call WHERE attempt_no = 3")
    assert due == now + timedelta(hours=20, minutes=30)


async def test_a_number_is_not_called_again_when_it_was_called_often_on_that_day(
    pool, tx, now, one
):
    at = now
    for _ in range(12):
        await draw(pool, at)
        (call,) = await take(pool, at)
        await record(pool, call, at, outcome=CallOutcome.BUSY)
    await draw(pool, at)
    assert await take(pool, at) == []
    due = await tx.fetchval(
        "SELECT due_at FROM hotline_call WHERE state = 'due' AND attempt_no = 1"
    )
    assert due == now + timedelta(hours=20, minutes=30)
    assert len(await take(pool, due)) == 1


async def test_a_lost_call_becomes_unknown_and_is_never_the_same_attempt_again(
    pool, tx, now, one, owner
):
    plan = await draw(pool, now)
    (call,) = await take(pool, now)
    async with db.transaction(pool) as own:
        assert await actions.give_up_lost(own, now=now + timedelta(days=1)) == 0  # not its clock
    await owner.execute("UPDATE hotline_call SET lease_until = clock_timestamp() - interval '1 s'")
    async with db.transaction(pool) as own:
        assert await actions.give_up_lost(own, now=now) == 1
    await record(
        pool, call, now, outcome=CallOutcome.BUSY, code=486
    )  # too late: it changes nothing
    (item,) = await items(pool, plan)
    assert [(c.attempt_no, c.state, c.outcome) for c in item.calls] == [
        (1, "unknown", None), (2, "due", None),
    ]  # fmt: skip
    assert item.calls[1].due_at == now + HALF_HOUR
    assert (item.verdict, await told(owner)) == (None, [])


async def withdraw(owner, at):
    await owner.execute("UPDATE sp_hotline SET valid_to = $1", at)


async def test_a_hotline_withdrawn_with_approval_is_not_called(pool, now, one, owner):
    plan = await draw(pool, now)
    await withdraw(owner, now)
    async with db.transaction(pool) as tx:
        assert await actions.drop_withdrawn(tx, now=now) == 1
    (item,) = await items(pool, plan)
    assert (item.verdict, item.reason) == (Verdict.INCONCLUSIVE, Why.WITHDRAWN)
    assert [call.state for call in item.calls] == ["dropped"]
    assert await take(pool, now) == []
    assert [payload["verdict"] for payload in await told(owner)] == ["inconclusive"]


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [(CallOutcome.NUMBER_CHANGED, "inconclusive"), (CallOutcome.ANSWERED, "inconclusive")],
)
async def test_a_hotline_withdrawn_during_a_call_is_not_held_against_the_sp(
    pool, now, one, owner, outcome, verdict
):
    plan = await draw(pool, now)
    (call,) = await take(pool, now)
    await withdraw(owner, now)
    await record(pool, call, now, outcome=outcome, code=410)
    (item,) = await items(pool, plan)
    assert item.verdict == verdict


async def test_rows_tell_a_verdict_only_with_its_reason_and_time(tx, pool, now, one):
    await draw(pool, now)
    with pytest.raises(asyncpg.CheckViolationError):
        await tx.execute("UPDATE inspection_item SET state = 'judged', verdict = 'unreachable'")
    with pytest.raises(asyncpg.CheckViolationError):
        await tx.execute("UPDATE hotline_call SET state = 'placing'")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await tx.execute("DELETE FROM hotline_call")


async def test_every_outcome_can_be_stored(pool, tx, now, one):
    for n, outcome in enumerate(CallOutcome):
        at = now + timedelta(days=n)
        await draw(pool, at)
        for call in await take(pool, at):
            await record(pool, call, at, outcome=outcome, code=None)
    stored = {row[0] for row in await tx.fetch("SELECT DISTINCT outcome FROM hotline_call")}
    assert stored >= set(CallOutcome)


async def test_what_is_not_there_is_not_found(tx, one):
    for find in (actions.plan, actions.item):
        with pytest.raises(NotFound):
            await find(tx, one)
