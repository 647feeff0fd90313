"""What makes a consent is in the statement that stores it, whatever the code above it thought."""

from datetime import timedelta

import msgspec
import pytest

from spms.core import db
from spms.subscriptions import order_queries, queries
from spms.subscriptions.model import Action
from spms.subscriptions.rules import decide
from spms.subscriptions.trial import ChargeRule, FirstCharge
from tests.subscriptions.world import World


@pytest.mark.parametrize(
    ("minutes", "epochs_on", "confirmed"),
    [(59, 0, True), (60, 0, False), (-1, 0, False), (5, 1, False)],
)
async def test_a_reply_outside_the_window_or_of_another_owner_stores_no_consent(
    world: World, minutes: int, epochs_on: int, confirmed: bool
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    world.clock.move(timedelta(minutes=minutes))
    reply = await world.received(msisdn, "Y")
    async with db.transaction(world.pool) as tx:
        number = await queries.hold_number(tx, msisdn)
        assert number is not None
        number = msgspec.structs.replace(number, epoch=number.epoch + epochs_on)
        change = decide(asked, Action.CONFIRM, at=reply.received_at)
        first = FirstCharge(at=reply.received_at, rule=ChargeRule.AT_ONCE)
        done = await order_queries.confirm(
            tx, number, asked, change, reply, first=first, running=None, actor="test"
        )
    assert done is confirmed
    assert len(await world.consents(msisdn)) == confirmed
    assert await world.status(asked.id) == ("active" if confirmed else "awaiting")
