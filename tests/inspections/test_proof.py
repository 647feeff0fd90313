"""Service proof beyond reach: time to answer by the month, and the responsible person's mobile."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spms.core import db
from spms.core.access import job_actor
from spms.core.clock import FixedClock, business_day, business_month, month_range
from spms.inspections import actions, judging, plan_queries, proving
from spms.inspections.calling import pump_calls
from spms.inspections.model import NewObjection, Start, Verdict, Why
from spms.inspections.outcomes import CallOutcome
from spms.inspections.policy import InspectionRules
from spms.inspections.proof import at_most, too_slow
from spms.inspections.rules import faults_of, may_call
from spms.inspections.verdict import Attempt, Judgement, NextCall, decide_person
from spms.penalties import actions as penalties
from tests import make
from tests.inspections.test_actions import draw, record, take, until_judged

JOB = job_actor("draw_persons")
RULES = InspectionRules()
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("answered", "in_time", "slow"),
    [
        (0, 0, False),
        (3, 0, True),  # 0.2³ = 0.8 %
        (2, 0, False),
        (5, 1, True),  # 0.67 %
        (5, 2, False),
        (100, 80, False),
        (100, 79, False),  # under the mark, and well within chance
        (100, 70, False),  # 1.1 %
        (100, 69, True),  # 0.6 %
        (18, 10, False),
        (18, 9, True),
    ],
)
def test_a_month_is_too_slow_only_where_chance_does_not_explain_it(
    answered: int, in_time: int, slow: bool
) -> None:
    assert too_slow(answered=answered, in_time=in_time, rules=RULES) is slow


@given(st.integers(1, 150), st.data())
def test_one_call_more_in_time_never_makes_a_month_slower(answered, data) -> None:
    in_time = data.draw(st.integers(0, answered - 1))
    more = too_slow(answered=answered, in_time=in_time + 1, rules=RULES)
    assert not more or too_slow(answered=answered, in_time=in_time, rules=RULES)
    assert at_most(answered, answered, 0.8) == pytest.approx(1)


A, N, B, U, C, FAIL = (
    Attempt(outcome=outcome)
    for outcome in (
        CallOutcome.ANSWERED, CallOutcome.NO_ANSWER, CallOutcome.BUSY, CallOutcome.UNALLOCATED,
        CallOutcome.NUMBER_CHANGED, CallOutcome.OWN_FAILURE,
    )
)  # fmt: skip
LOST = Attempt(outcome=None)
AGAIN = NextCall(after=timedelta(hours=20))
GOOD = Judgement(verdict=Verdict.REACHABLE, reason=Why.ANSWERED)
DEAD = Judgement(verdict=Verdict.DEAD, reason=Why.NUMBER_DEAD)
OPEN = Judgement(verdict=Verdict.INCONCLUSIVE, reason=Why.ATTEMPTS_USED)


@pytest.mark.parametrize(
    ("calls", "outcome"),
    [
        ([], AGAIN),
        ([A], GOOD),
        ([Attempt(outcome=CallOutcome.ANSWERED, ring_ms=40_000)], GOOD),
        ([U], AGAIN),
        ([U, C], DEAD),
        ([U, FAIL, LOST, U], DEAD),
        ([U, B, U], AGAIN),
        ([U, N, U, A], GOOD),
        ([N, N, N, B, N, N], OPEN),
        ([FAIL] * 6, OPEN),
    ],
)
def test_one_answer_is_enough_and_two_dead_calls_are_needed(calls, outcome) -> None:
    assert decide_person(calls, RULES) == outcome


@pytest.fixture
async def sps(tx, now):
    """Two SPs with two hotlines each."""
    return [await make.sp(tx, now) for _ in range(2)]


async def sum_up(pool, at):
    async with db.transaction(pool) as tx:
        return await proving.sum_up_months(tx, now=at)


async def follow(pool, at):
    async with db.transaction(pool) as tx:
        return await penalties.follow_inspections(tx, actor=JOB, now=at)


async def test_calls_of_a_holiday_are_not_in_working_hours(pool, tx, now, sps, owner):
    """The same calls of a Monday noon; in the rulebook that Monday is off for one of two runs."""
    await draw(pool, now)
    for call in await take(pool, now, limit=100):
        await record(pool, call, now)
    await owner.execute(
        "UPDATE inspection_item SET state = 'judged', verdict = 'inconclusive',"
        " reason = 'attempts_used', judged_at = $1 WHERE state = 'open'", now,
    )  # fmt: skip
    later = month_range(business_month(now))[1] + timedelta(hours=4)
    seen = "SELECT sum(working_calls) AS working, sum(other_calls) AS other FROM service_proof"
    await sum_up(pool, later)
    assert tuple(await tx.fetchrow(seen)) == (2 * len(sps), 0)
    await owner.execute("DELETE FROM service_proof")
    await owner.execute(
        "INSERT INTO rulebook VALUES (2, $1, jsonb_build_object('calendar',"
        " jsonb_build_object('days_off', jsonb_build_array($2::text))), 'x', $1, 'test')",
        now - 60 * DAY, business_day(now).isoformat(),
    )  # fmt: skip
    await sum_up(pool, later)
    assert tuple(await tx.fetchrow(seen)) == (0, 2 * len(sps))


async def test_a_slow_month_is_shown_found_and_reported_once(
    pool, tx, now, sps, http, sign_in, owner
):
    """The first SP answers two calls in three within 20 s, the second one all of them."""
    plan = await draw(pool, now)
    at = now
    for n in range(20):
        for call in await take(pool, at, limit=100):
            item = await tx.fetchrow("SELECT * FROM inspection_item WHERE id = $1", call.item_id)
            assert call.ring_seconds > RULES.answer_seconds, "else nobody sees how late it is"
            slow = item["sp_id"] == sps[0] and n % 3 == 2
            await record(pool, call, at, ring_seconds=30.0 if slow else 20.0)
        at += timedelta(minutes=30)
    # What the sequential test makes of such lines is its own affair: here they are undecided.
    await owner.execute(
        "UPDATE inspection_item SET state = 'judged', verdict = 'inconclusive',"
        " reason = 'attempts_used', judged_at = $1 WHERE state = 'open'", at,
    )  # fmt: skip
    calls = await tx.fetch(
        "SELECT count(*), count(*) FILTER (WHERE ring_ms <= 21000), i.sp_id"
        "  FROM hotline_call c JOIN inspection_item i ON i.id = c.item_id"
        " WHERE c.outcome = 'answered' GROUP BY i.sp_id",
    )  # fmt: skip
    known = {row["sp_id"]: tuple(row)[:2] for row in calls}
    assert await sum_up(pool, at) == "0 months summed up, 0 too slow"
    month = business_month(at)
    later = month_range(month)[1] + timedelta(hours=4)
    is_slow = too_slow(answered=known[sps[0]][0], in_time=known[sps[0]][1], rules=RULES)
    assert await sum_up(pool, later) == f"2 months summed up, {int(is_slow)} too slow"
    assert await sum_up(pool, later + DAY) == "0 months summed up, 0 too slow"
    answer = await http.get("/service-proofs", headers=await sign_in(make.OFFICER))
    rows = {row["sp_id"]: row for row in answer.json()["items"]}
    for sp_id in sps:
        row = rows[str(sp_id)]
        assert (row["answered"], row["in_time"]) == known[sp_id]
        assert (row["lines"], row["lines_answered"]) == (2, 2)
        assert row["working_calls"] + row["other_calls"] == row["answered"]
        assert row["working_answered"] == row["working_calls"] > 0
    assert plan.items_total == 4
    mine = await http.get("/service-proofs", headers=await sign_in(make.sp_actor(sps[1])))
    assert [row["sp_id"] for row in mine.json()["items"]] == [str(sps[1])]
    nobody = await http.get("/service-proofs", headers=await sign_in(make.AGENT))
    assert nobody.status_code == 403


async def put_months(owner, sps, at, slow_calls):
    """Store a judged item of each SP with 20 answered calls in the month of `at`."""
    for sp_id, slow in zip(sps, slow_calls, strict=True):
        item = await owner.fetchval(
            "UPDATE inspection_item SET state = 'judged', verdict = 'reachable',"
            " reason = 'answered', judged_at = $2 WHERE id = (SELECT id FROM inspection_item"
            " WHERE sp_id = $1 AND state = 'open' LIMIT 1) RETURNING id", sp_id, at,
        )  # fmt: skip
        await owner.execute(
            "INSERT INTO hotline_call (item_id, attempt_no, number, due_at, state, call_id, caller,"
            " placed_at, lease_until, ended_at, outcome, sip_code, ring_ms)"
            " SELECT $1::uuid, n, '4008000000', $2, 'finished', $1::uuid::text || n, '10010', $2, $2, $2,"
            " 'answered', 200, CASE WHEN n - 1 <= $3 THEN 21001 ELSE 21000 END"
            " FROM generate_series(2, 21) AS n", item, at, slow,
        )  # fmt: skip


async def test_a_slow_month_is_a_notice_of_breach_and_only_the_slow_sps(pool, tx, now, sps, owner):
    await draw(pool, now)
    await put_months(owner, sps, now, (10, 4))
    later = month_range(business_month(now))[1]
    assert await sum_up(pool, later) == "2 months summed up, 1 too slow"
    assert await follow(pool, later) == 1
    assert await follow(pool, later) == 0
    (breach,) = await tx.fetch("SELECT * FROM breach")
    assert (breach["sp_id"], breach["kind"], breach["state"]) == (
        sps[0], "hotline_slow", "proposed",
    )  # fmt: skip
    assert "10 of 20 calls within 20 s" in breach["statement"]


async def persons(pool, at):
    async with db.transaction(pool) as tx:
        return await proving.draw_persons(tx, actor=JOB, now=at)


DEAD_CALL = {"outcome": CallOutcome.UNALLOCATED, "code": 404, "ring_seconds": None}


async def place_all(pool, at, *, days, dead=()):
    """Take what comes due hour by hour; mobiles in `dead` are nobody's, others answer."""
    placed = []
    for n in range(24 * days):
        hour = at + timedelta(hours=n)
        for call in await take(pool, hour, limit=100):
            assert may_call(hour, RULES)
            placed.append((call.number, hour))
            await record(pool, call, hour, **(DEAD_CALL if call.number in dead else {}))
    return placed


