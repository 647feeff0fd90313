"""How a relation begins: what stands before a prompt, the row it makes, the yes that makes it live.

Writes `subscription`, `subscription_event` and `consent` only.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed
from spms.core.ids import new_id
from spms.messaging.model import MessageIn
from spms.subscribers.model import Number
from spms.subscriptions.model import Action, Subscription
from spms.subscriptions.rules import Change, Standing
from spms.subscriptions.trial import FirstCharge

STANDING = """
    SELECT count(*) FILTER (WHERE prompt_text IS NOT NULL AND requested_at >= $4) AS prompts_today,
           max(ended_at) FILTER (WHERE service_id = $2 AND epoch = $3 AND status = 'refused')
               AS refused_at,
           max(ended_at) FILTER (WHERE service_id = $2 AND epoch = $3 AND status = 'expired')
               AS silent_at,
           COALESCE(max(status) FILTER (WHERE service_id = $2 AND status = 'awaiting'),
                    max(status) FILTER (WHERE service_id = $2 AND kind = 'monthly'
                        AND status IN ('active', 'suspended'))) AS live,
           COALESCE(array_agg(prompt_code) FILTER (WHERE prompt_code IS NOT NULL
               AND requested_at > $5), '{}') AS codes
      FROM subscription WHERE msisdn = $1
"""


async def standing(
    read: Connection, number: Number, service_id: UUID, *, today: datetime, lately: datetime
) -> Standing:
    """Read what a number's past says about one more prompt; `today` is when the day began."""
    row = await read.fetchrow(STANDING, number.msisdn, service_id, number.epoch, today, lately)
    return msgspec.convert(dict(row or {}), Standing)


ADD = """
    WITH added AS (
        INSERT INTO subscription (msisdn, id, epoch, sp_id, service_id, kind, status, tariff_id,
            notice_id, price_fen, channel, requested_at, requested_by, request_text,
            request_received_at, request_message_id, prompt_code, prompt_text, confirm_by,
            active_from, charge_from, charge_rule, follows_id, free_until, link_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
            $19, $20, $24, $25, $26, $27, $28)
        ON CONFLICT DO NOTHING RETURNING *
    ), told AS (
        INSERT INTO subscription_event
            (msisdn, id, subscription_id, action, to_status, at, actor, reason, cause)
        SELECT msisdn, $21, id, $22, status, requested_at, requested_by, $23,
               CASE channel WHEN 'sp' THEN 'sp' WHEN 'agent' THEN 'agent' ELSE 'subscriber' END
          FROM added
    ), consented AS (
        INSERT INTO consent (msisdn, subscription_id, kind, service_id, price_fen,
            message_received_at, message_id, reply_text, given_at)
        SELECT msisdn, id, 'order', service_id, price_fen, request_received_at,
               request_message_id, request_text, request_received_at
          FROM added WHERE $22 = 'order'
    )
    SELECT count(*) FROM added
"""


async def add(tx: Connection, new: Subscription, action: Action, *, reason: str | None) -> bool:
    """Store a new relation with its history line; False when one is live already.

    With `ORDER` the message that asked is the consent, stored by the same statement.
    """
    count: int = await tx.fetchval(
        ADD, new.msisdn, new.id, new.epoch, new.sp_id, new.service_id, new.kind, new.status,
        new.tariff_id, new.notice_id, new.price_fen, new.channel, new.requested_at,
        new.requested_by, new.request_text, new.request_received_at, new.request_message_id,
        new.prompt_code, new.prompt_text, new.confirm_by, new.active_from, new_id(), action, reason,
        new.charge_from, new.charge_rule, new.follows_id, new.free_until, new.link_id,
    )  # fmt: skip
    return count == 1


LAST_BEGUN = """
    SELECT max(active_from) FROM subscription
     WHERE msisdn = $1 AND service_id = $2 AND epoch = $3 AND active_from <= $4
       AND follows_id IS NULL AND free_until IS NULL
"""


async def last_begun(
    read: Connection, number: Number, service_id: UUID, *, at: datetime
) -> datetime | None:
    """Return when this owner last began a service by an order, however it ended; None for never.

    New terms of a running relation are no order, nor is an SP's own free trial.
    """
    begun: datetime | None = await read.fetchval(
        LAST_BEGUN, number.msisdn, service_id, number.epoch, at
    )
    return begun


CONFIRM = """
    WITH taken_over AS (
        UPDATE subscription SET status = 'ended', ended_at = $6, end_reason = 'taken_over'
         WHERE msisdn = $1 AND id = $14::uuid AND status IN ('active', 'suspended')
           AND active_from <= $6
           AND EXISTS (SELECT FROM subscription n
                        WHERE n.msisdn = $1 AND n.id = $2 AND n.status = $3 AND n.epoch = $5
                          AND n.requested_at <= $6 AND n.confirm_by > $6 AND n.follows_id = $14)
        RETURNING msisdn, id, $15::text AS from_status
    ), moved AS (
        UPDATE subscription SET status = $4, active_from = $6, charge_from = $12, charge_rule = $13
         WHERE msisdn = $1 AND id = $2 AND status = $3 AND epoch = $5
           AND requested_at <= $6 AND confirm_by > $6
           AND follows_id IS NOT DISTINCT FROM (SELECT max(id::text)::uuid FROM taken_over)
        RETURNING msisdn, id, service_id, price_fen, prompt_text
    ), told AS (
        INSERT INTO subscription_event
            (msisdn, id, subscription_id, action, from_status, to_status, at, actor, cause,
             message_id)
        SELECT msisdn, $9, id, $10, $3, $4, $6, $11, 'subscriber', NULL::uuid FROM moved
        UNION ALL
        SELECT t.msisdn, gen_random_uuid(), t.id, 'end', t.from_status, 'ended', $6, $11,
               'taken_over', $7
          FROM taken_over t, moved
    )
    INSERT INTO consent (msisdn, subscription_id, kind, service_id, price_fen,
        message_received_at, message_id, prompt_text, reply_text, given_at)
    SELECT msisdn, id, 'confirmation', service_id, price_fen, $6, $7, prompt_text, $8, $6
      FROM moved
"""


async def confirm(
    tx: Connection, number: Number, pending: Subscription, change: Change, reply: MessageIn,
    *, first: FirstCharge, running: Subscription | None, actor: str,
) -> bool:  # fmt: skip
    """Make a relation live by a message: status, history and consent together, or none of them.

    However many yeses race, one finds the relation waiting. The conditions that make a consent
    (same owner, after the prompt, before the window closes) are in the statement itself. What it
    takes over from (`running`) ends in the same statement, at the same instant, so no month is
    without a price and none has two. False when nothing was confirmed, and nothing ended.
    """
    done = await tx.execute(
        CONFIRM, number.msisdn, pending.id, change.before, change.after, number.epoch,
        reply.received_at, reply.id, reply.text, new_id(), change.action, actor,
        first.at, first.rule, running.id if running else None,
        running.status if running else None,
    )  # fmt: skip
    return changed(done) == 1
