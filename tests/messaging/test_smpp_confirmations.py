"""1,000 prompts go out, 1,000 answers come back, over a line that breaks again and again."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from itertools import cycle

from jobs import handle_messages
from jobs.timetable import House
from spms.core import db
from spms.messaging import actions
from spms.messaging.courier import pump_out
from spms.messaging.model import MessageKind, Outgoing
from spms.messaging.smpp_link import SmppLink
from tests import make
from tests.messaging.smsc import (
    DELIVER_SM,
    DELIVER_SM_RESP,
    SUBMIT_SM,
    SUBMIT_SM_RESP,
    line_to,
    link_settings,
    running_smsc,
)

PEOPLE = 1000
NUMBERS = """
    WITH added AS (
        INSERT INTO number (msisdn, epoch, state, state_since, epoch_since)
        SELECT (8613900000000 + n)::text, 1, 'active', $1, $1 FROM generate_series(1, $2) AS n
        RETURNING msisdn
    )
    INSERT INTO subscription (msisdn, id, epoch, sp_id, service_id, kind, status, tariff_id,
           notice_id, price_fen, channel, requested_at, requested_by, prompt_code, prompt_text,
           confirm_by)
    SELECT a.msisdn, gen_random_uuid(), 1, s.sp_id, s.id, s.kind, 'awaiting', t.id, n.id,
           t.price_fen, 'web', $1, 'test', '4821', '回复Y确认', $1 + interval '60 minutes'
      FROM added a, service s JOIN tariff t ON t.service_id = s.id
      JOIN notice n ON n.service_id = s.id
"""
OPEN = "SELECT count(*) FROM message_out WHERE state IN ('queued', 'sending', 'unknown')"


async def carried(pool, link, clock):
    await asyncio.wait_for(link.up.wait(), 30)
    return await pump_out(pool, link, clock, limit=100)


async def handled(house):
    while await handle_messages.pump(house):
        pass


async def test_a_thousand_confirmations_are_confirmed_exactly_once(pool, clock, settings):
    fate = random.Random(7)
    async with db.transaction(pool) as tx:
        await make.service(tx, clock.now(), await make.sp(tx, clock.now()))
        await tx.execute(NUMBERS, clock.now(), PEOPLE)
        people = [row["msisdn"] for row in await tx.fetch("SELECT msisdn FROM subscription")]
        prompts = [
            Outgoing(
                msisdn=msisdn, text="回复Y确认", kind=MessageKind.PROMPT,
                about_kind="subscription", about_id=msisdn,
            )
            for msisdn in people
        ]  # fmt: skip
        await actions.send_many(tx, prompts, now=clock.now())
    clock.move(timedelta(seconds=1))
    prompted: Counter[str] = Counter()
    breaks = True
    async with running_smsc() as smsc, line_to(smsc) as line, asyncio.TaskGroup() as phones:
        cuts = cycle(
            [(SUBMIT_SM, 59), (SUBMIT_SM_RESP, 20), (DELIVER_SM, 53), (DELIVER_SM_RESP, 18)]
        )

        def answer(event, number):
            """The phone answers its first prompt at once: before the SMSC answers the link."""
            prompted[event.destination_addr] += 1
            if prompted[event.destination_addr] == 1:
                phones.create_task(smsc.deliver_until_taken(event.destination_addr, b"Y"))
            event.accept(f"m{number}")
            if number % 32 == 0 and breaks:
                command, length = next(cuts)
                line.cut(command, fate.randrange(length))

        smsc.answer = answer
        link = SmppLink(link_settings(line.port), pool, clock)
        async with link.running():
            while await pool.fetchval(OPEN):
                while await carried(pool, link, clock):
                    pass
                # What was lost goes once more, and what is lost twice is given up: now it holds.
                breaks = False
                line.hold()
                clock.move(actions.LEASE)
            while phones._tasks:
                await asyncio.wait(phones._tasks)
    house = House(pool=pool, clock=clock, settings=settings, link=link, prober=None)
    await asyncio.gather(*[handled(house) for _ in range(3)])
    assert line.cuts >= 20
    assert set(prompted) == set(people)
    assert max(prompted.values()) == 2, "whether it had arrived was open: once more, never twice"
    consents = await pool.fetch("SELECT msisdn FROM consent")
    assert sorted(row["msisdn"] for row in consents) == sorted(people)
    replies = await pool.fetch("SELECT msisdn, outcome FROM message_in")
    assert sorted(row["msisdn"] for row in replies) == sorted(people)
    assert {row["outcome"] for row in replies} == {"confirmed"}
    events = await pool.fetch("SELECT msisdn FROM subscription_event WHERE to_status = 'active'")
    assert len(events) == PEOPLE
