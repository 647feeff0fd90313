"""The verbs about messages and codes. Each runs inside the caller's transaction, never ends it.

How a message from a subscriber is kept stands in `receiving`.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from spms.core.db import Connection
from spms.core.ids import new_id
from spms.core.rulebook import section
from spms.messaging import (
    code_queries,
    codes,
    delivery_queries,
    in_queries,
    out_queries,
    receipt_queries,
    receipts,
    stray_queries,
)
from spms.messaging.model import (
    MessageIn,
    MessageKind,
    MessageOut,
    MessageState,
    MessagingRules,
    Outgoing,
    Sent,
)
from spms.messaging.receiving import receive

__all__ = [
    "count_sent", "forget", "mark_all_submitted", "mark_failed", "mark_handled", "mark_submitted",
    "mark_unknown", "orphan_receipts", "put_back", "receive", "record_receipt", "send",
    "send_many", "still_wanted", "take_due", "take_pending",
]  # fmt: skip

LEASE: Final = timedelta(seconds=30)
"""How long a courier has a message for itself; it must be done with it well before."""

TEXT_MAX: Final = 1000
"""Characters: about fifteen parts of a long SMS. A longer text is a mistake of ours."""


async def send(
    tx: Connection,
    *,
    msisdn: str,
    text: str,
    kind: MessageKind,
    about_kind: str,
    about_id: object,
    now: datetime,
    sender: str | None = None,
    due_at: datetime | None = None,
) -> UUID:
    """Queue a message to a subscriber and return its id; it leaves after the commit.

    `sender` is the operator's number unless said, `due_at` is now. `about_kind` and `about_id`
    name the thing it is about. Raises `ValueError` for an empty text or one over `TEXT_MAX`.
    """
    if not 0 < len(text) <= TEXT_MAX:
        raise ValueError(f"a message has 1 to {TEXT_MAX} characters")
    if sender is None:
        sender = (await section(tx, MessagingRules, at=now)).operator_number
    message = MessageOut(
        msisdn=msisdn, queued_at=now, id=new_id(), sender=sender, text=text, kind=kind,
        about_kind=about_kind, about_id=str(about_id), state=MessageState.QUEUED, attempts=0,
    )  # fmt: skip
    await out_queries.enqueue(tx, message, due_at=due_at or now)
    return message.id


async def send_many(tx: Connection, messages: Sequence[Outgoing], *, now: datetime) -> int:
    """Queue messages with one statement and return how many; they leave after the commit.

    Of one number they go in the order given. Raises `ValueError` as `send` does, and then queues
    none of them.
    """
    if not messages:
        return 0
    if any(not 0 < len(each.text) <= TEXT_MAX for each in messages):
        raise ValueError(f"a message has 1 to {TEXT_MAX} characters")
    operator = ""
    if any(each.sender is None for each in messages):
        operator = (await section(tx, MessagingRules, at=now)).operator_number
    rows = [
        MessageOut(
            msisdn=each.msisdn, queued_at=now, id=new_id(), sender=each.sender or operator,
            text=each.text, kind=each.kind, about_kind=each.about_kind,
            about_id=str(each.about_id), state=MessageState.QUEUED, attempts=0,
        )
        for each in messages
    ]  # fmt: skip
    await out_queries.enqueue_many(tx, rows, [each.due_at or now for each in messages])
    return len(rows)


async def count_sent(
    read: Connection, msisdn: str, kind: MessageKind, *, since: datetime
) -> int:  # fmt: skip
    """Count messages of a kind to one number since an instant, also failed and waiting ones."""
    return await out_queries.count_sent(read, msisdn, kind, since)


async def take_due(tx: Connection, *, now: datetime, limit: int = 50) -> list[MessageOut]:
    """Lease due messages to the caller for `LEASE`, oldest first.

    A message whose lease ended unanswered comes once more, with the same text; after that it is
    given up, as is one that could not be handed over for a day (`MessagingRules.validity_hours`).
    """
    rules = await section(tx, MessagingRules, at=now)
    validity = timedelta(hours=rules.validity_hours)
    return await out_queries.take_due(tx, now=now, limit=limit, validity=validity, lease=LEASE)


async def still_wanted(read: Connection, message: MessageOut) -> bool:
    """Whether a message that was taken has not been taken back since."""
    return await out_queries.still_wanted(read, message)


async def mark_submitted(
    tx: Connection, message: MessageOut, *, link: str, link_message_id: str, now: datetime
) -> None:
    """Record that the network has the message; a receipt that came first is applied now."""
    sent = Sent(message=message, link=link, link_message_id=link_message_id)
    await mark_all_submitted(tx, [sent], now=now)


async def mark_all_submitted(tx: Connection, sent: Sequence[Sent], *, now: datetime) -> None:
    """Record that the network has these messages; receipts that came first are applied now."""
    by_link: dict[str, list[Sent]] = defaultdict(list)
    for each in sent:
        by_link[each.link].append(each)
    for link, group in sorted(by_link.items()):
        names = sorted({n for each in group for n in (each.link_message_id, *each.parts)})
        await delivery_queries.lock_numbers(tx, link, [each.message.msisdn for each in group])
        await receipt_queries.lock_link_messages(tx, link, names)
        await out_queries.submitted(tx, link, group, now=now)
        pairs = [(form, name) for name in names for form in receipts.forms(name)]
        await receipt_queries.apply_receipts(tx, link, pairs)


async def mark_failed(tx: Connection, message: MessageOut, *, error: str) -> bool:
    """Record that the network will never take it; False when another courier has it by now."""
    return await out_queries.let_go(
        tx, message, state=MessageState.FAILED, attempts=message.attempts, until=None, error=error
    )


async def mark_unknown(
    tx: Connection, message: MessageOut, *, error: str, now: datetime
) -> bool:  # fmt: skip
    """Record that it may have been sent: once more after the lease, if it was the first time."""
    return await out_queries.let_go(
        tx, message, state=MessageState.UNKNOWN, attempts=message.attempts, until=now + LEASE,
        error=error,
    )  # fmt: skip


async def put_back(
    tx: Connection, message: MessageOut, *, error: str, not_before: datetime
) -> bool:  # fmt: skip
    """Record that it was certainly not sent: again from an instant on, as if nothing had been."""
    return await out_queries.let_go(
        tx, message, state=MessageState.QUEUED, attempts=message.attempts - 1, until=not_before,
        error=error,
    )  # fmt: skip


async def record_receipt(
    tx: Connection, link: str, link_message_id: str, *, delivered: bool, now: datetime
) -> None:
    """Keep a delivery receipt, also one that comes before its message is recorded as sent."""
    await receipt_queries.lock_link_messages(tx, link, [link_message_id])
    await receipt_queries.add_receipt(tx, link, link_message_id, delivered=delivered, now=now)
    await receipt_queries.apply_receipts(tx, link, [(link_message_id, link_message_id)])


async def orphan_receipts(
    read: Connection, *, before: datetime, limit: int = 50
) -> list[receipt_queries.Orphan]:
    """List receipts from before an instant whose message we do not know, newest first."""
    return await receipt_queries.orphans(read, before=before, limit=limit)


async def forget(tx: Connection, *, now: datetime) -> int:
    """Drop what the rulebook does not keep any longer, and return how many rows that were.

    These are receipts, links' names for messages, strays, and what only served to count or compare.
    """
    rules = await section(tx, MessagingRules, at=now)
    kept = now - timedelta(days=rules.keep_days)
    applied = now - timedelta(days=rules.keep_receipts_days)
    dropped = await receipt_queries.forget_receipts(tx, matched=applied, orphans=kept)
    dropped += await receipt_queries.forget_parts(tx, applied)
    dropped += await code_queries.forget_requests(tx, now - 2 * codes.WINDOW)
    dropped += await delivery_queries.forget_names(tx, kept)
    dropped += await stray_queries.forget(tx, kept)
    return dropped + await delivery_queries.forget_unproven(tx, now)


async def take_pending(
    tx: Connection, *, limit: int = 1, but: Sequence[str] = ()
) -> list[MessageIn]:
    """Take unhandled messages for as long as the transaction lasts: of each number the oldest.

    Numbers in `but` are passed over. Safe for any number of workers: no two ever have messages of
    one number at the same time.
    """
    return await in_queries.take_pending(tx, limit, but)


async def mark_handled(
    tx: Connection, message: MessageIn, *, reading: str | None, outcome: str, now: datetime
) -> bool:
    """Record how a message was understood and what came of it; False when it was done already."""
    return await in_queries.handled(tx, message, reading=reading, outcome=outcome, now=now)
