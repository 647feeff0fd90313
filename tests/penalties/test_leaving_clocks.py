"""An SP that does not take the news of a leaving within 12 h is served notice, once until it is cured."""

from datetime import timedelta

import pytest

from jobs import follow_leavings
from jobs.timetable import House
from spms.core import db
from spms.core.access import job_actor
from spms.partners import event_feed
from spms.penalties.model import BreachKind, BreachState, Source
from spms.subscriptions import duties, proxy
from spms.subscriptions.telling import tell_untold
from tests import make

WATCH = job_actor("watch_leaving")


@pytest.fixture
def house(case, settings):
    return House(pool=case.pool, clock=case.clock, settings=settings, link=None, prober=None)


async def left_through_an_agent(case, *, told=True) -> None:
    async with db.transaction(case.pool) as tx:
        msisdn = await make.number(tx, case.now)
        await make.subscription(tx, case.now, msisdn, case.service_id)
    case.clock.move(timedelta(minutes=1))
    async with db.transaction(case.pool) as tx:
        found = await proxy.look_up(
            tx, msisdn, reason="called", ticket="GD-1", actor=make.AGENT, now=case.now
        )
        done = await proxy.leave(
            tx, found.lookup_id, subscription_ids=None, actor=make.AGENT, now=case.now
        )
    assert len(done.left) == 1
    if told:
        await put_into_the_feed(case)


async def put_into_the_feed(case) -> None:
    async with db.transaction(case.pool) as tx:
        assert await event_feed.take_turn(tx)
        await tell_untold(tx)
        await event_feed.number(tx, now=case.now)


async def test_a_clock_that_ran_out_is_a_notice_and_the_next_a_report_of_the_same(case, house):
    await left_through_an_agent(case)
    case.clock.move(timedelta(hours=11))
    await case.do(duties.watch, actor=WATCH)
    assert await follow_leavings.pump(house) == 0
    case.clock.move(timedelta(hours=2))
    await case.do(duties.watch, actor=WATCH)
    assert await follow_leavings.pump(house) == 1
    assert await follow_leavings.pump(house) == 0
    (breach,) = await case.all()
    assert (breach.sp_id, breach.kind, breach.state, breach.source_kind) == (
        case.sp_id, BreachKind.LEAVING_OBSTRUCTED, BreachState.PROPOSED, Source.LEAVING_CLOCK,
    )  # fmt: skip
    await left_through_an_agent(case)
    case.clock.move(timedelta(hours=13))
    await case.do(duties.watch, actor=WATCH)
    assert await follow_leavings.pump(house) == 1
    assert len(await case.all()) == 1
    reports = await case.pool.fetchval("SELECT count(*) FROM breach_report")
    assert reports == 2
    waiting = "SELECT count(*) FROM outbox WHERE topic = 'leaving.overdue' AND done_at IS NULL"
    assert await case.pool.fetchval(waiting) == 0


async def test_an_sp_that_acknowledged_in_time_is_served_nothing(case, house):
    """Our own confirmation did not leave: that is a clock too, and no SP's fault."""
    await left_through_an_agent(case)
    duty_id = await case.pool.fetchval("SELECT id FROM leaving_duty WHERE kind = 'sp_told'")
    await case.do(duties.acknowledge, duty_id, actor=make.sp_actor(case.sp_id))
    case.clock.move(timedelta(hours=13))
    await case.do(duties.watch, actor=WATCH)
    assert (
        await case.pool.fetchval("SELECT count(*) FROM outbox WHERE topic = 'leaving.overdue'") == 1
    )
    assert await follow_leavings.pump(house) == 0
    assert await case.all() == []
    async with db.transaction(case.pool) as tx:
        shown = await duties.duties(
            tx, clock="overdue", cursor=None, limit=10, actor=make.OFFICER, now=case.now
        )
    assert [one.kind for one in shown.items] == ["welcome_revoked"]


async def test_news_that_was_not_there_to_be_read_in_time_is_no_sps_fault(case, house):
    for late in (False, True):
        await left_through_an_agent(case, told=False)
        case.clock.move(timedelta(hours=13))
        if late:
            await put_into_the_feed(case)
        await case.do(duties.watch, actor=WATCH)
        assert await follow_leavings.pump(house) == 0
        assert await case.all() == []
    breached = (
        "SELECT count(*) FROM leaving_duty WHERE kind = 'sp_told' AND breached_at IS NOT NULL"
    )
    assert await case.pool.fetchval(breached) == 2, "it stays in the list of clocks"