async def test_responsible_persons_are_called_once_a_quarter_and_a_dead_mobile_is_a_finding(
    pool, tx, now, sps, http, sign_in
):
    mobiles = {
        row["id"]: row["responsible_mobile"][2:]
        for row in await tx.fetch("SELECT id, responsible_mobile FROM sp")
    }
    assert await persons(pool, now) == "2 responsible persons drawn"
    assert await persons(pool, now + DAY) == "nobody to call"
    late = await make.sp(tx, now)
    assert await persons(pool, now + DAY) == "1 responsible persons drawn"
    placed = await place_all(pool, now, days=6, dead={mobiles[sps[0]]})
    tries = [hour for number, hour in placed if number == mobiles[sps[0]]]
    assert len(placed) == 4
    assert tries[1] - tries[0] >= timedelta(hours=20)
    rows = await tx.fetch("SELECT sp_id, verdict FROM inspection_item WHERE kind = 'responsible'")
    assert {row["sp_id"]: row["verdict"] for row in rows} == {
        sps[0]: "dead", sps[1]: "reachable", late: "reachable",
    }  # fmt: skip
    at = now + 6 * DAY
    assert await follow(pool, at) == 1
    (breach,) = await tx.fetch("SELECT * FROM breach")
    assert (breach["sp_id"], breach["kind"], breach["subject"]) == (
        sps[0], "contact_unreachable", "responsible",
    )  # fmt: skip
    plans = await tx.fetch("SELECT document, plan_sha256, finished_at FROM inspection_plan")
    for plan in plans:
        assert plan["finished_at"] is not None
        assert faults_of(plan["document"], plan["plan_sha256"]) == []
        assert faults_of(plan["document"] + " ", plan["plan_sha256"]), "the hash binds every byte"
    told = "".join(
        [row[0] for row in await tx.fetch("SELECT payload::text FROM outbox")]
        + [plan["document"] for plan in plans] + [str(dict(breach))]
    )  # fmt: skip
    assert not [mobile for mobile in mobiles.values() if mobile in told]
    sp = await sign_in(make.sp_actor(sps[0]))
    (item,) = (await http.get("/inspection-items", headers=sp)).json()["items"]
    assert (item["kind"], item["hotline"], item["verdict"]) == (
        "responsible", mobiles[sps[0]], "dead",
    )  # fmt: skip
    async with db.transaction(pool) as own:
        await judging.object_to(
            own,
            item_id := UUID(item["id"]),
            NewObjection(statement="it rings"),
            actor=make.sp_actor(sps[0]),
            now=at,
        )
        await judging.decide_objection(
            own, item_id, sustain=True, reason="so it does", actor=make.OFFICER, now=at
        )
    await follow(pool, at)
    assert await tx.fetchval("SELECT state FROM breach") == "dismissed"
    assert await persons(pool, now + 95 * DAY) == "3 responsible persons drawn"


