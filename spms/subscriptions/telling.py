"""Tells SPs what became of their relations.

Derived from `subscription_event` after the commit, so nothing on the way of a request changes and
nothing is told that was rolled back. The search is by row state: a line without its event in the
feed is untold, however late its transaction committed. `settled_seq` only keeps the search short.
It moves to a number once every transaction that had an id when that number was the newest is over
(nobody can bring a smaller one any more: the number is drawn after the transaction has written the
relation, and so has an id), and nothing up to it is untold.
"""

import msgspec

from spms.core.db import Connection
from spms.core.instance import instance_secret
from spms.partners import event_feed
from spms.partners.event_feed_model import News
from spms.subscribers.actions import pseudonym
from spms.subscriptions import telling_queries as queries
from spms.subscriptions.model import Status
from spms.subscriptions.rules import OVER
from spms.subscriptions.telling_model import EventType, SubscriptionNews, Untold

TYPES = {
    Status.AWAITING: EventType.REQUESTED,
    Status.ACTIVE: EventType.ACTIVATED,
    Status.SUSPENDED: EventType.SUSPENDED,
    Status.ENDED: EventType.ENDED,
    Status.REFUSED: EventType.REFUSED,
    Status.EXPIRED: EventType.EXPIRED,
}
HELD = frozenset({Status.ACTIVE, Status.SUSPENDED})


def event_type(before: Status | None, after: Status) -> EventType:
    """Name a change of status; active again after a suspension is no activation."""
    if before is Status.SUSPENDED and after is Status.ACTIVE:
        return EventType.RESUMED
    return TYPES[after]


def news_of(happened: Untold, secret: bytes) -> News:
    """Write what the SP may know about one change; `secret` is the instance's.

    The relation is told as it was right after the change, whatever has happened since.
    """
    held = happened.to_status in HELD or happened.from_status in HELD
    over = happened.to_status in OVER
    data = SubscriptionNews(
        subscription_id=happened.subscription_id,
        service_code=happened.service_code,
        kind=happened.kind,
        number=pseudonym(secret, happened.sp_id, happened.msisdn, happened.epoch),
        status=happened.to_status,
        previous_status=happened.from_status,
        reason=happened.end_reason if over else None,
        price_fen=happened.price_fen,
        channel=happened.channel,
        requested_at=happened.requested_at,
        confirm_by=happened.confirm_by,
        active_from=happened.active_from if held else None,
        ended_at=happened.at if over else None,
    )
    return News(
        id=happened.id,
        sp_id=happened.sp_id,
        type=event_type(happened.from_status, happened.to_status),
        subject=str(happened.subscription_id),
        occurred_at=happened.at,
        data=msgspec.to_builtins(data),
    )


async def tell_untold(tx: Connection, *, limit: int = 500) -> int:
    """Tell what was not told yet and return how much that was; for whoever has the feed's turn.

    The first thing that its transaction writes: only then the start of the search can move.
    """
    await queries.settle(tx)
    happened = await queries.untold(tx, limit=limit)
    if happened:
        secret = await instance_secret(tx)
        await event_feed.tell(tx, [news_of(each, secret) for each in happened])
    return len(happened)
