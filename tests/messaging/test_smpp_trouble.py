"""A link in trouble: throttled, full, half open, without a database, routed round, misconfigured."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from spms.core import db, roles
from spms.messaging import deliveries, link_check
from spms.messaging.links import LinkBusy, LinkDown, LinkRefused, Links
from spms.messaging.model import MessageKind, MessageOut, MessageState
from spms.messaging.smpp_link import LinkMisconfigured, SmppLink
from spms.messaging.texts import Header, write_header
from tests.messaging.smsc import (
    PATIENCE,
    certificate,
    line_to,
    link_settings,
    running_smsc,
)
from tests.ports import free_port

MSISDN = "8613912340000"
AT = datetime(2026, 3, 2, tzinfo=UTC)
THROTTLED, QUEUE_FULL, BAD_DESTINATION, UNKNOWN = 0x58, 0x14, 0x0B, 0xFF
LONG = "回复Y确认" * 30


def message(text="Y", msisdn=MSISDN, sender="10010"):
    return MessageOut(
        msisdn=msisdn, queued_at=AT, id=uuid4(), sender=sender, text=text,
        kind=MessageKind.PROMPT, about_kind="x", about_id="1", state=MessageState.SENDING,
        attempts=1,
    )  # fmt: skip


async def up(link):
    await asyncio.wait_for(link.up.wait(), PATIENCE)


def refuse(status):
    return lambda event, _number: event.reject(status)


async def test_each_refusal_has_its_consequence(clock):
    async with running_smsc() as smsc:
        link = SmppLink(link_settings(smsc.port, window=2), None, clock)
        with pytest.raises(LinkDown):
            await link.submit(message())
        async with link.running():
            await up(link)
            waits = []
            for status in (THROTTLED, QUEUE_FULL, THROTTLED, THROTTLED, THROTTLED, THROTTLED):
                smsc.answer = refuse(status)
                link._throttled_until = 0.0
                with pytest.raises(LinkBusy) as busy:
                    await link.submit(message())
                waits.append(busy.value.retry_seconds)
                link._throttled_until += 5  # so that it still lasts on a machine that is held up
                with pytest.raises(LinkBusy):
                    await link.submit(message())
            assert waits == [1, 2, 4, 8, 16, 30]
            assert len(smsc.submitted) == 6, "while throttled, nothing is sent"
            link._throttled_until = 0.0
            for status in (BAD_DESTINATION, UNKNOWN):
                smsc.answer = refuse(status)
                with pytest.raises(LinkRefused, match=f"smpp_0x{status:08x}"):
                    await link.submit(message())
            # No more under way than the window allows.
            held = []
            smsc.answer = lambda event, _number: held.append(event)
            sent = [asyncio.create_task(link.submit(message())) for _ in range(5)]
            await smsc.arrived(10)
            await asyncio.sleep(0.2)  # a third one would have come by now
            assert len(held) == 2
            smsc.answer = smsc.accept
            for event in held:
                event.accept("held")
            await asyncio.gather(*sent)
            assert len(smsc.submitted) == 13


async def test_long_texts_go_out_in_each_form(clock):
    async with running_smsc() as smsc:
        whole = LONG.encode("utf-16-be")
        for form in ("udh", "sar", "payload"):
            link = SmppLink(link_settings(smsc.port, long_messages=form), None, clock)
            smsc.submitted.clear()
            async with link.running():
                await up(link)
                assert (await link.submit(message(LONG))).link_message_id in {"m3", "m1"}
            parts = smsc.submitted
            assert {part.registered_delivery for part in parts} == {1}, "a receipt for each"
            options = [{tlv.tag: bytes(tlv.value) for tlv in part.tlvs} for part in parts]
            if form == "udh":
                assert {part.esm_class for part in parts} == {0x40}
                assert len({part.short_message[:5] for part in parts}) == 1
                assert [part.short_message[5] for part in parts] == [1, 2, 3]
                assert b"".join(part.short_message[6:] for part in parts) == whole
            elif form == "sar":
                assert [(each[0x020E], each[0x020F]) for each in options] == [
                    (b"\3", b"\1"), (b"\3", b"\2"), (b"\3", b"\3"),
                ]  # fmt: skip
                assert b"".join(part.short_message for part in parts) == whole
            else:
                assert [each[0x0424] for each in options] == [whole]


async def test_long_texts_come_in_and_nothing_half_is_read(pool, clock):
    def part(number, text, reference=7):
        return write_header(Header(reference=reference, total=2, number=number)) + text

    async def texts():
        rows = await pool.fetch("SELECT text FROM message_in ORDER BY received_at, id")
        return [row["text"] for row in rows]

    async with (
        running_smsc() as smsc,
        SmppLink(link_settings(smsc.port), pool, clock).running(),
    ):
        for content in (part(2, b"D 8801"), part(2, b"D 8801"), part(1, b"T")):
            assert await texts() == []
            assert await smsc.deliver(MSISDN, content, esm_class=0x40) == 0
        assert await texts() == ["TD 8801"]
        # The reference is used again, and what came too long ago is no part of it.
        assert await smsc.deliver(MSISDN, part(1, b"Y"), esm_class=0x40) == 0
        clock.move(deliveries.ASSEMBLY + timedelta(seconds=1))
        assert await smsc.deliver(MSISDN, part(2, b"es"), esm_class=0x40) == 0
        assert await texts() == ["TD 8801"]
        assert await smsc.deliver(MSISDN, part(1, b"y"), esm_class=0x40) == 0
        assert await texts() == ["TD 8801", "yes"]
        assert await smsc.deliver(MSISDN, b"\x09\0Y", esm_class=0x40) == 0
        assert await texts() == ["TD 8801", "yes", None]


async def test_while_the_database_is_away_the_network_is_told_to_deliver_again(
    pool, owner_url, settings, clock
):
    away = await db.open_pool(roles.app_url(owner_url), settings)
    async with running_smsc() as smsc:
        link = SmppLink(link_settings(smsc.port), away, clock)
        async with link.running():
            assert await smsc.deliver(MSISDN, b"Y") == 0
            await away.close()
            assert await smsc.deliver(MSISDN, b"TD") == 0x64
            assert await pool.fetchval("SELECT count(*) FROM message_in") == 1
            link._inbox._pool = pool
            assert await smsc.deliver(MSISDN, b"TD") == 0
    assert await pool.fetchval("SELECT count(*) FROM message_in") == 2


async def test_a_repetition_has_no_effect_and_a_second_thought_has(pool, clock):
    """The same text again is a repetition only while the answer to the first may be lost."""
    count = "SELECT count(*) FROM message_in"
    unproven = "SELECT count(*) FROM message_in_unproven"
    async with running_smsc() as smsc, line_to(smsc) as line:
        link = SmppLink(link_settings(line.port), pool, clock)
        async with link.running():
            for expected in (1, 2):
                assert await smsc.deliver(MSISDN, b"Y") == 0
                assert await pool.fetchval(count) == expected
                async with asyncio.timeout(PATIENCE):
                    while await pool.fetchval(unproven):  # noqa: ASYNC110 - in the database
                        await asyncio.sleep(0.001)
            line.cut(0x80000005, 3)
            tries = await smsc.deliver_until_taken(MSISDN, b"8801")
            assert tries >= 2, (
                "the first answer was cut; a try may also meet the line that is going"
            )
            assert await pool.fetchval(count) == 3


async def test_a_half_open_line_is_found_and_bound_anew(clock):
    async with running_smsc() as smsc, line_to(smsc) as line:
        quick = {"enquire_seconds": 0.02, "response_seconds": 0.05}
        link = SmppLink(link_settings(line.port, **quick), None, clock)
        async with link.running():
            await up(link)
            session = link._session
            line.flowing.clear()
            await asyncio.wait_for(session.closed.wait(), PATIENCE)
            line.flowing.set()
            # The peer counts binds in a task of its own, and may be behind what we know.
            async with asyncio.timeout(PATIENCE):
                while link._session is session or not link.up.is_set() or smsc.binds < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)


async def test_links_are_routed_by_number_and_sender_and_replace_each_other(clock):
    async with running_smsc() as north, running_smsc() as south:
        links = [
            SmppLink(link_settings(north.port, "north", prefixes=("86139",)), None, clock),
            SmppLink(link_settings(north.port, "bulk", senders=("1069",)), None, clock),
            SmppLink(link_settings(south.port, "south", prefixes=("8613",)), None, clock),
        ]
        routes = Links(*links)
        assert not routes.ready
        async with links[1].running(), links[2].running():
            async with links[0].running():
                for link in links:
                    await up(link)
                assert routes.ready
                assert (await routes.submit(message())).link == "north"
                assert (await routes.submit(message(msisdn="8613800000000"))).link == "south"
                assert (await routes.submit(message(msisdn="8619", sender="10691"))).link == "bulk"
                with pytest.raises(LinkRefused, match="no_route"):
                    await routes.submit(message(msisdn="8619912340000"))
            assert (await routes.submit(message())).link == "south", "north is down"


async def test_tls_is_spoken_and_a_plain_bind_off_loopback_refused(pool, clock, tmp_path):
    tls, authority = certificate(tmp_path, "smsc.test")
    async with running_smsc() as smsc, line_to(smsc, tls=tls) as line:
        secure = {"tls": True, "tls_ca": authority, "tls_name": "smsc.test"}
        async with SmppLink(link_settings(line.port, **secure), None, clock).running() as link:
            await up(link)
            assert (await link.submit(message())).link_message_id == "m1"
        for wrong, words in (
            ({"tls": True, "tls_name": "smsc.test"}, "not to be trusted"),
            ({"tls": True, "tls_ca": authority}, "not to be trusted"),
        ):
            found = await link_check.check(link_settings(line.port, **wrong), pool, clock)
            assert any(words in each.words for each in found if not each.fine)
    for host in ("192.0.2.1", "smsc.test"):
        with pytest.raises(LinkMisconfigured, match="without TLS"):
            SmppLink(link_settings(2775, host=host), None, clock)


async def test_link_check_says_what_is_wrong(pool, clock, owner):
    async def words(settings):
        found = await link_check.check(settings, pool, clock)
        return {each.what: each.words for each in found if not each.fine}

    now = clock.now()
    await owner.execute(
        "INSERT INTO message_out (msisdn, queued_at, id, sender, text, kind, about_kind, about_id,"
        " state, due_at, link, link_message_id, sent_at) SELECT '8613912340000', $1::timestamptz,"
        " gen_random_uuid(), '10010', 'x', 'info', 'x', 'x', 'sent', $1, 'mute', n::text, $1"
        " FROM generate_series(1, 30) n",
        now,
    )
    await owner.execute(
        "INSERT INTO message_receipt (link, link_message_id, delivered, received_at, done_at)"
        " VALUES ('late', $2, true, $1::timestamptz, $1::timestamptz + interval '7 h 40 min')",
        now - timedelta(minutes=2), "x1",
    )  # fmt: skip
    await owner.execute(
        "INSERT INTO message_receipt (link, link_message_id, delivered, received_at)"
        " VALUES ('late', 'waits', true, $1)",
        now,
    )
    async with running_smsc() as smsc:
        assert await words(link_settings(smsc.port)) == {}
        assert "no receipts at all" in (await words(link_settings(smsc.port, "mute")))["receipts"]
        late = await words(link_settings(smsc.port, "late"))
        assert "UTC+8; 20 min behind ours" in late["clock"]
        assert "x1" in late["orphaned receipts"]
        assert "waits" not in late["orphaned receipts"], "its message may be on its way"
    port = free_port()
    gone = await words(link_settings(port))
    assert "cannot be reached" in gone["connection"]
    assert "without TLS" in (await words(link_settings(port, host="192.0.2.1")))["settings"]
