"""What comes under no readable number is committed as it came, counted, and read only on record."""

import asyncio
from uuid import uuid4

import pytest

from spms.core import db
from spms.messaging import link_check, strays
from spms.messaging.smpp_inbox import Inbox
from spms.messaging.smpp_link import SmppLink, encoding
from spms.messaging.smpp_pdu import Command, Pdu, Status
from spms.messaging.smpp_session import Session
from tests import make
from tests.messaging.smsc import PATIENCE, link_settings, running_smsc

MSISDN = "8613912340000"


async def kept(pool):
    rows = await pool.fetch("SELECT why, times FROM message_in_stray ORDER BY why")
    return [tuple(row) for row in rows]


async def test_what_has_no_readable_number_is_kept_and_counted(pool, clock):
    async with (
        running_smsc() as smsc,
        SmppLink(link_settings(smsc.port), pool, clock).running(),
    ):
        for _ in range(2):
            assert await smsc.deliver("10086", b"TD") == 0
        assert await kept(pool) == [("source", 2)]
        assert await pool.fetchval("SELECT count(*) FROM message_in") == 0
        raws = await pool.fetch("SELECT raw FROM message_in_stray WHERE why = 'source'")
        assert b"10086" in raws[0]["raw"]
        found = await link_check.check(link_settings(smsc.port), pool, clock)
    assert any(each.what == "stray messages" and not each.fine for each in found)


async def test_a_wish_to_leave_counts_wherever_it_was_sent(pool, clock):
    """Who sent it is known: to a receiver that cannot be read, it still stops charging."""
    async with (
        running_smsc() as smsc,
        SmppLink(link_settings(smsc.port), pool, clock).running(),
    ):
        assert await smsc.deliver(MSISDN, b"TD", to="spam") == 0
        assert await smsc.deliver(MSISDN, b"Y", to="") == 0
    rows = await pool.fetch("SELECT msisdn, called, text FROM message_in ORDER BY received_at, id")
    assert [tuple(row) for row in rows] == [(MSISDN, "", "TD"), (MSISDN, "", "Y")]
    assert await pool.fetchval("SELECT count(*) FROM leave_wish WHERE msisdn = $1", MSISDN) == 1
    assert await kept(pool) == []


async def test_a_broken_delivery_is_kept_before_it_is_refused(pool, clock):
    answered: list[tuple[int, bool]] = []

    class Heard(Session):
        """Writes down what is answered, and whether it was committed by then."""

        def answer(self, pdu: Pdu, status: Status, body: bytes = b"") -> int:
            answered.append((status, pdu.sequence in committed))
            return super().answer(pdu, status, body)

    committed: set[int] = set()
    settings = link_settings(1)
    inbox = Inbox(settings, encoding(settings), pool, clock)
    store = inbox._commit

    async def commit(batch):
        await store(batch)
        committed.update(each.pdu.sequence for each in batch)

    inbox._commit = commit
    session = Heard(inbox.take, lambda _: None, response_seconds=1, enquire_seconds=1)
    running = asyncio.create_task(inbox.run())
    inbox.take(session, Pdu(command=Command.DELIVER_SM, status=0, sequence=7, body=b"\0\1\1x"))
    async with asyncio.timeout(PATIENCE):
        while not answered:  # noqa: ASYNC110 - in the database
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    ((status, stored),) = answered
    assert status != Status.OK
    assert stored
    assert await kept(pool) == [("broken", 1)]


async def test_who_reads_one_is_on_record(pool, clock, http, sign_in):
    async with (
        running_smsc() as smsc,
        SmppLink(link_settings(smsc.port), pool, clock).running(),
    ):
        assert await smsc.deliver("10086", b"TD") == 0
    officer = await sign_in(make.OFFICER)
    listed = await http.get("/stray-messages", headers=officer)
    (one,) = listed.json()["items"]
    assert (one["why"], one["times"]) == ("source", 1)
    assert "raw" not in one
    body = {"reason": "whose is it"}
    read = await http.post(f"/stray-messages/{one['id']}/reading", json=body, headers=officer)
    assert read.status_code == 200
    assert await pool.fetchval("SELECT reason FROM audit_log WHERE act = 'message.stray_read'")
    agent = await sign_in(make.AGENT)
    assert (await http.get("/stray-messages", headers=agent)).status_code == 403
    with pytest.raises(Exception, match="no such message"):
        async with db.transaction(pool) as tx:
            await strays.look(tx, uuid4(), reason="x", actor=make.OFFICER, now=clock.now())
