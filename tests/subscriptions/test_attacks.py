"""What the application's own database role cannot do, however it is tricked."""

from uuid import uuid4

import asyncpg
import pytest

from spms.core import db
from tests.subscriptions.world import World

REFUSED = (asyncpg.InsufficientPrivilegeError, asyncpg.IntegrityConstraintViolationError)

FORBIDDEN = (
    "UPDATE subscription SET price_fen = 1",
    "UPDATE subscription SET tariff_id = gen_random_uuid()",
    "UPDATE subscription SET notice_id = gen_random_uuid()",
    "UPDATE subscription SET prompt_text = 'Y'",
    "UPDATE subscription SET confirm_by = 'infinity'",
    "UPDATE subscription SET requested_at = '-infinity'",
    "UPDATE subscription SET service_id = gen_random_uuid()",
    "UPDATE subscription SET epoch = 2",
    "UPDATE subscription SET msisdn = '8613000000000'",
    "UPDATE subscription SET status = 'active', active_from = NULL",
    "UPDATE subscription SET status = 'ended', ended_at = NULL",
    "UPDATE subscription SET ended_at = now()",
    "UPDATE subscription SET status = 'ended', ended_at = active_from - interval '1 second'",
    "UPDATE subscription SET status = 'paid'",
    "DELETE FROM subscription",
    "TRUNCATE subscription CASCADE",
    "UPDATE consent SET given_at = '-infinity'",
    "UPDATE consent SET reply_text = 'Y'",
    "UPDATE consent SET price_fen = 1",
    "DELETE FROM consent",
    "UPDATE subscription_event SET action = 'confirm'",
    "DELETE FROM subscription_event",
    "UPDATE leave_list SET subscription_ids = '{}'",
    "DELETE FROM leave_list",
    "UPDATE message_in SET text = 'Y'",
    "UPDATE message_in SET received_at = '-infinity'",
    "DELETE FROM message_in",
    "ALTER TABLE consent DROP CONSTRAINT consent_message",
    "DROP TABLE consent",
    "CREATE OR REPLACE VIEW subscription_shown AS SELECT 1",
)


async def test_terms_consents_and_history_cannot_be_rewritten(
    world: World, tx: db.Connection
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    await world.running(msisdn, sold)
    succeeded = []
    for attack in FORBIDDEN:
        try:
            await tx.execute(attack)
        except REFUSED:
            continue
        succeeded.append(attack)
    assert succeeded == []


CONSENT = """
    INSERT INTO consent (msisdn, subscription_id, kind, service_id, price_fen, message_received_at,
        message_id, prompt_text, reply_text, given_at)
    VALUES ($1, $2, $3, $4, 800, $5, $6, $7, 'Y', $8)
"""


async def test_a_consent_cannot_be_made_without_a_message_of_that_number_and_instant(
    world: World, tx: db.Connection
) -> None:
    sold, other, msisdn = await world.sold(), await world.number(), await world.number()
    asked = await world.asked(msisdn, sold)
    now = world.clock.now()
    foreign = await world.received(other, "Y")
    own = await world.received(msisdn, "Y")
    forged = (
        (asked.id, "confirmation", now, uuid4(), "x", now),  # a message that never came
        (asked.id, "confirmation", now, foreign.id, "x", now),  # another person's message
        (asked.id, "confirmation", asked.confirm_by, own.id, "x", asked.confirm_by),  # other time
        (asked.id, "confirmation", now, own.id, "x", asked.confirm_by),  # given when?
        (asked.id, "confirmation", now, own.id, None, now),  # no prompt
        (asked.id, "goodwill", now, own.id, "x", now),  # no such kind
        (uuid4(), "confirmation", now, own.id, "x", now),  # no such relation
    )
    for subscription_id, kind, received_at, message_id, prompt, given_at in forged:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await tx.execute(
                CONSENT, msisdn, subscription_id, kind, sold.id, received_at, message_id, prompt,
                given_at,
            )  # fmt: skip
    assert await world.consents(msisdn) == []


async def test_one_message_is_the_consent_to_one_relation_only(
    world: World, tx: db.Connection
) -> None:
    first, second, msisdn = await world.sold(), await world.sold(), await world.number()
    await world.asked(msisdn, first)
    yes = await world.received(msisdn, "Y")
    assert await world.handled(yes) == "confirmed"
    asked = await world.asked(msisdn, second)
    with pytest.raises(asyncpg.UniqueViolationError):
        await tx.execute(
            CONSENT, msisdn, asked.id, "confirmation", second.id, yes.received_at, yes.id, "x",
            yes.received_at,
        )  # fmt: skip


async def test_a_prompt_without_code_text_or_window_cannot_wait_for_an_answer(
    world: World, tx: db.Connection
) -> None:
    sold, msisdn = await world.sold(), await world.number()
    asked = await world.asked(msisdn, sold)
    await world.say(msisdn, "N")
    for missing in ("prompt_code", "prompt_text", "confirm_by"):
        columns = [
            "msisdn", "epoch", "sp_id", "service_id", "kind", "tariff_id", "notice_id",
            "price_fen", "channel", "requested_at", "requested_by",
            *({"prompt_code", "prompt_text", "confirm_by"} - {missing}),
        ]  # fmt: skip
        with pytest.raises(asyncpg.CheckViolationError):
            await tx.execute(
                f"INSERT INTO subscription (id, status, {', '.join(columns)}) "
                f"SELECT gen_random_uuid(), 'awaiting', {', '.join(columns)} FROM subscription "
                "WHERE id = $1",
                asked.id,
            )
