"""Where an SP wants to be told, and what came of telling it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec

from spms.partners.model import Reason

Seconds = Annotated[int, msgspec.Meta(ge=0, le=604_800)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Position = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

EventName = Annotated[
    str,
    msgspec.Meta(
        min_length=3, max_length=60, pattern=r"^[a-z_]+(?:\.[a-z_]+)+$(?!\n)",
        examples=["subscription.activated"],
    ),
]  # fmt: skip
Url = Annotated[
    str, msgspec.Meta(min_length=1, max_length=500, examples=["https://sp.example.com/spms"])
]


class WebhookRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rulebook's section about webhooks; defaults after Standard Webhooks 1.0."""

    retry_seconds: Annotated[tuple[Seconds, ...], msgspec.Meta(min_length=1, max_length=20)] = (
        0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400,
    )  # fmt: skip
    """Before each try. Over 75 hours in all; after the last one the event is given up."""
    jitter_percent: Annotated[int, msgspec.Meta(ge=0, le=50)] = 10
    """Up to so much is added to each wait, so that what failed together does not return together."""
    retry_after_max_seconds: Seconds = 86_400
    """Longest rest an endpoint may ask for by Retry-After."""
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=30)] = 15.0
    """For one try, from looking up the name to the end of the answer."""
    parallel_per_endpoint: Annotated[int, msgspec.Meta(ge=1, le=50)] = 4
    """Tries at once at one endpoint, all workers together; one while it fails."""
    endpoints_max: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    """Endpoints of one SP that are not closed."""
    overlap_hours: Annotated[int, msgspec.Meta(ge=0, le=168)] = 24
    """How long the old secret signs too after a rotation."""
    ports: Annotated[tuple[Port, ...], msgspec.Meta(max_length=20)] = (443, 8443)
    """Ports that an endpoint may have."""
    replay_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 10_000
    """Events that one call replays at most; the answer says where to go on."""
    keep_attempts_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 90
    """How long the tries are kept, and when a feed was read; whether an event was delivered, and how far
    a feed was read, stays known."""


class EndpointState(StrEnum):
    """Whether an endpoint is told anything."""

    ENABLED = "enabled"
    PAUSED = "paused"
    """By hand: events wait until it is enabled."""
    DISABLED = "disabled"
    """It answered 410, or nothing got through for the whole table of tries; events are given up."""
    CLOSED = "closed"


class EndpointAction(StrEnum):
    """What moves an endpoint's state."""

    PAUSE = "pause"
    ENABLE = "enable"
    DISABLE = "disable"
    CLOSE = "close"


class DeliveryState(StrEnum):
    """How far one event has come at one endpoint."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class AttemptResult(StrEnum):
    """What came of one try. Closed, and without anything that the other side said."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """An answer outside 200 to 299."""
    GONE = "gone"
    """410: it wants no more."""
    REDIRECT = "redirect"
    """Redirects are not followed."""
    TIMEOUT = "timeout"
    TLS = "tls"
    """No trusted certificate for the name."""
    ADDRESS = "address"
    """The name leads to an address that may not be called."""
    UNREACHABLE = "unreachable"
    """No such name, no connection, or it broke."""
    BAD_ANSWER = "bad_answer"
    """Not HTTP, or larger than is read."""


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to tell, and what."""

    url: Url
    """https, a public name, port 443 or 8443."""
    types: Annotated[list[EventName], msgspec.Meta(max_length=50)] = []
    """Types of events; none means all, also those of later releases."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One address at which an SP wants to be told."""

    id: UUID
    sp_id: UUID
    url: str
    types: list[str]
    state: EndpointState
    state_at: datetime
    state_reason: str | None
    created_at: datetime
    failing_since: datetime | None
    """First failed try after the last one that got through."""
    succeeded_at: datetime | None
    """Of the last try that got through, to the minute."""
    resume_at: datetime | None
    """It asked for rest until then."""
    waiting: int
    """Events that are still to get through."""
    given_up_from: int | None
    """Position of the oldest event that was given up: from there to replay."""


class MadeEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A new endpoint and the secret that signs what is sent there. Shown once."""

    endpoint: Endpoint
    secret: str
    """`whsec_` and base64, as Standard Webhooks libraries take it."""


class NewSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A further secret. Shown once."""

    secret: str
    old_until: datetime
    """Until then the one before signs too."""


class StateChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an endpoint is paused, enabled or closed."""

    reason: Reason | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to get one event through."""

    id: UUID
    position: int
    event_id: UUID
    at: datetime
    result: AttemptResult
    http_status: int | None
    duration_ms: int
    response_start: str | None
    """A short beginning of the answer; long numbers are blanked."""


class NewReplay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events to send again: from a position or from a time, both ends included."""

    from_position: Position | None = None
    to_position: Position | None = None
    from_time: Moment | None = None
    to_time: Moment | None = None
    reason: Reason


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay has queued."""

    queued: int
    next_position: int | None
    """Where a further call goes on; null when this was all."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint, held under a lease."""

    endpoint_id: UUID
    position: int
    lease: UUID
    tries: int
    """Before this one, in this round."""
    round_at: datetime
    url: str
    id: UUID
    type: str
    subject: str
    timestamp: datetime
    data: dict[str, Any]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a try."""

    result: AttemptResult
    http_status: int | None = None
    duration_ms: int = 0
    retry_after: str | None = None
    response_start: str | None = None
