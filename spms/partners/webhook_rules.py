"""When to try again, when to stop, what an answer means. Nothing here touches the world."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from uuid import UUID

from spms.partners.webhook_model import (
    Answer,
    AttemptResult,
    EndpointAction,
    EndpointState,
    WebhookRules,
)

TRANSITIONS = {
    (EndpointState.ENABLED, EndpointAction.PAUSE): EndpointState.PAUSED,
    (EndpointState.PAUSED, EndpointAction.ENABLE): EndpointState.ENABLED,
    (EndpointState.DISABLED, EndpointAction.ENABLE): EndpointState.ENABLED,
    (EndpointState.ENABLED, EndpointAction.DISABLE): EndpointState.DISABLED,
    (EndpointState.PAUSED, EndpointAction.DISABLE): EndpointState.DISABLED,
    (EndpointState.ENABLED, EndpointAction.CLOSE): EndpointState.CLOSED,
    (EndpointState.PAUSED, EndpointAction.CLOSE): EndpointState.CLOSED,
    (EndpointState.DISABLED, EndpointAction.CLOSE): EndpointState.CLOSED,
}

OK, REDIRECT, BAD_REQUEST, GONE = 200, 300, 400, 410
RESTING = frozenset({429, 503})
START_LENGTH = 256
_UNPRINTABLE = re.compile(r"[^\t\n\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]")


def result_of(status: int) -> AttemptResult:
    """Say what an HTTP status means: only 2xx is delivered."""
    if status == GONE:
        return AttemptResult.GONE
    if OK <= status < REDIRECT:
        return AttemptResult.DELIVERED
    if REDIRECT <= status < BAD_REQUEST:
        return AttemptResult.REDIRECT
    return AttemptResult.REFUSED


def next_try(
    rules: WebhookRules, tries: int, endpoint_id: UUID, position: int, *, now: datetime
) -> datetime | None:
    """Return when to try again after `tries` failed ones; None when the table is at its end."""
    if tries >= len(rules.retry_seconds):
        return None
    wait = rules.retry_seconds[tries]
    seed = hashlib.sha256(endpoint_id.bytes + position.to_bytes(8, "big") + bytes([tries])).digest()
    share = int.from_bytes(seed[:4], "big") / 2**32
    return now + timedelta(seconds=wait * (1 + share * rules.jitter_percent / 100))


def rest_until(answer: Answer, rules: WebhookRules, *, now: datetime) -> datetime | None:
    """Return until when an endpoint asked for rest (429 or 503 with Retry-After), bounded."""
    if answer.http_status not in RESTING or answer.retry_after is None:
        return None
    said = answer.retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", said):
        seconds = float(said)
    else:
        try:
            until = parsedate_to_datetime(said)
        except (ValueError, OverflowError):
            return None
        seconds = ((until if until.tzinfo else until.replace(tzinfo=UTC)) - now).total_seconds()
    if seconds <= 0:
        return None
    return now + timedelta(seconds=min(seconds, rules.retry_after_max_seconds))


def response_start(body: bytes) -> str:
    """Keep a short beginning of an answer, for the SP's engineer; long numbers are blanked."""
    text = _UNPRINTABLE.sub("�", body.decode("utf-8", "replace"))
    return re.sub(r"\d{6,}", "…", text)[:START_LENGTH]


def nothing_got_through(
    succeeded_at: datetime | None, round_at: datetime, slack: timedelta = timedelta(minutes=1)
) -> bool:
    """Whether an endpoint took nothing since a round of tries began (its success is to the minute)."""
    return succeeded_at is None or succeeded_at + slack < round_at
