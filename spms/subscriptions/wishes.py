"""Wishes to leave whose handling failed: charging has stopped, and a person settles them.

Whatever somebody decides counts from when the wish came in, as if it had been carried out then.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.paging import Page, read_cursor, write_cursor
from spms.core.phone import mask
from spms.messaging import wish_queries
from spms.subscribers import actions as subscribers
from spms.subscriptions import leaving, queries
from spms.subscriptions.evidence import show
from spms.subscriptions.leaving_model import WishSettled, WishShown
from spms.subscriptions.model import Subscription

LIST = "leave-wishes"


async def page(
    read: Connection, *, cursor: str | None, limit: int, actor: Actor
) -> Page[WishShown]:  # fmt: skip
    """List what waits for a person, oldest first."""
    key = await read_cursor(read, actor, LIST, cursor, tuple[datetime, UUID])
    rows = await wish_queries.page(read, key, limit + 1)
    items = [
        WishShown(
            id=wish.message_id, number=mask(wish.msisdn), received_at=wish.received_at,
            called=wish.called, text=wish.text,
        )
        for wish in rows[:limit]
    ]  # fmt: skip
    following = None
    if len(rows) > limit:
        following = await write_cursor(read, actor, LIST, [items[-1].received_at, items[-1].id])
    return Page(items=items, next=following)


async def number_of(read: Connection, wish_id: UUID) -> str:
    """Return whose wish it is. Raises `NotFound`: none such waits."""
    wish = await wish_queries.find(read, wish_id)
    if wish is None:
        raise NotFound("no such wish to leave waits to be settled")
    return wish.msisdn


async def settle(
    tx: Connection,
    wish_id: UUID,
    *,
    subscription_ids: Sequence[UUID] | None,
    reason: str,
    ticket: str,
    actor: Actor,
    now: datetime,
) -> WishSettled:
    """End what the wish meant (everything, unless said), and let it stop charging no longer.

    What ended meanwhile by another cause has ended when the wish came in, too. It is the wish of
    whoever held the number then. Raises `NotFound`: no such wish waits, or a relation is not among
    what she had then.
    """
    wish = await wish_queries.find(tx, wish_id)
    if wish is None:
        raise NotFound("no such wish to leave waits to be settled")
    number = await queries.hold_number(tx, wish.msisdn)
    held = await subscribers.state_at(tx, wish.msisdn, wish.received_at)
    had = [
        one
        for one in [
            *await queries.live(tx, wish.msisdn),
            *await queries.ended_since(tx, wish.msisdn, wish.received_at),
        ]
        if held is not None and one.epoch == held[1] and one.asked_at <= wish.received_at
    ]
    wanted = had if subscription_ids is None else [one for one in had if one.id in subscription_ids]
    if subscription_ids and {one.id for one in wanted} != set(subscription_ids):
        raise NotFound("no such subscription of this number when the wish came in")
    if not await wish_queries.settle(tx, wish, actor=actor.label, now=now):
        raise NotFound("no such wish to leave waits to be settled")
    ended: list[Subscription] = []
    for one in wanted:
        at = max(wish.received_at, one.active_from or one.asked_at)
        ended += await leaving.end(
            tx, [one], at=at, actor=actor, now=now, reason=f"{ticket}: {reason}"
        )
    if number is not None and ended:
        await leaving.confirm_left(tx, number, ended, now=now)
    await audit.note(
        tx, "subscription.wish_settled", "message_in", wish_id, actor=actor, now=now, reason=reason,
        detail={"ticket": ticket, "left": [one.id for one in ended]},
    )  # fmt: skip
    return WishSettled(left=await show(tx, ended, actor=actor))
