"""The link against a third party's SMSC: out, in, receipts, and everything that breaks."""

import asyncio
import itertools

from spms.core import db
from spms.messaging import actions
from spms.messaging.courier import pump_out
from spms.messaging.model import MessageKind
from spms.messaging.smpp_link import SmppLink
from tests.messaging.smsc import (
    DELIVER_SM,
    DELIVER_SM_RESP,
    PATIENCE,
    line_to,
    link_settings,
    running_smsc,
)

MSISDN = "8613912340000"


async def send(pool, clock, *texts, msisdn=MSISDN):
    async with db.transaction(pool) as tx:
        for text in texts:
            await actions.send(
                tx, msisdn=msisdn, text=text, kind=MessageKind.PROMPT, about_kind="x",
                about_id="1", now=clock.now(),
            )  # fmt: skip


async def stored(pool, what="msisdn, called, text"):
    async with pool.acquire() as read:
        rows = await read.fetch(f"SELECT {what} FROM message_in ORDER BY received_at, id")
    return [tuple(row) for row in rows]


async def state(pool):
    async with pool.acquire() as read:
        return await read.fetchval("SELECT string_agg(state, ' ' ORDER BY id) FROM message_out")


async def test_messages_go_out_come_in_and_are_reported_on(pool, clock):
    async with running_smsc() as smsc:
        link = SmppLink(link_settings(smsc.port), pool, clock)
        await send(pool, clock, "回复Y确认")
        assert await pump_out(pool, link, clock) == 0, "nothing is taken before the link is up"
        async with link.running():
            await smsc.session()
            await asyncio.wait_for(link.up.wait(), PATIENCE)
            # A receipt that comes before the answer to the submission waits for it.
            receipts = []

            def report_first(event, number):
                async def report():
                    await smsc.deliver(
                        event.destination_addr, to=event.source_addr, esm_class=4,
                        content=b"id:00000000%d sub:001 dlvrd:001 submit date:2603021200"
                        b" done date:2603021201 stat:DELIVRD err:000 Text:" % number,
                    )  # fmt: skip
                    event.accept(f"{number:x}")

                receipts.append(asyncio.create_task(report()))

            smsc.answer = report_first
            assert await pump_out(pool, link, clock) == 1
            assert await state(pool) == "delivered"
            [out] = smsc.submitted
            assert (out.source_addr, out.destination_addr) == ("10010", MSISDN)
            assert (out.data_coding, out.registered_delivery) == (8, 1)
            assert out.short_message.decode("utf-16-be") == "回复Y确认"
            assert await smsc.deliver("+" + MSISDN, b"Y") == 0
            assert await smsc.deliver(MSISDN[2:], "退订".encode("gbk"), data_coding=15) == 0
            assert await smsc.deliver(MSISDN, b"\x00Y", data_coding=8) == 0
            assert await smsc.deliver(MSISDN, b"\x00", data_coding=8) == 0
            assert await smsc.deliver("10086", b"Y") == 0, "kept, as a stray"
            assert [row[2] for row in await stored(pool)] == ["Y", "退订", "Y", None]
            # For a message that we do not know: kept and listed.
            await smsc.deliver(MSISDN, b"id:nobody stat:UNDELIV", esm_class=4)
            await smsc.deliver(MSISDN, b"garbage", esm_class=4)
    assert smsc.binds == 1
    async with pool.acquire() as read:
        found = await actions.orphan_receipts(read, before=clock.now(), limit=10)
    assert {each.link_message_id.split("-")[0] for each in found} == {"nobody", "unreadable"}


async def test_no_cut_loses_a_message_or_stores_it_twice(pool, clock):
    """300 cuts: after every octet of a deliver_sm and of its response, several contents.

    Only a wish to leave may be stored again when it is delivered again: to leave twice is harmless.
    """
    contents = [(b"Y", 0), ("确认".encode("utf-16-be"), 8), ("退订".encode("gbk"), 15)]
    numbers = itertools.count(8613900000000)
    expected = []
    async with running_smsc() as smsc, line_to(smsc) as line:
        link = SmppLink(link_settings(line.port), pool, clock)
        async with link.running():
            points = [
                (command, octets, content)
                for content in contents
                for command, length in ((DELIVER_SM, 52 + len(content[0])), (DELIVER_SM_RESP, 18))
                for octets in range(length)
            ]
            points += points[: 300 - len(points)]
            for command, octets, (content, coding) in points:
                msisdn = str(next(numbers))
                line.cut(command, octets)
                await smsc.deliver_until_taken(msisdn, content, data_coding=coding)
                assert not line.armed
                expected.append(msisdn)
            assert line.cuts == 300
    rows = await stored(pool)
    once = [row[0] for row in rows if row[2] != "退订"]
    leaving = [row[0] for row in rows if row[2] == "退订"]
    assert len(leaving) <= 2 * len(set(leaving))
    assert sorted([*once, *set(leaving)]) == expected
