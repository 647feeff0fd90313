"""What a link brings, taken many at a time: messages, parts of long ones, delivery receipts.

SMPP gives a message from a subscriber no name. When the network cannot know that we have one, it
delivers it again, in another session and under another number; its content is all that says that
it is the same. So every delivery is kept as *unproven* until the network has shown that it read
our answer. While it is, the same content again is a repetition and has no effect: to act twice
upon one order, or to take an old "Y" for the answer to a newer prompt, costs money; to send a
text once more costs a text. A wish to leave is the exception: it may be a second wish, after
something else was confirmed, and to swallow it would let charging go on; to leave twice costs a
short answer. So it is always a new message, unless it came in parts: there a second wish
has another reference.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from spms.core.db import Connection
from spms.core.ids import new_id
from spms.messaging import delivery_queries, in_queries, receipt_queries, receipts, texts
from spms.messaging.delivery_queries import Part
from spms.messaging.model import IncomingSms, MessageIn
from spms.messaging.reading import leaves
from spms.messaging.receipt_queries import ReceiptRow
from spms.messaging.receiving import instants, keep_if_other
from spms.messaging.texts import Encoding, Header

ASSEMBLY: Final = timedelta(minutes=5)
"""Parts of one message come within this; a message that is not whole by then has no effect."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message, or a part of one, as a link brought it."""

    id: UUID
    msisdn: str
    called: str
    name: str
    """The link's name for it."""
    raw: bytes
    """Its text as it came, without a user data header."""
    pdu: bytes
    """The whole deliver_sm as it came."""
    data_coding: int
    readable: bool = True
    """False: the header before the text is broken, so the text means nothing."""
    header: Header | None = None
    """Set for a part of a long message."""

    @property
    def digest(self) -> bytes:
        """What is the same when it is delivered again."""
        part = self.header or Header(reference=0, total=1, number=1)
        told = (
            self.msisdn, self.called, str(self.data_coding), str(part.reference), str(part.total),
            str(part.number), self.raw.hex(),
        )  # fmt: skip
        return hashlib.sha256("\x1f".join(told).encode()).digest()


async def take(
    tx: Connection,
    link: str,
    deliveries: Sequence[Delivery],
    reports: Sequence[ReceiptRow],
    *,
    how: Encoding,
    named: bool,
    window: timedelta,
    now: datetime,
) -> int:
    """Store what a link brought, in its order; return how many messages are new.

    The link may be told that we have them only after this transaction has committed. `named`:
    the names are the network's own, so that the same name is the same message and the content
    need not be compared; a wish to leave is the same for `window` only.
    """
    numbers = [each.msisdn for each in deliveries]
    numbers += [each.msisdn for each in reports if each.msisdn is not None]
    await delivery_queries.lock_numbers(tx, link, numbers)
    if reports:
        await _report(tx, link, reports, now)
    if not deliveries:
        return 0
    at = await instants(tx, numbers, now=now)
    fresh = deliveries if named else await _fresh(tx, link, deliveries, how, now)
    messages: list[MessageIn] = []
    raws: list[bytes] = []
    pdus: list[bytes] = []
    for each in fresh:
        parts = await _parts(tx, link, each, now, known_since=now - window if named else None)
        if parts is None:
            continue
        messages.append(
            MessageIn(
                msisdn=each.msisdn, received_at=at[each.msisdn], id=new_id(), called=each.called,
                text=_text(parts, how) if each.readable else None, link=link,
                link_message_id=parts[0].name or each.name,
            )
        )  # fmt: skip
        raws.append(b"".join(part.raw for part in parts))
        pdus.append(b"".join(part.pdu for part in parts))
        if each.header is not None:
            since = now - ASSEMBLY
            await delivery_queries.close_parts(tx, link, parts[0], since, messages[-1].id)
    if not messages:
        return 0
    new = await in_queries.store_many(tx, link, messages, raws, pdus)
    kept = len(new)
    for message, raw, pdu in zip(messages, raws, pdus, strict=True):
        if message.id not in new and await keep_if_other(
            tx, _sms(message, raw, pdu), message_id=message.id, window=window,
            now=message.received_at,
        ):  # fmt: skip
            kept += 1
    return kept


