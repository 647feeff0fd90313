"""A wish to leave is never swallowed as a repetition; everything else that repeats is."""

from datetime import timedelta

import pytest

from spms.core.ids import new_id
from spms.messaging import actions, deliveries
from spms.messaging.deliveries import Delivery
from spms.messaging.model import IncomingSms
from spms.messaging.smpp_link import encoding
from spms.messaging.texts import Header
from tests.messaging.smsc import link_settings

MSISDN = "8613912340000"
HOW = encoding(link_settings(1))
WINDOW = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
TEXTS = "SELECT text FROM message_in ORDER BY received_at, id"


def brought(text, name, header=None):
    return Delivery(
        id=new_id(), msisdn=MSISDN, called="10010", name=name, raw=text.encode(),
        data_coding=0, header=header, pdu=name.encode(),
    )  # fmt: skip


async def take(tx, now, *what, named=False):
    return await deliveries.take(
        tx, "smsc", what, [], how=HOW, named=named, window=WINDOW, now=now
    )  # fmt: skip


async def texts(tx):
    return [row["text"] for row in await tx.fetch(TEXTS)]


@pytest.mark.parametrize("text", ["TD", "td 8801", "00000", "STOP"])
async def test_a_second_wish_to_leave_counts_while_the_first_is_unproven(tx, now, text):
    """She left, the link was cut, she confirmed something else, and leaves again."""
    assert await take(tx, now, brought(text, "a-1")) == 1
    await deliveries.link_is_back(tx, "smsc", now=now, window=WINDOW)
    assert await take(tx, now + MINUTE, brought("Y", "b-1")) == 1
    assert await take(tx, now + 5 * MINUTE, brought(text, "b-2")) == 1
    assert await texts(tx) == [text, "Y", text]
    assert await tx.fetchval("SELECT count(*) FROM leave_wish WHERE settled_at IS NULL") == 2


@pytest.mark.parametrize("text", ["Y", "1", "MUSIC", "N", "0000"])
async def test_anything_else_repeated_while_unproven_has_no_effect(tx, now, text):
    assert await take(tx, now, brought(text, "a-1")) == 1
    assert await take(tx, now + 5 * MINUTE, brought(text, "b-1")) == 0
    assert await texts(tx) == [text]


async def test_a_part_delivered_again_is_still_a_repetition(tx, now):
    parts = [
        (brought("T", f"{n}-1", Header(reference=7, total=2, number=1)),
         brought("D", f"{n}-2", Header(reference=7, total=2, number=2)))
        for n in "ab"
    ]  # fmt: skip
    assert [await take(tx, now, *each) for each in parts] == [1, 0]
    assert await texts(tx) == ["TD"]


async def test_parts_with_names_that_come_again_in_another_order_are_the_same_message(tx, now):
    def parts(*numbers):
        whole = {1: ("4", "n1"), 2: ("821", "n2")}
        return [brought(*whole[n], Header(reference=7, total=2, number=n)) for n in numbers]

    orders = [(2, 1), (1, 2), (2, 1), (2,)]
    assert [await take(tx, now, *parts(*each), named=True) for each in orders] == [1, 0, 0, 0]
    assert await texts(tx) == ["4821"]
    assert await tx.fetchval("SELECT link_message_id FROM message_in") == "n1"
    # What came again waits for nothing: under the same reference another message begins.
    other = brought("Y", "n3", Header(reference=7, total=2, number=1))
    assert await take(tx, now, other, named=True) == 0
    rest = brought("es", "n4", Header(reference=7, total=2, number=2))
    assert await take(tx, now, rest, named=True) == 1
    assert await texts(tx) == ["4821", "Yes"]
    # Later than repetitions come, in another order still: the name of its first part tells.
    assert await take(tx, now + 11 * MINUTE, *parts(1, 2), named=True) == 0
    assert await texts(tx) == ["4821", "Yes"]


async def test_a_used_name_does_not_swallow_a_later_wish_to_leave(tx, now):
    """The network's own names: it counts from 1 again within the year that we keep them."""
    for later, expected in ((0, 1), (1, 0), (11, 1), (400, 1)):
        assert await take(tx, now + later * MINUTE, brought("TD", "1"), named=True) == expected
    for later, expected in ((0, 1), (1, 0), (400, 0)):
        assert await take(tx, now + later * MINUTE, brought("Y", "2"), named=True) == expected
    assert sorted(await texts(tx)) == ["TD", "TD", "TD", "Y"]
    assert await tx.fetchval("SELECT count(*) FROM leave_wish") == 3


async def test_a_later_wish_counts_under_a_name_that_was_another_messages(tx, now):
    def sms(text):
        return IncomingSms(
            msisdn=MSISDN, called="10010", text=text, raw=text.encode(), link="smsc",
            link_message_id="1",
        )  # fmt: skip

    kept = [
        await actions.receive(tx, sms(text), now=now + later * MINUTE) is not None
        for text, later in (("Y", 0), ("TD", 1), ("TD", 2), ("TD", 30), ("Y", 60))
    ]
    assert kept == [True, True, False, True, False]
    notes = await tx.fetchval("SELECT count(*) FROM audit_log WHERE act = 'message.name_reused'")
    assert notes == 2


async def test_what_is_told_apart_keeps_its_place_in_the_batch(tx, now):
    """A message under a used name is not read after those that came behind it."""
    await take(tx, now, brought("N", "1"), named=True)
    batch = [brought("TD", "1"), brought("Y", "2"), brought("MUSIC", "3")]
    assert await take(tx, now + MINUTE, *batch, named=True) == 3
    assert await texts(tx) == ["N", "TD", "Y", "MUSIC"]
    again = [brought("Y", "4"), brought("TD", "1"), brought("MUSIC", "5")]
    assert await take(tx, now + 20 * MINUTE, *again, named=True) == 3
    assert (await texts(tx))[4:] == ["Y", "TD", "MUSIC"]
