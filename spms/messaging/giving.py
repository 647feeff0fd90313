"""Notices that are given once: a receipt per charge, a reminder per month and step.

A notice is claimed by its natural key in the transaction that queues its message. Whoever comes
second, in another worker or after a crash, finds it claimed.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from spms.core.db import Connection
from spms.messaging import giving_queries


class NoticeKind(StrEnum):
    """What a notice is about."""

    RECEIPT = "receipt"
    """About a charge."""
    RENEWAL = "renewal"
    """About a relation and a month."""
    SPENDING = "spending"
    """About a holder of a number, a month, and a step of what is spent."""
    UNUSUAL_BILL = "unusual_bill"
    """About a holder of a number and a month."""
    BILL = "bill"
    """About a holder of a number and a month."""


class NoticeKey(NamedTuple):
    """Which notice: the same again is never given again."""

    msisdn: str
    kind: NoticeKind
    about_id: str


async def claim(
    tx: Connection, keys: Sequence[NoticeKey], *, now: datetime
) -> set[NoticeKey]:  # fmt: skip
    """Return those notices that nobody gave before, and take them; give them in this transaction.

    Waits for another transaction that is about to give the same one.
    """
    if not keys:
        return set()
    rows = await giving_queries.claim(tx, sorted(set(keys)), now)
    return {NoticeKey(msisdn, NoticeKind(kind), about_id) for msisdn, kind, about_id in rows}
