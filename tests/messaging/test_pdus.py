"""PDUs are kept as they were on the line; a message in parts is delivered when all of them are."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from spms.core import db
from spms.messaging import actions, receipt_queries, sandbox
from spms.messaging.courier import pump_out
from spms.messaging.model import MessageKind, PhoneIn
from spms.messaging.receipt_queries import ReceiptRow
from spms.messaging.smpp_link import SmppLink
from spms.messaging.texts import Header, write_header
from tests.messaging.smsc import (
    DELIVER_SM,
    PATIENCE,
    SUBMIT_SM,
    line_to,
    link_settings,
    running_smsc,
)

MSISDN = "8613912340000"
LONG = "回复Y确认" * 30
LOST, OK = "UNDELIV", "DELIVRD"


async def queued(pool, clock, text=LONG):
    async with db.transaction(pool) as tx:
        await actions.send(
            tx, msisdn=MSISDN, text=text, kind=MessageKind.PROMPT, about_kind="x", about_id="1",
            now=clock.now(),
        )  # fmt: skip


@asynccontextmanager
async def bound(pool, clock, **changes):
    async with running_smsc() as smsc, line_to(smsc) as line:
        link = SmppLink(link_settings(line.port, **changes), pool, clock)
        async with link.running():
            await asyncio.wait_for(link.up.wait(), PATIENCE)
            yield smsc, line, link


def receipt(smsc, name, stat=OK):
    text = f"id:{name} sub:001 dlvrd:001 done date:2603021201 stat:{stat} err:000 Text:"
    return smsc.deliver(MSISDN, text.encode(), esm_class=4)


async def out(pool):
    row = await pool.fetchrow("SELECT * FROM message_out")
    return dict(row)


async def test_every_pdu_is_kept_as_it_was_on_the_line(pool, clock):
    async with bound(pool, clock) as (smsc, line, link):
        await queued(pool, clock)
        assert await pump_out(pool, link, clock) == 1
        sent = line.seen(SUBMIT_SM)
        assert len(sent) == 3
        assert (await out(pool))["pdu"] == b"".join(sent)
        for name in ("m3", "m1", "m2"):  # the last of them tells that all are there
            assert (await out(pool))["state"] == "sent"
            await receipt(smsc, name)
        told = line.seen(DELIVER_SM)
        row = await out(pool)
        assert row["state"] == "delivered"
        assert row["receipt_pdu"] == told[1] + told[2] + told[0], "by part"
        await smsc.deliver(MSISDN, "确认".encode("utf-16-be"), data_coding=8)
        for number, text in ((2, b"821"), (1, b"Y 4")):
            header = Header(reference=9, total=2, number=number)
            await smsc.deliver(MSISDN, write_header(header) + text, esm_class=0x40)
        came = line.seen(DELIVER_SM)[3:]
        rows = await pool.fetch("SELECT text, pdu FROM message_in ORDER BY received_at, id")
        assert [(row["text"], row["pdu"]) for row in rows] == [
            ("确认", came[0]), ("Y 4821", came[2] + came[1]),
        ]  # fmt: skip


async def test_where_there_is_no_pdu_none_is_made_up(pool, clock):
    await queued(pool, clock)
    async with db.transaction(pool) as tx:
        await sandbox.put_phone(tx, PhoneIn(msisdn=MSISDN, label="phone"))
        await sandbox.text_from(tx, MSISDN, to="10010", text="Y", now=clock.now())
    assert await pump_out(pool, sandbox.SandboxLink(pool, clock), clock) == 1
    row = await out(pool)
    assert (row["state"], row["pdu"], row["receipt_pdu"]) == ("delivered", None, None)
    assert await pool.fetchval("SELECT pdu FROM message_in") is None


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ([("m1", OK), ("m2", LOST), ("m3", OK)], "failed"),
        ([("m3", OK), ("m2", OK)], "sent"),
        ([("m3", OK), ("m3", OK), ("m3", OK)], "sent"),
        ([("m3", OK), ("m2", OK), ("m1", OK)], "delivered"),
    ],
)
async def test_a_message_in_parts_is_delivered_when_all_of_them_are(pool, clock, told, state):
    async with bound(pool, clock) as (smsc, _, link):
        await queued(pool, clock)
        await pump_out(pool, link, clock)
        for name, stat in told:
            clock.move(timedelta(seconds=1))
            await receipt(smsc, name, stat)
    row = await out(pool)
    assert row["state"] == state
    begun = row["queued_at"]
    assert row["delivered_at"] == (begun + timedelta(seconds=3) if state == "delivered" else None)
    lost_at = begun + timedelta(seconds=2) if state == "failed" else None
    assert row["undelivered_at"] == lost_at
    assert await pool.fetchval("SELECT count(*) FROM message_receipt WHERE NOT matched") == 0


async def test_receipts_of_parts_may_come_first_and_in_another_form(pool, clock):
    """An SMSC that reports on each part before it answers, and writes its ids in decimal."""
    async with bound(pool, clock) as (smsc, _, link):
        reports = []

        def report_first(event, number):
            async def report():
                await receipt(smsc, f"{0xA0 + number:010d}")
                event.accept(f"{0xA0 + number:X}")

            reports.append(asyncio.create_task(report()))

        smsc.answer = report_first
        await queued(pool, clock)
        assert await pump_out(pool, link, clock) == 1
    assert (await out(pool))["state"] == "delivered"


async def test_one_name_for_all_parts_has_one_receipt(pool, clock):
    async with bound(pool, clock) as (smsc, _, link):
        smsc.answer = lambda event, _number: event.accept("same")
        await queued(pool, clock)
        await pump_out(pool, link, clock)
        await receipt(smsc, "same")
    assert (await out(pool))["state"] == "delivered"


async def test_two_who_report_on_two_parts_at_once_settle_the_message(pool, clock):
    async with bound(pool, clock) as (smsc, _, link):
        await queued(pool, clock)
        await pump_out(pool, link, clock)
        await receipt(smsc, "m1")

    async def report(tx, name):
        row = ReceiptRow(link_message_id=name, msisdn=None, delivered=True, stat=OK, done_at=None)
        await receipt_queries.add_receipts(tx, "smsc", [row], clock.now())
        await receipt_queries.apply_receipts(tx, "smsc", [(name, name)])

    async with pool.acquire() as one, pool.acquire() as other:
        await one.execute("BEGIN")
        await other.execute("BEGIN")
        await report(one, "m2")
        later = asyncio.create_task(report(other, "m3"))
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $1"
        while not later.done() and not await pool.fetchval(waits, other.get_server_pid()):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await one.execute("COMMIT")
        await later
        await other.execute("COMMIT")
    assert (await out(pool))["state"] == "delivered"


async def test_what_a_receipt_of_a_part_says_can_be_dropped_with_the_receipts(pool, clock):
    async with bound(pool, clock) as (smsc, _, link):
        await queued(pool, clock)
        await pump_out(pool, link, clock)
        for name in ("m1", "m2", "m3"):
            await receipt(smsc, name)
    clock.move(timedelta(days=32))
    async with db.transaction(pool) as tx:
        await actions.forget(tx, now=clock.now())
    assert await pool.fetchval("SELECT count(*) FROM message_out_part") == 0
    assert (await out(pool))["state"] == "delivered"
