"""What must follow a leaving through an agent: the 12 h clocks, and what happens when one runs out.

Leaving itself is effective at once; a clock never delays it. Each duty is a row with its due time:
met when it is done, breached when the time comes first. A breach is an outbox item and stays on
the row, also when the duty is met later.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from spms.core import outbox, rulebook
from spms.core.access import Actor, ActorKind
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.instance import instance_secret
from spms.core.paging import Page, read_cursor, write_cursor
from spms.core.phone import mask
from spms.messaging import withdrawals
from spms.messaging.model import MessageKind
from spms.subscribers.actions import pseudonym
from spms.subscriptions import leaving_queries
from spms.subscriptions.leaving_model import (
    TOPIC_OVERDUE,
    Clock,
    Duty,
    DutyKind,
    DutyShown,
    LeavingRules,
)
from spms.subscriptions.model import Subscription

LIST = "leaving-duties"
UNDER_WAY = timedelta(minutes=1)
"""Longer than any transaction lasts (see `core.db.SESSION`): what was done in time is on record by
then. So long after it ran out, a clock is told of as a breach; what it shows does not wait."""
UNWANTED = (MessageKind.WELCOME, MessageKind.REMINDER, MessageKind.PROMPT)


async def begin(
    tx: Connection, ended: Sequence[Subscription], *, lookup_id: UUID | None, now: datetime
) -> None:
    """Start the clocks for relations that an agent ended, and stop what still welcomes them."""
    if not ended:
        return
    rules = await rulebook.section(tx, LeavingRules, at=now)
    due_at = now + timedelta(hours=rules.clock_hours)
    await leaving_queries.add_duties(tx, ended, lookup_id=lookup_id, now=now, due_at=due_at)
    await withdrawals.withdraw(
        tx, ended[0].msisdn, about_kind="subscription", about_ids=[one.id for one in ended],
        kinds=UNWANTED, now=now,
    )  # fmt: skip


async def acknowledge(tx: Connection, duty_id: UUID, *, actor: Actor, now: datetime) -> DutyShown:
    """Let an SP say that its systems know; saying it again changes nothing. Raises `NotFound`."""
    await leaving_queries.meet(tx, actor.sp_id, duty_id, now=now, actor=actor.label)
    duty = await leaving_queries.find(tx, duty_id)
    if duty is None or duty.sp_id != actor.sp_id or duty.kind is not DutyKind.SP_TOLD:
        raise NotFound
    (shown,) = await show(tx, [duty], actor=actor, now=now)
    return shown


async def watch(tx: Connection, *, actor: Actor, now: datetime, limit: int = 500) -> int:
    """Record what is done by itself, and tell others of the clocks that ran out; return how many.

    Safe to run anywhere at once: a clock runs out once. Whatever was done is recorded before any
    clock is called run out, however much that is; `limit` is how much one statement takes.
    """
    done = 0
    while taken := await leaving_queries.sps_know(tx, actor=actor.label, limit=limit):
        done += taken
    while taken := await leaving_queries.welcomes_revoked(
        tx, now=now, actor=actor.label, limit=limit
    ):
        done += taken
    late = await leaving_queries.overdue(tx, due_by=now - UNDER_WAY, now=now, limit=limit)
    for duty, told_at in late:
        payload = {
            "duty_id": duty.id, "kind": duty.kind, "sp_id": duty.sp_id,
            "subscription_id": duty.subscription_id, "due_at": duty.due_at,
            "told_in_time": told_at is not None and told_at < duty.due_at,
        }  # fmt: skip
        await outbox.put(tx, TOPIC_OVERDUE, payload, now=now)
    return done + len(late)


async def duties(
    read: Connection, *, clock: Clock | None, cursor: str | None, limit: int, actor: Actor,
    now: datetime,
) -> Page[DutyShown]:  # fmt: skip
    """List clocks, newest first: to staff all of them, to an SP what it is to be told."""
    sp_id = actor.sp_id if actor.kind is ActorKind.SP else None
    key = await read_cursor(read, actor, LIST, cursor, tuple[UUID])
    rows = await leaving_queries.page(
        read, sp_id=sp_id, before=key[0] if key else None, clock=clock, now=now, limit=limit + 1
    )
    items = await show(read, rows[:limit], actor=actor, now=now)
    more = len(rows) > limit
    following = await write_cursor(read, actor, LIST, [items[-1].id]) if more else None
    return Page(items=items, next=following)


async def show(
    read: Connection, rows: Sequence[Duty], *, actor: Actor, now: datetime
) -> list[DutyShown]:
    """Return duties as a party may see them."""
    secret = await instance_secret(read) if actor.kind is ActorKind.SP else b""
    return [
        DutyShown(
            id=duty.id, subscription_id=duty.subscription_id, service_code=duty.service_code,
            number=pseudonym(secret, duty.sp_id, duty.msisdn, duty.epoch)
            if secret else mask(duty.msisdn),
            kind=duty.kind, ticket=None if secret else duty.ticket, started_at=duty.started_at,
            due_at=duty.due_at, clock=clock_of(duty, now), met_at=duty.met_at,
            seconds_left=0 if duty.met_at or now >= duty.due_at
            else int((duty.due_at - now).total_seconds()),
            breached_at=duty.breached_at,
        )
        for duty in rows
    ]  # fmt: skip


def clock_of(duty: Duty, now: datetime) -> Clock:
    """Say how a duty stands against its clock."""
    if duty.met_at is not None:
        return Clock.MET if duty.met_at < duty.due_at else Clock.MET_LATE
    return Clock.RUNNING if now < duty.due_at else Clock.OVERDUE
