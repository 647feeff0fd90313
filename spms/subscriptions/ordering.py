"""Getting in: the request, the prompt, the yes and the no; and the on-demand order by SMS."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from spms.catalogue import actions as catalogue
from spms.catalogue.actions import NotOnSale
from spms.catalogue.model import Offer, ServiceKind
from spms.core import audit, rulebook
from spms.core.access import Actor, ActorKind, job_actor, subscriber_by_sms
from spms.core.clock import business_day, start_of_day
from spms.core.db import Connection
from spms.core.errors import NotFound
from spms.core.ids import new_id
from spms.messaging import actions as messaging
from spms.messaging.model import MessageIn, MessageKind
from spms.partners import actions as partners
from spms.subscribers.limits import Barred, require_not_barred
from spms.subscribers.model import Number, NumberState
from spms.subscriptions import (
    announcing,
    consent_log,
    move_queries,
    notices,
    order_queries,
    queries,
    tariff_change,
)
from spms.subscriptions.model import (
    Action,
    Channel,
    ConsentRules,
    EndReason,
    Outcome,
    Status,
    Subscription,
)
from spms.subscriptions.notices import Line
from spms.subscriptions.rules import (
    SETTLING,
    AlreadyPending,
    NewSubscriptionsBarred,
    NothingToTry,
    NumberNotActive,
    decide,
    require_room_for_prompt,
    require_unbarred,
)
from spms.subscriptions.trial import ChargeRule, not_before

LINK_DIGITS = 20
"""Of a link id, as SMS gateways carry it."""
ABOUT = announcing.ABOUT
CODES_REST = timedelta(days=7)
"""A prompt's code is not used again for a number while a late answer may still name it."""


async def request(
    tx: Connection,
    *,
    msisdn: str,
    service_id: UUID,
    channel: Channel,
    request_text: str,
    actor: Actor,
    now: datetime,
    message: MessageIn | None = None,
    reason: str | None = None,
    free_days: int | None = None,
) -> Subscription:
    """Take the first consent and send the prompt for the second; nothing may be charged yet.

    `message` is the SMS that asked, if one did; `reason` is an agent's; `free_days` is how long
    the SP gives a monthly service for nothing, after which it ends unless the person agrees anew.
    For a service that the number has at another price (or on trial) it asks for a yes to the new
    terms. While the number is held the rules decide, so they hold however many requests race.
    Raises `NotFound` (no such service, or not this SP's), `NotOnSale`, `NumberNotActive`,
    `NewSubscriptionsBarred`, `Barred` (by the number's holder), `AlreadySubscribed`,
    `AlreadyPending`, `Resting`, `PromptLimit`, `NoticeIncomplete`, `NothingToTry`.
    """
    service = await catalogue.get(tx, service_id)
    if actor.kind is ActorKind.SP and actor.sp_id != service.sp_id:
        raise NotFound
    offer = await catalogue.offer(tx, service_id, at=now)
    number = await _active_number(tx, msisdn, actor)
    require_unbarred(await partners.restrictions_at(tx, offer.sp_id, at=now), service_id)
    await require_not_barred(tx, number, service_id, at=now)
    rules = await rulebook.section(tx, ConsentRules, at=now)
    expired = await move_queries.expire(
        tx, before=now - SETTLING, msisdn=msisdn, limit=100, actor=job_actor("expiry").label
    )
    await announcing.take_back(tx, expired, now=now)
    if free_days is not None and offer.kind is not ServiceKind.MONTHLY:
        raise NothingToTry
    standing = await order_queries.standing(
        tx, number, service_id, today=start_of_day(business_day(now)), lately=now - CODES_REST
    )
    running = await tariff_change.running(tx, number, offer)
    new_terms = tariff_change.on_new_terms(running, offer, free=free_days is not None)
    require_room_for_prompt(
        standing, rules, now=now, new_terms=new_terms, by_sp=channel is Channel.SP
    )
    free_until = None if free_days is None else now + timedelta(days=free_days)
    first = await tariff_change.first_charge_of(
        tx, number, offer, running, free_until=free_until, at=now
    )
    draft = msgspec.structs.replace(
        _drafted(number, offer, channel, request_text, message, actor=actor, now=now),
        prompt_code=_fresh_code(standing.codes), charge_from=first.at, charge_rule=first.rule,
        confirm_by=now + timedelta(minutes=rules.window_minutes), free_until=free_until,
        follows_id=running.id if running else None,
    )  # fmt: skip
    text = await announcing.prompt_of(tx, number, draft, rules, running, now=now)
    asked = msgspec.structs.replace(draft, prompt_text=text)
    # Held by the number's row, this cannot fail; should it, the index still knows better.
    if not await order_queries.add(tx, asked, Action.REQUEST, reason=reason):
        raise AlreadyPending
    if actor.kind is ActorKind.STAFF:
        await audit.note(
            tx, "subscription.requested", ABOUT, asked.id, actor=actor, now=now, reason=reason
        )
    await messaging.send(
        tx, msisdn=msisdn, text=text, kind=MessageKind.PROMPT, about_kind=ABOUT,
        about_id=asked.id, now=now,
    )  # fmt: skip
    await consent_log.record(tx, [msisdn], now=now)
    return asked