async def test_a_mobile_that_was_replaced_or_given_up_before_is_not_held_against_the_sp(
    pool, tx, now, sps
):
    numbers = [
        row[0][2:] for row in await tx.fetch("SELECT responsible_mobile FROM sp ORDER BY id")
    ]
    await persons(pool, now)
    await tx.execute("UPDATE sp SET responsible_mobile = '8613712345678' WHERE id = $1", sps[0])
    await tx.execute(
        "INSERT INTO contact_change (id, sp_id, hotlines, responsible_name, responsible_mobile,"
        " state, requested_at, requested_by) VALUES (gen_random_uuid(), $1, '{}', 'x',"
        " '8613712345679', 'requested', $2, 'sp')", sps[1], now,
    )  # fmt: skip
    async with db.transaction(pool) as own:
        while await actions.drop_withdrawn(own, now=now + 2 * DAY):
            pass
    placed = await place_all(pool, now + timedelta(minutes=1), days=6, dead=set(numbers))
    assert len(placed) == 2, "the replaced one is not called"
    rows = await tx.fetch("SELECT sp_id, verdict, reason FROM inspection_item")
    assert {row["sp_id"]: (row["verdict"], row["reason"]) for row in rows} == {
        sps[0]: ("inconclusive", "withdrawn"), sps[1]: ("inconclusive", "change_requested"),
    }  # fmt: skip


