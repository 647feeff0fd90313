"""Sixteen hands at five hundred numbers: every number ends with one live relation and one consent.

The numbers, their open prompts and their yeses are prepared by four statements; what is tested is
what the hands do with them.
"""

from asyncio import gather
from random import Random

import pytest

from spms.core import db
from spms.messaging.model import MessageIn
from tests.subscriptions.world import World

HANDS, NUMBERS = 16, 500
PREPARE = (
    """INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
       SELECT '861370' || lpad(n::text, 7, '0'), 1, 'active', $1, $1
         FROM generate_series(1, $2::int) n""",
    """INSERT INTO number_event (msisdn, id, kind, reason, effective_at, recorded_at, actor,
                                  state_after, epoch_after)
       SELECT msisdn, gen_random_uuid(), 'activated', 'opened', $1, $1, 'test', 'active', 1
         FROM number ORDER BY msisdn LIMIT $2""",
    """INSERT INTO subscription (msisdn, id, epoch, sp_id, service_id, kind, status, tariff_id,
           notice_id, price_fen, channel, requested_at, requested_by, prompt_code, prompt_text,
           confirm_by, charge_from)
       SELECT n.msisdn, gen_random_uuid(), 1, v.sp_id, v.id, v.kind, 'awaiting', t.id, o.id,
              t.price_fen, 'sp', $1, 'sp:test', '4821', 'Y 4821', $1::timestamptz + interval '1 hour', $1
         FROM (SELECT msisdn FROM number ORDER BY msisdn LIMIT $2) n, service v
         JOIN tariff t ON t.service_id = v.id JOIN notice o ON o.tariff_id = t.id""",
)
YESES = """
    INSERT INTO message_in (msisdn, received_at, id, called, text, raw, link, link_message_id)
    SELECT msisdn, $1, gen_random_uuid(), '10010', 'Y 4821', 'Y', 'smsc', gen_random_uuid()::text
      FROM number, generate_series(1, $2::int)
    RETURNING msisdn, received_at, id, called, text, link, link_message_id
"""
OUTCOME = """
    SELECT count(*) AS numbers, max(live) AS most, min(live) AS least, max(consents) AS consents,
           max(confirmed) AS confirmed, max(welcomed) AS welcomed
      FROM (SELECT n.msisdn,
              (SELECT count(*) FROM subscription s
                WHERE s.msisdn = n.msisdn AND s.status = 'active') AS live,
              (SELECT count(*) FROM consent c WHERE c.msisdn = n.msisdn) AS consents,
              (SELECT count(*) FROM subscription_event e
                WHERE e.msisdn = n.msisdn AND e.action = 'confirm') AS confirmed,
              (SELECT count(*) FROM message_out o
                WHERE o.msisdn = n.msisdn AND o.kind = 'welcome') AS welcomed
              FROM number n) one
"""


async def confirmed_by_many(world: World, *, yeses: int) -> None:
    """Let each hand handle yeses of every number, in an order of its own."""
    await world.sold()
    now = world.clock.now()
    async with db.transaction(world.pool) as tx:
        for statement in PREPARE:
            await tx.execute(statement, now, NUMBERS)
        rows = await tx.fetch(YESES, now, yeses)
    messages: dict[str, list[MessageIn]] = {}
    for row in rows:
        one = MessageIn(**dict(row))
        messages.setdefault(one.msisdn, []).append(one)

    async def hand(place: int) -> list[str]:
        order = [texts[place % yeses] for texts in messages.values()]
        # Neighbours begin at the same place, so that they meet at the same numbers.
        Random(place // 4).shuffle(order)
        return [await world.handled(message) for message in order]

    outcomes = [outcome for done in await gather(*map(hand, range(HANDS))) for outcome in done]
    assert len(outcomes) == HANDS * NUMBERS
    assert set(outcomes) <= {"confirmed", "already_confirmed"}
    told = await world.pool.fetchrow(OUTCOME)
    assert dict(told or {}) == {
        "numbers": NUMBERS, "most": 1, "least": 1, "consents": 1, "confirmed": 1, "welcomed": 1,
    }  # fmt: skip


async def test_sixteen_hands_confirm_five_hundred_numbers_once_each(world: World) -> None:
    """Two yeses a number, each handled by eight hands at once."""
    await confirmed_by_many(world, yeses=2)


@pytest.mark.soak
async def test_sixteen_yeses_of_five_hundred_numbers_confirm_once_each(world: World) -> None:
    await confirmed_by_many(world, yeses=16)
