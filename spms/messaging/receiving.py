"""Keeping a message from a subscriber: once under its name, in the order of its number."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from spms.core import audit
from spms.core.access import Actor, ActorKind
from spms.core.db import Connection
from spms.core.ids import new_id
from spms.messaging import in_queries
from spms.messaging.model import IncomingSms, MessageIn
from spms.messaging.reading import leaves

REPEATS: Final = timedelta(minutes=10)
"""How long a wish to leave under a used name is a repetition, where the link's settings say nothing."""

APART: Final = timedelta(minutes=1)
"""An instant so far ahead is no difference between two readings of a clock, and is not followed."""

JUST_AFTER: Final = timedelta(microseconds=1)


async def receive(tx: Connection, sms: IncomingSms, *, now: datetime) -> MessageIn | None:
    """Store a message from a subscriber; None when the link delivered it before.

    The link may be told that we have it only after this transaction has committed. Another
    content under a name that is taken is another message: it is kept under a name of its own,
    and the audit log says so, because a link that names two messages alike needs mending. So is
    a wish to leave that comes again later than repetitions do.
    """
    at = (await instants(tx, [sms.msisdn], now=now))[sms.msisdn]
    kept = await _keep(tx, sms, message_id=new_id(), now=at)
    return kept or await keep_if_other(tx, sms, message_id=new_id(), now=at)


async def instants(
    tx: Connection, numbers: Sequence[str], *, now: datetime
) -> dict[str, datetime]:  # fmt: skip
    """Return of each number the instant of what it sends now: after all that it sent before.

    Nodes tell the database's time, and may still be some thousandths of a second apart. What was
    committed before this came never gets a later place in the number's order for that.
    """
    newest = await in_queries.latest(tx, numbers, after=now, until=now + APART)
    return {number: newest[number] + JUST_AFTER if number in newest else now for number in numbers}


async def keep_if_other(
    tx: Connection, sms: IncomingSms, *, message_id: UUID,
    window: timedelta = REPEATS, now: datetime,
) -> MessageIn | None:  # fmt: skip
    """Keep a message under a name of its own when its link's name for it is another message's.

    Word for word the same is another message only if it is a wish to leave and the name was used
    longer than `window` ago. `message_id` is its place among messages of the same instant.
    """
    known = await in_queries.known(tx, sms)
    if known is None:
        return None
    if not known[1]:
        other = told_apart(sms)
        if kept := await _keep_apart(tx, other, message_id, "other content", now):
            return kept
        known = await in_queries.known(tx, other)
    if known is None or known[0] + window > now or not leaves(sms.text):
        return None
    later = told_apart(sms, at=now)
    return await _keep_apart(tx, later, message_id, "a later wish to leave", now)


async def _keep_apart(
    tx: Connection, sms: IncomingSms, message_id: UUID, what: str, now: datetime
) -> MessageIn | None:  # fmt: skip
    kept = await _keep(tx, sms, message_id=message_id, now=now)
    if kept is not None:
        actor = Actor(kind=ActorKind.NETWORK, name=sms.link)
        await audit.note(
            tx, "message.name_reused", "message_in", kept.id, actor=actor, now=now,
            reason=f"{what} under a name that the link had used",
        )  # fmt: skip
    return kept


def told_apart(sms: IncomingSms, *, at: datetime | None = None) -> IncomingSms:
    """Return the message under a name that its content, and when it came if given, is part of."""
    came = "" if at is None else f"\x1f{at.timestamp()}"
    content = f"{sms.msisdn}\x1f{sms.called}\x1f{sms.raw.hex()}{came}"
    name = f"{sms.link_message_id}#{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    return msgspec.structs.replace(sms, link_message_id=name)


async def _keep(
    tx: Connection, sms: IncomingSms, *, message_id: UUID, now: datetime
) -> MessageIn | None:  # fmt: skip
    message = MessageIn(
        msisdn=sms.msisdn, received_at=now, id=message_id, called=sms.called, text=sms.text,
        link=sms.link, link_message_id=sms.link_message_id,
    )  # fmt: skip
    if not await in_queries.claim_key(tx, sms, message_id=message.id, now=now):
        return None
    await in_queries.store(tx, message, sms.raw, sms.pdu)
    return message
