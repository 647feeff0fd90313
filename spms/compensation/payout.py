"""Paying refunds out: a row decides, the gateway is asked when its answer was lost.

A payout leaves `unknown` only by an answer to a question about it. Settled ones are booked from
what subscribers get to what they have.
"""

import asyncio
from datetime import datetime, timedelta

from spms.compensation import journal
from spms.compensation import payout_queries as queries
from spms.compensation.accounts import Account, PostingReason
from spms.compensation.gateways import Answer, BillingGateway, FileGateway, HttpGateway, Payout
from spms.compensation.journal_model import Draft, EntryLine, Part
from spms.core import db
from spms.core.access import Actor, job_actor
from spms.core.clock import Clock
from spms.core.db import Connection, Pool
from spms.core.ids import derived_id, hashed_id
from spms.core.settings import Settings

BATCH_MAX = 100
LEASE = timedelta(seconds=60)
"""A courier must be done with a batch well before; after it, the outcome counts as unknown."""
ASK_AGAIN = timedelta(seconds=30)


def gateway_of(settings: Settings) -> BillingGateway:
    """Return the gateway that the settings name."""
    if settings.billing_url is not None:
        return HttpGateway(settings.billing_url)
    return FileGateway(settings.data_path / "payouts")


async def pump(pool: Pool, gateway: BillingGateway, clock: Clock) -> int:
    """Hand over or ask about what is due; return how many.

    Three steps: lease (committed), the gateway (no transaction), the outcome (committed).
    """
    async with db.transaction(pool) as tx:
        due = await queries.take(tx, now=clock.now(), limit=BATCH_MAX, lease=LEASE)
    if not due:
        return 0
    answers = await asyncio.gather(
        *[gateway.ask(payout) if payout.ask else gateway.pay(payout) for payout in due]
    )
    ended = list(zip(due, answers, strict=True))
    async with db.transaction(pool) as tx:
        now = clock.now()
        settled = await queries.record(tx, ended, now=now, ask_again=ASK_AGAIN)
        await book(tx, settled, actor=job_actor("pay_out"), now=now)
    return sum(answer is not Answer.NO_ANSWER for answer in answers)


async def book(tx: Connection, settled: list[Payout], *, actor: Actor, now: datetime) -> None:
    """Book what reached the bill; a debit takes back the entry of its credit."""
    await journal.hold(tx, [one.msisdn for one in settled], now=now)
    drafts = [entry_of(one) for one in settled if one.takes_back is None]
    await journal.post(tx, drafts, actor=actor, now=now)
    for one in settled:
        if one.takes_back is not None:
            await journal.reverse(
                tx, one.msisdn, one.takes_back, part=_part(one), actor=actor, now=now
            )


def _part(debit: Payout) -> Part | None:
    """Return which part of a joint credit a debit takes back; None: all of the credit."""
    if not debit.is_part or debit.charge_id is None:
        return None
    line_id = hashed_id("posting", debit.charge_id, "payout", debit.round)
    return Part(
        id=hashed_id("payout", debit.charge_id, debit.round),
        charge_id=debit.charge_id,
        lines={PostingReason.PAYOUT: (line_id, debit.amount_fen)},
    )


def entry_of(payout: Payout) -> Draft:
    """Return how a payout that reached the bill is booked; its id is the payout's."""
    return Draft(
        msisdn=payout.msisdn,
        id=payout.id,
        kind="payout",
        charge_id=payout.charge_id,
        lines=[
            EntryLine(
                id=derived_id("posting", payout.id),
                debit=Account.SUBSCRIBER_PAYABLE,
                credit=Account.SUBSCRIBER_BALANCE,
                sp_id=payout.sp_id,
                amount_fen=payout.amount_fen,
                reason=PostingReason.PAYOUT,
            )
        ],
    )