async def test_persons_count_for_no_month_of_the_hotlines(pool, tx, now, sps):
    await persons(pool, now)
    await place_all(pool, now, days=3)
    later = month_range(business_month(now))[1]
    assert await sum_up(pool, later) == "0 months summed up, 0 too slow"
    plan = await draw(pool, now + 5 * DAY, start=Start.NOW)
    await until_judged(pool, plan, now + 5 * DAY)
    assert await sum_up(pool, later) == "2 months summed up, 0 too slow"
    async with db.snapshot(pool) as read:
        found = await plan_queries.items_of_plan(read, plan.id, None, 10)
    assert {item.kind for item in found} == {"hotline"}


class Leaping(FixedClock):
    """Leaves the permitted hours once the calls are taken."""

    def now(self):
        """Return noon three times (lost, withdrawn, taken), then the night."""
        self.asked = getattr(self, "asked", 0) + 1
        return self.at if self.asked <= 3 else self.at + timedelta(hours=12)


async def test_a_call_that_was_taken_does_not_leave_when_the_clock_has_left_the_hours(
    pool, tx, now, prober, invites
):
    await make.sp(tx, now)
    await draw(pool, now)
    await pump_calls(pool, prober, Leaping(now))
    assert invites == []
    rows = await tx.fetch("SELECT state FROM hotline_call WHERE attempt_no = 1")
    assert "unknown" in {row["state"] for row in rows}
