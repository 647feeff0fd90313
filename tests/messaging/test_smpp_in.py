"""What an SMSC may deliver, in every form, and how a lost line is bound again."""

import asyncio
import threading

import pytest
import smpp34
from typer.testing import CliRunner

from spms.cli.commands import app as command_line
from spms.messaging import smpp_link
from spms.messaging.links import LinkDown
from spms.messaging.smpp_link import BindRefused, SmppLink
from spms.messaging.smpp_pdu import Status
from tests.messaging.smsc import PATIENCE, link_settings, running_smsc
from tests.messaging.test_smpp_trouble import message
from tests.ports import free_port

MSISDN = "8613912340000"
NAME_TAG = 0x1400
UDHI = 0x40


async def texts(pool):
    rows = await pool.fetch("SELECT text FROM message_in ORDER BY received_at, id")
    return [row["text"] for row in rows]


def sar(reference, total, number, *more):
    values = (
        (smpp34.TLV_SAR_MSG_REF_NUM, reference.to_bytes(2)),
        (smpp34.TLV_SAR_TOTAL_SEGMENTS, bytes([total])),
        (smpp34.TLV_SAR_SEGMENT_SEQNUM, bytes([number])),
        *more,
    )
    return [smpp34.Tlv(tag, value) for tag, value in values]


def payload(content):
    return [smpp34.Tlv(smpp34.TLV_MESSAGE_PAYLOAD, content)]


async def test_long_texts_come_in_in_each_form(pool, clock):
    first, second = ("退订" * 30).encode("utf-16-be"), "天气".encode("utf-16-be")
    whole, ucs2 = "退订" * 30 + "天气", {"data_coding": 8}
    async with (
        running_smsc() as smsc,
        SmppLink(link_settings(smsc.port), pool, clock).running(),
    ):
        await smsc.deliver(MSISDN, second, tlvs=sar(7, 2, 2), **ucs2)
        await smsc.deliver(MSISDN, first, tlvs=sar(7, 2, 1), **ucs2)
        await smsc.deliver(MSISDN, b"", tlvs=payload(first + second), **ucs2)
        for number, content in ((1, first), (2, second)):  # a reference of two octets
            header = bytes([6, 8, 4, 1, 2, 2, number])
            await smsc.deliver(MSISDN, header + content, esm_class=UDHI, **ucs2)
        for number, content in ((2, second), (1, first)):  # a header before the payload
            header = bytes([5, 0, 3, 9, 2, number])
            await smsc.deliver(
                MSISDN, b"", tlvs=payload(header + content), esm_class=UDHI, **ucs2
            )  # fmt: skip
        assert await texts(pool) == [whole] * 4


async def test_a_message_with_a_name_is_the_same_when_it_is_delivered_again(pool, clock):
    """Over two sessions, in parts and in another order; the same words by another name count."""

    def named(name):
        return smpp34.Tlv(NAME_TAG, name + b"\0")

    async def brought(smsc, *order):
        for name, text in ((b"a", b"Y"), (b"b", b"Y")):
            assert await smsc.deliver(MSISDN, text, tlvs=[named(name)]) == 0
        for number in order:
            text = (b"Y 48", b"21")[number - 1]
            tlvs = [*sar(7, 2, number), named(b"c%d" % number)]
            assert await smsc.deliver(MSISDN, text, tlvs=tlvs) == 0

    async with running_smsc() as smsc:
        link = SmppLink(link_settings(smsc.port, name_tag=NAME_TAG), pool, clock)
        for order in ((1, 2), (2, 1)):
            async with link.running():
                await smsc.session()
                await brought(smsc, *order)
            smsc.bound.clear()
    assert await texts(pool) == ["Y", "Y", "Y 4821"]


async def test_an_smsc_that_forgot_the_bind_is_bound_anew(clock):
    async with running_smsc() as smsc:
        link = SmppLink(link_settings(smsc.port), None, clock)
        async with link.running():
            await asyncio.wait_for(link.up.wait(), PATIENCE)
            lost = link._session
            smsc.answer = lambda event, _number: event.reject(Status.NOT_BOUND)
            with pytest.raises(LinkDown):
                await link.submit(message())
            await asyncio.wait_for(lost.closed.wait(), PATIENCE)
            smsc.answer = smsc.accept
            async with asyncio.timeout(PATIENCE):
                while link._session is lost or not link.ready:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            assert (await link.submit(message())).link_message_id == "m2"


async def test_a_lost_link_is_tried_later_and_later_and_never_in_step(monkeypatch, clock):
    """1 s doubled up to 8, each with jitter; a bind refused for the account's sake waits longest."""
    waits = []
    answers = iter(
        [OSError()] * 6 + [BindRefused(Status.BAD_PASSWORD), OSError()] + [BindRefused(8)]
    )

    async def refuse(*_):
        error = next(answers, None)
        raise error or asyncio.CancelledError

    async def sleep(seconds):
        waits.append(seconds)

    monkeypatch.setattr(smpp_link, "open_session", refuse)
    monkeypatch.setattr(smpp_link.asyncio, "sleep", sleep)
    times = {"reconnect_seconds": 1, "reconnect_seconds_max": 8}
    link = SmppLink(link_settings(1, **times), None, clock)
    with pytest.raises(asyncio.CancelledError):
        await link._stay_bound()
    expected = [1, 2, 4, 8, 8, 8, 8, 8, 8]
    shares = [wait / mean for wait, mean in zip(waits, expected, strict=True)]
    assert all(0.5 <= share <= 1.5 for share in shares)
    assert len(set(shares)) == len(shares)

    waits.clear()
    answers = iter([BindRefused(Status.BAD_PASSWORD)])
    with pytest.raises(asyncio.CancelledError):
        await SmppLink(link_settings(1, **times), None, clock)._stay_bound()
    assert 4 <= waits[0] <= 12


@pytest.fixture
def smsc_port():
    """Run an SMSC on a loop of its own: a command of ours needs the main thread."""
    ready, stop = threading.Event(), threading.Event()
    ports = []

    async def serve():
        async with running_smsc() as smsc:
            ports.append(smsc.port)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(PATIENCE)
    yield ports[0]
    stop.set()
    thread.join()


def test_the_command_line_says_in_words_what_is_wrong(owner_url, tmp_path, smsc_port):
    link = '{"name": "%s", "host": "127.0.0.1", "port": %d, "system_id": "spms", "password": "x"}'
    links = [link % (name, port) for name, port in (("north", smsc_port), ("gone", free_port()))]
    env = {
        "SPMS_DATABASE_URL": owner_url, "SPMS_SMPP_LINKS": f"[{', '.join(links)}]",
        "SPMS_DATA_DIR": str(tmp_path), "COLUMNS": "200",
    }  # fmt: skip

    def run(*words):
        return CliRunner().invoke(command_line, words, env=env)

    fine = run("link", "check", "north")
    assert fine.exit_code == 0, fine.output
    assert "enquire_link is answered" in fine.output
    gone = run("link", "check")
    assert gone.exit_code == 1
    assert "cannot be reached" in gone.output
    assert "no such link" in str(run("link", "check", "x").exception)
    assert run("link", "orphans").exit_code == 0
