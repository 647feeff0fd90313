"""The nouns of leaving: the operator's profile, an agent's look-up, and what must follow."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

import msgspec

from spms.subscriptions.model import SubscriptionShown

TOPIC_OVERDUE: Final = "leaving.overdue"
"""Outbox: {duty_id, kind, sp_id, subscription_id, due_at}, once for every clock that ran out."""

Ticket = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9A-Za-z._:/-]{1,40}$(?!\n)", examples=["GD-20260302-17"])
]
"""The reference of the call or complaint for which an agent acts."""


class Zeros(StrEnum):
    """What `00000` does: it is not the same everywhere (domain U5)."""

    ALL = "all"
    """Ends everything at once, as with Sichuan Unicom."""
    LIST = "list"
    """Sends the list, as `0000` does, so that nothing ends by mistake, as with China Mobile."""


class LeavingRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rulebook section `leaving`: the operator's profile of commands, and the clocks."""

    zeros: Zeros = Zeros.ALL
    """`00000` to the operator's own number."""
    zeros_at_sp: Zeros = Zeros.ALL
    """`00000` to an SP's number: within that SP."""
    lists_per_day: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 40
    """Lists to one number in 24 h: enough to leave everything, too few for two robots."""
    clock_hours: Annotated[int, msgspec.Meta(ge=1, le=72)] = 12
    """What follows a leaving through an agent is done by then (domain U1)."""
    lookup_minutes: Annotated[int, msgspec.Meta(ge=1, le=240)] = 30
    """How long an agent may act upon a look-up."""


class DutyKind(StrEnum):
    """What must follow a leaving through an agent."""

    SP_TOLD = "sp_told"
    """The SP's systems know that the relation ended."""
    WELCOME_REVOKED = "welcome_revoked"
    """No welcome or reminder is on its way, and the person was told that she has left."""


class Clock(StrEnum):
    """How a duty stands against its clock."""

    RUNNING = "running"
    MET = "met"
    OVERDUE = "overdue"
    MET_LATE = "met_late"


class Duty(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must follow, with its clock. Inside only: it holds the number."""

    msisdn: str
    epoch: int
    id: UUID
    subscription_id: UUID
    sp_id: UUID
    service_code: str
    kind: DutyKind
    ticket: str | None
    started_at: datetime
    due_at: datetime
    met_at: datetime | None
    met_by: str | None
    breached_at: datetime | None


class DutyShown(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must follow, as it is answered."""

    id: UUID
    subscription_id: UUID
    number: str
    """Masked; for an SP the number's pseudonym with that SP."""
    service_code: str
    kind: DutyKind
    ticket: str | None
    """The agent's reference; not shown to an SP."""
    started_at: datetime
    due_at: datetime
    clock: Clock
    seconds_left: int
    """Until the clock runs out, while it runs; else 0."""
    met_at: datetime | None
    breached_at: datetime | None


class ProxyLookup(msgspec.Struct, frozen=True, kw_only=True):
    """An agent's look at a number, as it is on record."""

    msisdn: str
    id: UUID
    looked_by: str
    reason: str
    ticket: str
    at: datetime
    expires_at: datetime
    owner_epoch: int | None
    """Whose relations were shown; None when nobody held the number."""


class ProxyView(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent sees of a number, and until when she may act upon it."""

    lookup_id: UUID
    number: str
    """Masked."""
    expires_at: datetime
    subscriptions: list[SubscriptionShown]
    """What is not over, oldest first; empty also for a number nobody holds."""


class ProxyLeft(msgspec.Struct, frozen=True, kw_only=True):
    """What a leaving through an agent did, and what follows by when."""

    left: list[SubscriptionShown]
    """What ended now; what was over before is left out."""
    duties: list[DutyShown]


class WishShown(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to leave that could not be carried out, and stops charging until somebody settles it."""

    id: UUID
    number: str
    """Masked."""
    received_at: datetime
    called: str
    text: str | None


class WishSettled(msgspec.Struct, frozen=True, kw_only=True):
    """What settling a wish to leave ended, as of when the wish came in."""

    left: list[SubscriptionShown]
