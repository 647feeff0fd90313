"""HTTP about relations. A request can be made here; a confirmation cannot.

The second consent comes only over the operator's own SMS link; no body of any route creates one.
"""

from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, get, post
from litestar.datastructures import State

from spms.catalogue.actions import NotOnSale
from spms.core import audit
from spms.core.access import Actor, ActorKind, Role, only
from spms.core.db import Connection
from spms.core.errors import NotFound, Unprocessable
from spms.core.http import refusals
from spms.core.instance import instance_secret
from spms.core.once import IdempotencyKey, KeyReused, once
from spms.core.paging import Cursor, CursorInvalid, Limit, Page, read_cursor, write_cursor
from spms.core.phone import Msisdn
from spms.subscribers import actions as subscribers
from spms.subscribers import looks
from spms.subscribers.actions import audit_name, held
from spms.subscribers.limits import Barred
from spms.subscribers.looks import LooksUsedUp
from spms.subscriptions import actions, queries, rules
from spms.subscriptions.evidence import show
from spms.subscriptions.model import Channel, Evidence, Subscription, SubscriptionShown
from spms.subscriptions.notices import NoticeIncomplete

Reason = Annotated[str, msgspec.Meta(min_length=2, max_length=200, pattern=r"\S")]
CHANNELS = {
    ActorKind.SP: Channel.SP,
    ActorKind.STAFF: Channel.AGENT,
    ActorKind.SUBSCRIBER: Channel.WEB,
}

EVIDENCE_SEEN = "what proves a relation"
"""Stands for the reason where none is asked for."""

NOBODY = 0
"""No holder's epoch."""


class ReasonMissing(Unprocessable):
    """Whoever acts for a subscriber says why."""

    code = "reason_missing"


class NumberMissing(Unprocessable):
    """Say whose number it is; a subscriber's is her own and is not said."""

    code = "number_missing"


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a service: the first of the two consents."""

    service_id: UUID
    msisdn: Msisdn | None = None
    """For SPs and agents; a signed-in subscriber leaves it out."""
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    """How the person asked, in the words or under the reference of whoever took it: evidence."""
    reason: Reason | None = None
    """Why an agent asks for the subscriber."""
    free_days: Annotated[int, msgspec.Meta(ge=1, le=31)] | None = None
    """An SP's own free trial: it ends after so many days unless the person agrees to pay."""


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose relations, and why they are looked at."""

    msisdn: Msisdn
    reason: Reason


@post(
    "/subscriptions",
    status_code=201,
    guards=[only(Role.SP, Role.AGENT, Role.SUBSCRIBER)],
    responses=refusals(
        NotFound, NotOnSale, rules.AlreadySubscribed, rules.AlreadyPending, rules.NumberNotActive,
        rules.NewSubscriptionsBarred, rules.Resting, rules.PromptLimit, NoticeIncomplete,
        rules.NothingToTry, ReasonMissing, NumberMissing, KeyReused, Barred,
        LooksUsedUp,
    ),
)  # fmt: skip
async def ask(
    data: Ask, state: State, actor: Actor, now: datetime, idempotency_key: IdempotencyKey = None
) -> SubscriptionShown:
    """Ask for a service; the person gets an SMS and is subscribed only after saying yes to it.

    For a service that the number has at another price it asks for a yes to the new one; without
    it the old price stays. An agent's request is a look at the number, also when it is refused.
    """
    msisdn = number_of(data.msisdn, actor)
    require_reason(data.reason, actor)
    if data.free_days is not None and actor.kind is not ActorKind.SP:
        raise rules.NothingToTry("only an SP gives its service for nothing")

    async def work(tx: Connection) -> SubscriptionShown:
        asked = await actions.request(
            tx, msisdn=msisdn, service_id=data.service_id, channel=CHANNELS[actor.kind],
            request_text=data.reference or CHANNELS[actor.kind], reason=data.reason, actor=actor,
            now=now, free_days=data.free_days,
        )  # fmt: skip
        (shown,) = await show(tx, [asked], actor=actor)
        return shown

    async with looks.counted_first(
        state.pool,
        msisdn,
        reason=data.reason or "",
        actor=actor,
        now=now,
        key=idempotency_key,
    ) as tx:
        return await once(
            tx, SubscriptionShown, idempotency_key, data, partial(work, tx), actor=actor, now=now
        )


@get("/my/subscriptions", guards=[only(Role.SUBSCRIBER)], responses=refusals(CursorInvalid))
async def mine(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[SubscriptionShown]:
    """List the signed-in subscriber's relations, newest first; none of an earlier owner's."""
    number = await held(read, actor)
    return await _of_number(
        read, number.msisdn, number.epoch, actor=actor, after=after, limit=limit
    )


@post(
    "/subscriptions/search",
    status_code=200,
    guards=[only(Role.AGENT, Role.COMPLIANCE)],
    responses=refusals(CursorInvalid, LooksUsedUp),
)
async def search(
    *,
    data: Search,
    tx: Connection,
    actor: Actor,
    now: datetime,
    after: Cursor = None,
    limit: Limit = 50,
) -> Page[SubscriptionShown]:
    """List a number's relations, newest first; who looked and why is recorded.

    An agent sees what the present holder had or has; a compliance officer what everyone had. A
    further page of the same list is no further look of an agent.
    """
    if after is None:
        await looks.count(tx, data.msisdn, reason=data.reason, actor=actor, now=now)
    name = audit_name(await instance_secret(tx), data.msisdn)
    await audit.note(
        tx, "subscription.searched", "number", name, actor=actor, now=now, reason=data.reason
    )
    epoch = None
    if Role.COMPLIANCE not in actor.roles:
        number = await subscribers.get(tx, data.msisdn)
        epoch = NOBODY if number is None else number.epoch
    return await _of_number(tx, data.msisdn, epoch, actor=actor, after=after, limit=limit)


@get("/subscriptions", guards=[only(Role.SP)], responses=refusals(CursorInvalid))
async def of_sp(
    read: Connection, actor: Actor, after: Cursor = None, limit: Limit = 50
) -> Page[SubscriptionShown]:
    """List the SP's own relations, newest first; numbers are pseudonyms."""
    key = await read_cursor(read, actor, "subscriptions", after, tuple[UUID])
    rows = await queries.of_sp(read, actor.sp_id, key[0] if key else None, limit + 1)
    items = await show(read, rows[:limit], actor=actor)
    more = len(rows) > limit
    cursor = (
        await write_cursor(read, actor, "subscriptions", [rows[limit - 1].id]) if more else None
    )
    return Page(items=items, next=cursor)


