"""What an SP is told, and how it is read from the feed."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell an SP. It holds nothing that the SP may not know: no person's number."""

    id: UUID
    """The same thing told twice has the same id, and is told once."""
    sp_id: UUID
    type: str
    """Dotted, lower case: `subscription.activated`."""
    subject: str
    """What it is about. News of one subject are carried in order; others may overtake."""
    occurred_at: datetime
    data: dict[str, Any]


class FeedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event, as the feed shows it and as a webhook carries it."""

    id: UUID
    """Also the webhook's `webhook-id`: by it a receiver knows what it has seen before."""
    position: int
    """In this SP's feed: 1, 2, 3 …, without gaps."""
    type: str
    subject: str
    """What it is about, for a subscription its id. Events of one subject come in order."""
    timestamp: datetime
    """When it happened; a late fact may lie behind the one before it."""
    data: dict[str, Any]


class FeedPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some events of the feed."""

    items: list[FeedEvent]
    next: str
    """Cursor for the next call: also at the end, where later events will come."""
    more: bool
    """Whether there is something behind this page already."""
