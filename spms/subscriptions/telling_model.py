"""What happened to a relation, as far as its SP is told."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from spms.catalogue.model import ServiceKind
from spms.subscriptions.model import Channel, EndReason, Status


class EventType(StrEnum):
    """What an SP is told about its relations."""

    REQUESTED = "subscription.requested"
    """The person has been asked; nothing may be charged."""
    ACTIVATED = "subscription.activated"
    REFUSED = "subscription.refused"
    EXPIRED = "subscription.expired"
    """Nobody answered in time: silence is refusal."""
    SUSPENDED = "subscription.suspended"
    RESUMED = "subscription.resumed"
    ENDED = "subscription.ended"


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a relation's history with what is told about the relation. Inside only."""

    id: UUID
    msisdn: str
    epoch: int
    subscription_id: UUID
    from_status: Status | None
    to_status: Status
    at: datetime
    sp_id: UUID
    service_code: str
    kind: ServiceKind
    price_fen: int
    channel: Channel
    requested_at: datetime
    confirm_by: datetime | None
    active_from: datetime | None
    end_reason: EndReason | None


class SubscriptionNews(msgspec.Struct, frozen=True, kw_only=True):
    """The `data` of an event: the relation as it was right after it."""

    subscription_id: UUID
    service_code: str
    kind: ServiceKind
    number: str
    """The person's pseudonym with this SP: the same in every answer and file of ours. Who gets the
    number next has another."""
    status: Status
    previous_status: Status | None
    reason: EndReason | None
    """Why it is over; null while it is not."""
    price_fen: int
    channel: Channel
    requested_at: datetime
    confirm_by: datetime | None
    active_from: datetime | None
    """From when it may be charged; null before the person said yes."""
    ended_at: Annotated[datetime | None, msgspec.Meta(description="From when no longer.")]
