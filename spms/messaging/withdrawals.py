"""Taking back what has not left yet, because what it is about is over, or its reader another.

What waits never leaves. What may have been sent, and would be sent once more, is not. What a courier
has in its hands at that moment may still go; if the link does not take it, it ends there.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from spms.core.db import Connection
from spms.messaging import out_queries
from spms.messaging.model import MessageKind

WITHDRAWABLE: Final = timedelta(days=3)
"""How old a message may be that is taken back; an older one has left or was given up."""


async def withdraw(
    tx: Connection,
    msisdn: str,
    *,
    about_kind: str,
    about_ids: Sequence[object],
    kinds: Sequence[MessageKind],
    now: datetime,
) -> int:
    """Take back messages that have not left yet, because what they are about is over."""
    over = [(msisdn, about_id) for about_id in about_ids]
    return await withdraw_many(tx, over, about_kind=about_kind, kinds=kinds, now=now)


async def withdraw_many(
    tx: Connection,
    over: Sequence[tuple[str, object]],
    *,
    about_kind: str,
    kinds: Sequence[MessageKind],
    now: datetime,
) -> int:
    """Take back what has not left yet about things that are over: pairs of a number and an id."""
    if not over:
        return 0
    pairs = [(msisdn, str(about_id)) for msisdn, about_id in over]
    since = now - WITHDRAWABLE
    return await out_queries.withdraw(
        tx, about_kind, pairs, kinds=[*kinds], since=since, now=now
    )  # fmt: skip


async def withdraw_all(
    tx: Connection, until: Sequence[tuple[str, datetime]], *, now: datetime
) -> int:  # fmt: skip
    """Take back whatever was queued to a number before an instant: it has another holder now."""
    if not until:
        return 0
    return await out_queries.withdraw_all(tx, until, since=now - WITHDRAWABLE, now=now)