@get(
    "/subscriptions/{subscription_id:uuid}/evidence",
    guards=[only(Role.SUBSCRIBER, Role.AGENT, Role.COMPLIANCE, Role.SP)],
    responses=refusals(NotFound, LooksUsedUp),
)
async def evidence(subscription_id: UUID, tx: Connection, actor: Actor, now: datetime) -> Evidence:
    """Show what proves a relation: both consents with exact words and times, terms, history."""
    current = await visible(tx, subscription_id, actor)
    await looks.count(tx, current.msisdn, reason=EVIDENCE_SEEN, actor=actor, now=now)
    if actor.kind is ActorKind.STAFF:
        await audit.note(
            tx, "subscription.evidence_seen", "subscription", current.id, actor=actor, now=now,
            reason=EVIDENCE_SEEN,
        )  # fmt: skip
    return await actions.evidence(tx, current.msisdn, subscription_id, actor=actor)


def number_of(given: str | None, actor: Actor) -> str:
    """Return whose number an act is about: a subscriber's is her own. Raises `NumberMissing`."""
    if actor.kind is ActorKind.SUBSCRIBER:
        if given not in (None, actor.msisdn):
            raise NumberMissing("leave msisdn out: it is your own number")
        return actor.msisdn
    if given is None:
        raise NumberMissing
    return given


def require_reason(reason: str | None, actor: Actor) -> None:
    """Let staff say why; raise `ReasonMissing`."""
    if actor.kind is ActorKind.STAFF and (reason is None or not reason.strip()):
        raise ReasonMissing


async def visible(read: Connection, subscription_id: UUID, actor: Actor) -> Subscription:
    """Load a relation this party may know of; missing and another's are the same answer."""
    current = await queries.find_by_id(read, subscription_id)
    if current is not None and (
        actor.kind is ActorKind.STAFF
        or (actor.kind is ActorKind.SP and actor.sp_id == current.sp_id)
        or (
            actor.kind is ActorKind.SUBSCRIBER
            and (actor.msisdn, actor.epoch) == (current.msisdn, current.epoch)
        )
    ):
        return current
    raise NotFound("no such subscription")


async def _of_number(
    read: Connection,
    msisdn: str,
    epoch: int | None,
    *,
    actor: Actor,
    after: str | None,
    limit: int,
) -> Page[SubscriptionShown]:
    # The cursor is of this number's list: it continues no other.
    name = f"subscriptions:{msisdn}"
    key = await read_cursor(read, actor, name, after, tuple[datetime, UUID])
    rows = await queries.of_number(read, msisdn, epoch, key, limit + 1)
    items = await show(read, rows[:limit], actor=actor)
    cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        cursor = await write_cursor(read, actor, name, [last.requested_at, last.id])
    return Page(items=items, next=cursor)


router = Router(
    "/",
    route_handlers=[ask, mine, search, of_sp, evidence],
    tags=["subscriptions"],
)
