"""The questions that `spms invariants` asks of settlements, and that each of them notices."""

import pytest

from jobs.check_invariants import INVARIANTS
from spms.core import db, invariants
from spms.settlement import locking
from spms.settlement.invariant_queries import INVARIANTS as SETTLEMENT
from spms.settlement.life_model import Payment
from tests import make

TAMPERED = {
    "locked_statements_unchanged": "UPDATE settlement SET payable_fen = payable_fen + 1",
    "locked_have_locks": "ALTER TABLE settlement_payment DROP CONSTRAINT settlement_payment_lock;"
    "ALTER TABLE settlement_use DROP CONSTRAINT settlement_use_lock; DELETE FROM settlement_lock",
    "locks_are_one_chain": "ALTER TABLE settlement_lock DROP CONSTRAINT settlement_lock_statement;"
    "UPDATE settlement_lock SET follows = 'x'",
    "steps_add_up": "UPDATE settlement_step SET taken_fen = taken_fen + 1 WHERE kind = 'share'",
    "figures_are_stated": "UPDATE settlement_figure SET amount_fen = amount_fen + 1",
    "charges_are_counted": "UPDATE charge_record SET price_fen = price_fen + 1",
    "locks_are_booked": "UPDATE posting SET amount_fen = amount_fen + 1"
    " WHERE reason = 'settlement_share'",
    "payments_are_booked": "UPDATE settlement_payment SET amount_fen = amount_fen + 1",
}


async def broken(tx):
    return {one.name for one in await invariants.check(tx, INVARIANTS) if not one.holds}


async def test_every_tampering_is_noticed(world, pool, tx, owner, clock):
    await world.charges(20)
    await world.through(2)
    locked = await world.state()
    async with db.transaction(pool) as own:
        officer = {"actor": make.OFFICER, "now": clock.now()}
        await locking.approve_payout(own, locked["pay_month"], **officer)
        paying = Payment(reference="B", settlement_ids=[locked["id"]])
        await locking.pay(own, paying, **officer)
    assert await broken(tx) == set()
    for name, statement in TAMPERED.items():
        change = owner.transaction()
        await change.start()
        await owner.execute(statement)
        found = {one.name for one in await invariants.check(owner, INVARIANTS) if not one.holds}
        await change.rollback()
        assert name in found, name


@pytest.mark.parametrize("name", sorted(one.name for one in SETTLEMENT))
def test_each_is_tampered_with(name):
    assert name in TAMPERED
