"""The room's public verbs: each runs inside the caller's transaction and never ends it.

Getting in is in `ordering`, getting out in `leaving`, what a message does in `replies`, what proves
it in `evidence`. Here is what time and the number itself do to relations.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from spms.core import outbox, rulebook
from spms.core.access import Actor, job_actor
from spms.core.db import Connection
from spms.messaging import withdrawals
from spms.subscribers.model import Number
from spms.subscriptions import announcing, consent_log, move_queries, queries
from spms.subscriptions.evidence import evidence
from spms.subscriptions.leaving import leave, leave_all
from spms.subscriptions.model import ConsentRules
from spms.subscriptions.ordering import order, request
from spms.subscriptions.replies import handle_message
from spms.subscriptions.rules import SETTLING, OwnerEvent, follow, of_another_until

__all__ = [
    "evidence",
    "expire_due",
    "follow_numbers",
    "handle_message",
    "leave",
    "leave_all",
    "order",
    "request",
]

NUMBER_CHANGED: Final = "number.changed"


async def expire_due(tx: Connection, *, now: datetime, limit: int = 1000) -> int:
    """Close prompts nobody answered and on-demand orders past their time; return how many.

    Silence is refusal: nobody is told. A prompt waits ten seconds longer than its window, and for
    every unread message that was received inside it. Both end as of the end of their time, however
    late this runs. Safe to run anywhere at once.
    """
    actor = job_actor("expiry").label
    rules = await rulebook.section(tx, ConsentRules, at=now)
    expired = await move_queries.expire(
        tx, before=now - SETTLING, limit=limit, actor=actor
    )  # fmt: skip
    open_for = timedelta(hours=rules.on_demand_hours)
    lapsed = await move_queries.lapse(
        tx, now=now, open_for=open_for, limit=limit, actor=actor
    )  # fmt: skip
    await announcing.take_back(tx, expired, now=now)
    await consent_log.record(tx, [msisdn for msisdn, _ in expired] + lapsed, now=now)
    return len(expired) + len(lapsed)


async def follow_numbers(tx: Connection, *, now: datetime, limit: int = 100) -> int:
    """Let relations follow what happened to their numbers; return how often relations moved.

    Reads the number as it is and its dated events, not the order in which the news came in, so
    several workers and repeated news do no harm; of several suspensions each leaves its mark.
    What was written to a holder who has lost the number, and has not left, never leaves: another
    would read it.
    """
    items = await outbox.take(tx, NUMBER_CHANGED, now=now, limit=limit)
    actor = job_actor("numbers")
    moved = 0
    lost: list[tuple[str, datetime]] = []
    numbers = sorted({str(item.payload["msisdn"]) for item in items})
    for msisdn in numbers:
        number = await queries.hold_number(tx, msisdn)
        if number is not None:
            events = await queries.owner_events(tx, msisdn)
            moved += await _follow(tx, number, events, actor=actor)
            if (until := of_another_until(events)) is not None:
                lost.append((msisdn, until))
    await withdrawals.withdraw_all(tx, lost, now=now)
    await consent_log.record(tx, numbers, now=now)
    await outbox.done(tx, items, now=now)
    return moved


async def _follow(
    tx: Connection, number: Number, events: Sequence[OwnerEvent], *, actor: Actor
) -> int:
    moved_at = await queries.last_moves(tx, number.msisdn)
    moved = 0
    for current in await queries.live(tx, number.msisdn):
        since = max(moved_at.get(current.id, current.requested_at), current.requested_at)
        for change in follow(current, number, events, since=since):
            moved += await move_queries.apply(tx, current, change, actor=actor.label, reason=None)
    return moved
