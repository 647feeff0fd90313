"""Getting out (退订): one relation, some, or all; effective when the wish was received."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import msgspec

from spms.catalogue.model import ServiceKind
from spms.core import audit, rulebook
from spms.core.access import Actor, ActorKind
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.messaging import actions as messaging
from spms.messaging.model import MessageKind
from spms.subscribers.model import Number
from spms.subscriptions import (
    announcing,
    consent_log,
    duties,
    move_queries,
    notices,
    queries,
    reminders,
    talk_queries,
)
from spms.subscriptions.model import Action, ConsentRules, EndReason, Status, Subscription
from spms.subscriptions.notices import Line
from spms.subscriptions.ordering import ABOUT, line_of
from spms.subscriptions.rules import decide

LIST_MAX = 99
"""Lines of a list: a choice has at most two digits. An SMS usually ends before."""


async def leave(
    tx: Connection,
    *,
    msisdn: str,
    subscription_id: UUID,
    reason: str | None,
    actor: Actor,
    now: datetime,
    at: datetime | None = None,
) -> Subscription:
    """End one relation as of `at` (now, unless said) and confirm it by SMS.

    What is over already stays as it is: leaving twice is leaving. A prompt that waits is refused.
    `reason` is what an agent was told. Raises `NotFound` when the number has no such relation, or
    the signed-in subscriber is not the owner who made it.
    """
    number = await queries.hold_number(tx, msisdn)
    current = await queries.find(tx, msisdn, subscription_id)
    if number is None or current is None or not _theirs(current, actor):
        raise NotFound("no such subscription")
    if not current.live:
        return current
    ended = await end(tx, [current], at=at or now, actor=actor, now=now, reason=reason)
    await confirm_left(tx, number, ended, now=now)
    return ended[0]


async def leave_all(
    tx: Connection,
    *,
    msisdn: str,
    sp_id: UUID | None = None,
    reason: str | None,
    actor: Actor,
    now: datetime,
    at: datetime | None = None,
) -> int:
    """End everything a number has, of one SP or of all; return how many relations that were.

    One SMS confirms it. Raises `NotFound` for a number that nobody ever had.
    """
    number = await queries.hold_number(tx, msisdn)
    if number is None:
        raise NotFound("no such number")
    at = at or now
    wanted = [
        current
        for current in await queries.live(tx, msisdn)
        if current.asked_at <= at
        and (sp_id is None or current.sp_id == sp_id)
        and _theirs(current, actor)
    ]
    ended = await end(tx, wanted, at=at, actor=actor, now=now, reason=reason)
    if ended:
        await confirm_left(tx, number, ended, now=now)
    return len(ended)


async def end(
    tx: Connection,
    wanted: Sequence[Subscription],
    *,
    at: datetime,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
    lookup_id: UUID | None = None,
    message_id: UUID | None = None,
) -> list[Subscription]:
    """End live relations as of an instant, without a word; the number is held by the caller.

    Of what is over by another cause the end moves to that instant, never to a later one. What still
    asks about them or welcomes them, and has not left, never leaves. When staff do it, for whatever
    entrance, the clocks of what must follow start.
    """
    ended = []
    for current in wanted:
        action = Action.LEAVE if current.live else Action.LEAVE_EARLIER
        change = decide(current, action, at=at, reason=_why(actor))
        if await move_queries.apply(
            tx, current, change, actor=actor.label, reason=reason, message_id=message_id
        ):
            ended.append(
                msgspec.structs.replace(
                    current, status=change.after, ended_at=change.at, end_reason=change.end_reason
                )
            )
        if actor.kind is ActorKind.STAFF:
            await audit.note(
                tx, "subscription.left", ABOUT, current.id, actor=actor, now=now, reason=reason
            )
    await consent_log.record(tx, sorted({one.msisdn for one in ended}), now=now)
    over = [(one.msisdn, one.id) for one in ended]
    await announcing.take_back(tx, over, now=now)
    await reminders.take_back(tx, over, now=now)
    if actor.kind is ActorKind.STAFF:
        await duties.begin(tx, ended, lookup_id=lookup_id, now=now)
    return ended


async def confirm_left(
    tx: Connection, number: Number, ended: Sequence[Subscription], *, now: datetime
) -> None:
    """Tell the person that it took effect: free of charge, after the fact, never before."""
    left = [one for one in ended if one.status is Status.ENDED and one.epoch == number.epoch]
    refused = [one for one in ended if one.status is Status.REFUSED and one.epoch == number.epoch]
    if left:
        since = max(one.ended_at for one in left if one.ended_at is not None)
        text = notices.left(_lines(left), since, language=number.language)
        await messaging.send(
            tx, msisdn=number.msisdn, text=text, kind=MessageKind.LEFT, about_kind=ABOUT,
            about_id=left[0].id, now=now,
        )  # fmt: skip
    if refused:
        text = notices.refused(_lines(refused), language=number.language)
        await messaging.send(
            tx, msisdn=number.msisdn, text=text, kind=MessageKind.INFO, about_kind=ABOUT,
            about_id=refused[0].id, now=now,
        )  # fmt: skip


async def make_list(
    tx: Connection, number: Number, relations: Sequence[Subscription], *, zeros: bool,
    now: datetime,
) -> str:  # fmt: skip
    """Write the numbered list of what a number has, and remember it for the answer.

    It shows what renews itself; an order on demand ends by itself within the day. What does not
    fit into one message comes when the list is asked for again. `zeros`: see `notices.listing`.
    """
    rules = await rulebook.section(tx, ConsentRules, at=now)
    shown = [one for one in relations if one.kind is ServiceKind.MONTHLY][:LIST_MAX]
    write = partial(notices.listing, hours=rules.list_hours, zeros=zeros, language=number.language)
    text = write(_lines(shown))
    while len(text) > messaging.TEXT_MAX:
        shown.pop()
        text = write(_lines(shown))
    if shown:
        until = now + timedelta(hours=rules.list_hours)
        ids = [one.id for one in shown]
        await talk_queries.add_list(tx, number.msisdn, ids, now=now, expires_at=until)
    return text


def _lines(relations: Sequence[Subscription]) -> list[Line]:
    return [line_of(one) for one in relations]


def _theirs(current: Subscription, actor: Actor) -> bool:
    return actor.kind is not ActorKind.SUBSCRIBER or actor.epoch == current.epoch


def _why(actor: Actor) -> EndReason:
    reasons = {ActorKind.SUBSCRIBER: EndReason.SUBSCRIBER, ActorKind.STAFF: EndReason.AGENT}
    return reasons.get(actor.kind, EndReason.OPERATOR)