async def _fresh(
    tx: Connection, link: str, deliveries: Sequence[Delivery], how: Encoding, now: datetime
) -> list[Delivery]:
    """Keep all of them as unproven; return those that are no repetition or a wish to leave."""
    digests = [each.digest for each in deliveries]
    known = await delivery_queries.repeated(tx, link, digests, now)
    await delivery_queries.add_unproven(tx, link, [each.id for each in deliveries], digests, now)
    fresh = []
    for each, digest in zip(deliveries, digests, strict=True):
        if digest not in known or _leaves(each, how):
            known.add(digest)
            fresh.append(each)
    return fresh


def _leaves(each: Delivery, how: Encoding) -> bool:
    whole = each.header is None or each.header.total == 1
    return each.readable and whole and leaves(texts.decode(each.raw, each.data_coding, how))


async def _parts(
    tx: Connection, link: str, each: Delivery, now: datetime, *, known_since: datetime | None
) -> list[Part] | None:
    """Return the parts of the message that is whole with this one; None while some are missing.

    Where parts have names of the network's own, one that became part of a message since
    `known_since` is a repetition, and waits for no others.
    """
    header = each.header or Header(reference=0, total=1, number=1)
    part = Part(
        msisdn=each.msisdn, id=each.id, called=each.called, reference=header.reference,
        total=header.total, number=header.number, data_coding=each.data_coding, raw=each.raw,
        name=each.name, pdu=each.pdu,
    )  # fmt: skip
    if each.header is None:
        return [part]
    if known_since is not None and await delivery_queries.is_part_of_a_message(
        tx, link, part, known_since
    ):
        return None
    await delivery_queries.add_part(tx, link, part, now)
    waiting = await delivery_queries.open_parts(tx, link, part, now - ASSEMBLY)
    return waiting if len(waiting) == header.total else None


def _text(parts: Sequence[Part], how: Encoding) -> str | None:
    """Join and decode; parts of one coding are joined first, they may be cut within a character."""
    codings = {part.data_coding for part in parts}
    if len(codings) == 1:
        return texts.decode(b"".join(part.raw for part in parts), codings.pop(), how)
    read = [texts.decode(part.raw, part.data_coding, how) for part in parts]
    return None if None in read else "".join(text for text in read if text is not None)


def _sms(message: MessageIn, raw: bytes, pdu: bytes) -> IncomingSms:
    return IncomingSms(
        msisdn=message.msisdn, called=message.called, text=message.text, raw=raw,
        link=message.link, link_message_id=message.link_message_id, pdu=pdu,
    )  # fmt: skip


async def _report(tx: Connection, link: str, reports: Sequence[ReceiptRow], now: datetime) -> None:
    """Keep receipts and let the messages that they mean take over what they say."""
    bare = [each.link_message_id for each in reports if each.msisdn is None]
    await receipt_queries.lock_link_messages(tx, link, bare)
    await receipt_queries.add_receipts(tx, link, reports, now)
    pairs = [
        (each.link_message_id, form)
        for each in reports
        for form in receipts.forms(each.link_message_id)
    ]
    await receipt_queries.apply_receipts(tx, link, pairs)


async def proven(tx: Connection, ids: Sequence[UUID]) -> None:
    """Record that the network knows that we have these deliveries."""
    await delivery_queries.proven(tx, ids)


async def link_is_back(tx: Connection, link: str, *, now: datetime, window: timedelta) -> None:
    """Record that a link is bound again: within `window` it may deliver what it is not sure of."""
    await delivery_queries.link_is_back(tx, link, now=now, window=window)