async def order(
    tx: Connection, message: MessageIn, offer: Offer, *, number: Number, now: datetime
) -> Subscription:
    """Take an on-demand order: the message is the consent, the relation is live from its receipt.

    `offer` is what was on sale when the message was received. Raises `NumberNotActive`,
    `NewSubscriptionsBarred`, `Barred`.
    """
    if number.state is not NumberState.ACTIVE:
        raise NumberNotActive
    at = message.received_at
    require_unbarred(await partners.restrictions_at(tx, offer.sp_id, at=at), offer.service_id)
    await require_not_barred(tx, number, offer.service_id, at=at)
    actor = subscriber_by_sms(number.msisdn, number.epoch)
    draft = _drafted(number, offer, Channel.SMS, message.text or "", message, actor=actor, now=at)
    ordered = msgspec.structs.replace(
        draft, status=Status.ACTIVE, active_from=at, charge_from=at,
        charge_rule=ChargeRule.AT_ONCE, link_id=f"{secrets.randbelow(10**LINK_DIGITS):020d}",
    )  # fmt: skip
    await order_queries.add(tx, ordered, Action.ORDER, reason=None)
    await announcing.welcome(tx, number, ordered, now=now)
    await consent_log.record(tx, [number.msisdn], now=now)
    return ordered


async def confirm(
    tx: Connection, number: Number, pending: Subscription, reply: MessageIn, *, now: datetime
) -> str:
    """Take the second consent for one prompt and return what came of it.

    The relation is live from the reply's receipt. Nothing is confirmed for a number that is not
    in service, nor when what the prompt said is no longer what would be charged.
    """
    if number.state is not NumberState.ACTIVE:
        return refused_by(NumberNotActive.code)
    at, actor = reply.received_at, subscriber_by_sms(number.msisdn, number.epoch)
    try:
        await require_not_barred(tx, number, pending.service_id, at=at)
    except Barred:
        return refused_by(Barred.code)
    offer = await _still_sold(tx, pending, at)
    if offer is None:
        return await _no_more(tx, number, pending, EndReason.NOT_ON_SALE, reply, now=now)
    running = await tariff_change.running(tx, number, offer)
    if (running.id if running else None) != pending.follows_id:
        # What it would have taken over from was left: that wins, whichever is handled first.
        gone = EndReason.NOTHING_TO_TAKE_OVER
        return await _no_more(tx, number, pending, gone, reply, now=now)
    first = not_before(
        await tariff_change.first_charge_of(
            tx, number, offer, running, free_until=pending.free_until, at=at
        ),
        pending.charge_from,
    )
    change = decide(pending, Action.CONFIRM, at=at)
    if not await order_queries.confirm(
        tx, number, pending, change, reply, first=first, running=running, actor=actor.label
    ):
        return Outcome.TOO_LATE
    confirmed = msgspec.structs.replace(
        pending, status=change.after, active_from=at, charge_from=first.at
    )
    await announcing.welcome(tx, number, confirmed, now=now)
    await consent_log.record(tx, [number.msisdn], now=now)
    return Outcome.CONFIRMED


