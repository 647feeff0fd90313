"""What is told late makes a charge wrong after all, and the finding is added beside it."""

from datetime import timedelta
from uuid import uuid4

import pytest

from spms.charging import actions
from spms.charging.model import Finding
from spms.core.access import job_actor
from spms.core.db import transaction
from spms.core.errors import NotFound
from spms.messaging import actions as messaging
from spms.messaging.model import IncomingSms
from spms.subscriptions import wishes
from tests import make
from tests.charging.world import DAY

HOUR = timedelta(hours=1)
JOB = job_actor("reaudit")


@pytest.fixture
async def relation(tx, world):
    return await make.subscription(tx, world.now - 2 * DAY, world.msisdn, world.monthly_id)


async def landed(world):
    landing = await world.land(world.record())
    assert landing.outcomes[0].findings == ()
    return landing.outcomes[0].charge_id


async def leave(tx, world, relation, ended_at, *, reason="subscriber"):
    """End a relation as its room does: the row, and its history line."""
    await tx.execute(
        "UPDATE subscription SET status = 'ended', ended_at = $2, end_reason = $3 WHERE id = $1",
        relation, ended_at, reason,
    )  # fmt: skip
    await tx.execute(
        """INSERT INTO subscription_event
               (msisdn, id, subscription_id, action, from_status, to_status, at, actor, cause)
           VALUES ($1, $2, $3, 'leave', 'active', 'ended', $4, 'test', 'subscriber')""",
        world.msisdn, uuid4(), relation, world.now,
    )  # fmt: skip


async def told(tx, world, kind, at, *, state, epoch=1):
    await tx.execute(
        """INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                                     state_after, epoch_after)
           VALUES ($1, $2, $3, 'operator', $4, $5, 'test', $6, $7)""",
        world.msisdn, uuid4(), kind, at, world.now, state, epoch,
    )  # fmt: skip


async def recent(world):
    async with transaction(world.pool) as tx:
        return await actions.reaudit_recent(tx, now=world.now, actor=JOB)


async def test_an_unsubscribe_handled_late_counts_from_when_it_was_received(tx, world, relation):
    charge_id = await landed(world)
    await leave(tx, world, relation, world.now - 2 * HOUR)
    assert await recent(world) == 1
    charge = await actions.charge(tx, world.msisdn, charge_id)
    assert charge.findings == [Finding.AFTER_UNSUBSCRIBE]
    assert (charge.price_fen, charge.due_fen) == (800, 0)
    row = await tx.fetchrow("SELECT found_by, detail FROM charge_finding")
    assert row["found_by"] == "job:reaudit"
    assert row["detail"]["subscription_id"] == str(relation)
    assert await recent(world) == 0


async def test_a_wish_settled_weeks_later_counts_from_when_it_was_received(world, relation):
    """Its handling failed; the SP charged through the network, and an agent found out much later."""
    sms = IncomingSms(
        msisdn=world.msisdn, called="10010", text="TD", raw=b"TD", link="smsc", link_message_id="1"
    )
    async with transaction(world.pool) as inner:
        message = await messaging.receive(inner, sms, now=world.now - DAY)
        assert message is not None
        await messaging.mark_handled(
            inner, message, reading=None, outcome="failed", now=world.now - DAY
        )
    await landed(world)
    world.now += 20 * DAY
    assert await recent(world) == 0
    async with transaction(world.pool) as inner:
        await wishes.settle(
            inner, message.id, subscription_ids=None, reason="called", ticket="GD-1",
            actor=make.AGENT, now=world.now,
        )  # fmt: skip
    assert await recent(world) == 1
    kinds = await world.pool.fetch("SELECT kind FROM charge_finding")
    assert [row["kind"] for row in kinds] == [Finding.AFTER_UNSUBSCRIBE]


async def test_an_unsubscribe_after_the_charge_changes_nothing(tx, world, relation):
    await landed(world)
    await leave(tx, world, relation, world.now - HOUR / 2)
    assert await recent(world) == 0


@pytest.mark.parametrize(
    ("kind", "state", "epoch", "finding"),
    [
        ("suspended", "suspended", 1, "number_suspended"),
        ("terminated", "terminated", 1, "number_terminated"),
        ("transferred", "active", 2, "after_transfer"),
    ],
)
async def test_a_number_event_told_late_counts_from_when_it_took_effect(
    tx, world, relation, kind, state, epoch, finding
):
    charge_id = await landed(world)
    await told(tx, world, kind, world.now - 2 * HOUR, state=state, epoch=epoch)
    assert await recent(world) == 1
    charge = await actions.charge(tx, world.msisdn, charge_id)
    assert (charge.findings, charge.due_fen) == ([finding], 0)
    assert await recent(world) == 0


async def test_a_suspension_that_was_over_by_the_charge_changes_nothing(tx, world, relation):
    await landed(world)
    await told(tx, world, "suspended", world.now - 3 * HOUR, state="suspended")
    await told(tx, world, "resumed", world.now - 2 * HOUR, state="active")
    assert await recent(world) == 0


async def test_a_charge_found_wrong_later_frees_the_month_it_stood_for(tx, world, relation):
    await landed(world)
    await leave(tx, world, relation, world.now - 2 * HOUR)
    await recent(world)
    await make.subscription(
        tx, world.now - HOUR / 2, world.msisdn, world.monthly_id, requested_at=world.now - HOUR
    )
    assert await world.findings(charged_at=world.now) == (set(), 800)


async def test_a_lapsed_order_is_no_late_news(tx, world):
    order = await make.subscription(tx, world.now - DAY, world.msisdn, world.game_id)
    record = world.record(service_code=world.game, price_fen=200)
    assert (await world.land(record)).outcomes[0].findings == ()
    await leave(tx, world, order, world.now - 2 * HOUR, reason="lapsed")
    assert await recent(world) == 0


async def test_judging_a_wrong_charge_again_adds_nothing(tx, pool, world):
    landing = await world.land(world.record())
    charge_id = landing.outcomes[0].charge_id
    async with transaction(pool) as inner:
        again = await actions.reaudit(inner, world.msisdn, charge_id, now=world.now, actor=JOB)
    assert again == []


async def test_a_charge_of_another_number_is_not_found(tx, world, relation):
    charge_id = await landed(world)
    with pytest.raises(NotFound):
        await actions.charge(tx, await make.number(tx, world.now), charge_id)