async def refuse(
    tx: Connection, number: Number, pending: list[Subscription], no: MessageIn, *, now: datetime
) -> None:
    """Take a no: the prompts are closed as of its receipt, and the services rest."""
    actor = subscriber_by_sms(number.msisdn, number.epoch)
    for asked in pending:
        change = decide(asked, Action.REFUSE, at=no.received_at, reason=EndReason.NO)
        await move_queries.apply(
            tx, asked, change, actor=actor.label, reason=None, message_id=no.id
        )
    await announcing.take_back(tx, [(number.msisdn, asked.id) for asked in pending], now=now)
    for say, group in (
        (notices.refused, [asked for asked in pending if asked.follows_id is None]),
        (notices.kept, [asked for asked in pending if asked.follows_id is not None]),
    ):
        if group:
            text = say([line_of(asked) for asked in group], language=number.language)
            await announcing.send(tx, number, MessageKind.INFO, group[0].id, text, now=now)
    await consent_log.record(tx, [number.msisdn], now=now)


def refused_by(code: str) -> str:
    """Write the outcome of an order that a rule refused."""
    return f"{Outcome.NOT_ACCEPTED}:{code}"


def line_of(subscription: Subscription, code: str | None = None) -> Line:
    """Return a relation as one line of a text; `code` defaults to the service's."""
    return Line(
        sp_name=subscription.sp_name, service_name=subscription.service_name,
        price_fen=subscription.price_fen, code=code or subscription.service_code,
        period="month" if subscription.kind is ServiceKind.MONTHLY else "use",
    )  # fmt: skip


async def _active_number(tx: Connection, msisdn: str, actor: Actor) -> Number:
    """Hold a number; unknown, out of service and another's now are the same answer."""
    number = await queries.hold_number(tx, msisdn)
    if number is None or number.state is not NumberState.ACTIVE:
        raise NumberNotActive
    if actor.kind is ActorKind.SUBSCRIBER and actor.epoch != number.epoch:
        raise NumberNotActive
    return number


async def _still_sold(tx: Connection, pending: Subscription, at: datetime) -> Offer | None:
    """Return the offer, if what the prompt said was still for sale when the yes came in."""
    try:
        offer = await catalogue.offer(tx, pending.service_id, at=at)
        bars = await partners.restrictions_at(tx, pending.sp_id, at=at)
        require_unbarred(bars, pending.service_id)
    except (NotOnSale, NewSubscriptionsBarred):
        return None
    return offer if offer.tariff_id == pending.tariff_id else None


async def _no_more(
    tx: Connection, number: Number, pending: Subscription, why: EndReason, reply: MessageIn, *,
    now: datetime,
) -> str:  # fmt: skip
    """Close a prompt whose yes finds nothing any more to say yes to."""
    actor = subscriber_by_sms(number.msisdn, number.epoch)
    change = decide(pending, Action.END, at=reply.received_at, reason=why)
    await move_queries.apply(
        tx, pending, change, actor=actor.label, reason=None, message_id=reply.id
    )
    say = notices.not_on_sale if why is EndReason.NOT_ON_SALE else notices.too_late
    text = say([line_of(pending)], language=number.language)
    await announcing.send(tx, number, MessageKind.INFO, pending.id, text, now=now)
    await consent_log.record(tx, [number.msisdn], now=now)
    return refused_by(NotOnSale.code if why is EndReason.NOT_ON_SALE else why)


def _drafted(
    number: Number, offer: Offer, channel: Channel, request_text: str,
    message: MessageIn | None, *, actor: Actor, now: datetime,
) -> Subscription:  # fmt: skip
    """Write down the terms that are agreed to: they never change afterwards."""
    return Subscription(
        msisdn=number.msisdn, id=new_id(), epoch=number.epoch, sp_id=offer.sp_id,
        sp_code=offer.sp_code, sp_name=offer.sp_name, service_id=offer.service_id,
        service_code=offer.service_code, service_name=offer.service_name, keyword=offer.keyword,
        kind=offer.kind, status=Status.AWAITING, tariff_id=offer.tariff_id,
        notice_id=offer.notice_id, price_fen=offer.price_fen, channel=channel, requested_at=now,
        requested_by=actor.label, request_text=request_text,
        request_received_at=message.received_at if message else None,
        request_message_id=message.id if message else None, prompt_code=None, prompt_text=None,
        confirm_by=None, active_from=None, ended_at=None, end_reason=None,
        category=offer.category,
    )  # fmt: skip


def _fresh_code(used: list[str]) -> str:
    """Draw a code of four digits that none of the number's recent prompts carries."""
    while True:
        code = f"{1000 + secrets.randbelow(9000)}"
        if code not in used:
            return code
