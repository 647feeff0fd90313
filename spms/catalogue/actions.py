"""The verbs: register, price, approve, bring online; and what is on offer."""

from datetime import datetime
from uuid import UUID

from spms.catalogue import queries
from spms.catalogue.model import (
    NewService,
    NewTariff,
    Notice,
    NoticeState,
    Offer,
    Registered,
    Repriced,
    Service,
    ServiceAction,
    ServiceStatus,
    Tariff,
    canonical_keyword,
)
from spms.catalogue.refusals import (
    CodeTaken,
    Decided,
    NoticeMissing,
    NotOnSale,
    NumberTaken,
    PriceRestricted,
    SamePerson,
    SellingRestricted,
    TariffClash,
    Withdrawn,
)
from spms.catalogue.rights import require_price, require_selling
from spms.catalogue.rules import TRANSITIONS, keyword_allowed, leave_command, period_of
from spms.core import audit
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound, Unprocessable
from spms.core.ids import new_id
from spms.core.machine import advance
from spms.core.phone import is_operators_own
from spms.partners import actions as partners
from spms.partners.model import Sp

__all__ = [
    "CodeTaken", "Decided", "NotOnSale", "NoticeMissing", "NumberTaken", "PriceRestricted",
    "SamePerson", "SellingRestricted", "TariffClash", "Withdrawn", "add_tariff", "assign_access_number",
    "bring_online", "decide_notice", "get", "offer", "offer_by_keyword", "register_service",
    "service_by_code", "services_showing_hotline", "take_offline", "withdraw",
]  # fmt: skip


async def get(read: Connection, service_id: UUID) -> Service:
    """Return a service; raise `NotFound`."""
    found = await queries.service(read, service_id)
    if found is None:
        raise NotFound
    return found


async def service_by_code(read: Connection, code: str) -> Service | None:
    """Return a service by its code."""
    return await queries.service_by_code(read, code)


async def offer(read: Connection, service_id: UUID, *, at: datetime) -> Offer:
    """Return what is on sale of a service at an instant; raise `NotOnSale`."""
    found = await queries.offer(read, service_id, at)
    if found is None:
        raise NotOnSale
    return found


async def offer_by_keyword(
    read: Connection, access_number: str, keyword: str, *, at: datetime
) -> Offer | None:
    """Return what a keyword to an access number orders at an instant, if anything."""
    return await queries.offer_by_keyword(read, access_number, canonical_keyword(keyword), at)


async def services_showing_hotline(read: Connection, sp_id: UUID, hotline: str) -> list[UUID]:
    """List the services that promise a hotline in their notice."""
    return await queries.services_showing_hotline(read, sp_id, hotline)


async def assign_access_number(
    tx: Connection, sp_id: UUID, number: str, *, actor: Actor, now: datetime
) -> None:
    """Give an access number to an active SP; raise `NumberTaken`, or `Unprocessable` for 10xxx."""
    if is_operators_own(number):
        raise Unprocessable("10xxx is the operator's own number", code="number_reserved")
    await partners.require_active(tx, sp_id)
    if not await queries.assign_access_number(tx, number, sp_id, now, actor.label):
        raise NumberTaken
    await audit.note(tx, "access number assigned", "sp", sp_id, actor=actor, now=now)


async def register_service(
    tx: Connection, sp_id: UUID, data: NewService, *, actor: Actor, now: datetime
) -> Registered:
    """Register a service as a draft with its first tariff and the notice to be approved.

    Raises `SpNotActive`, `SellingRestricted`, `PriceRestricted`, `CodeTaken`, or `Unprocessable` for an access
    number or hotline that is not the SP's, or a keyword that means something else.
    """
    sp = await partners.require_active(tx, sp_id)
    await require_selling(tx, sp_id, at=now)
    await require_price(tx, sp_id, data.kind, data.price_fen, at=now)
    keyword = canonical_keyword(data.keyword)
    if not keyword_allowed(keyword):
        raise Unprocessable("this keyword is a command", code="keyword_reserved")
    if await queries.access_number_owner(tx, data.access_number) != sp_id:
        raise Unprocessable("not an access number of this SP", code="access_number_not_own")
    service = Service(
        id=new_id(), sp_id=sp_id, code=data.code, name=data.name, kind=data.kind,
        category=data.category, access_number=data.access_number, keyword=keyword,
        status=ServiceStatus.DRAFT, created_at=now,
    )  # fmt: skip
    if not await queries.add_service(tx, service, actor.label):
        raise CodeTaken
    tariff = await _add_tariff(tx, service, data.price_fen, now, actor=actor, now=now)
    notice = await _draft_notice(tx, sp, service, tariff, data.hotline, actor=actor, now=now)
    return Registered(service=service, tariff=tariff, notice=notice)


async def add_tariff(
    tx: Connection, service_id: UUID, data: NewTariff, *, actor: Actor, now: datetime
) -> Repriced:
    """Add a tariff version and draft its notice; running relations keep what they agreed to.

    Raises `TariffClash`, `Withdrawn`, `PriceRestricted`, or `Unprocessable` when it would begin in
    the past.
    """
    service = await _locked(tx, service_id)
    _require_living(service)
    await require_price(tx, service.sp_id, service.kind, data.price_fen, at=now)
    starts = data.effective_from or now
    if starts < now:
        raise Unprocessable("a tariff cannot begin in the past", code="backdated")
    last = await queries.last_notice(tx, service_id)
    hotline = data.hotline or (last.hotline if last else "")
    sp = await partners.get(tx, service.sp_id)
    tariff = await _add_tariff(tx, service, data.price_fen, starts, actor=actor, now=now)
    notice = await _draft_notice(tx, sp, service, tariff, hotline, actor=actor, now=now)
    return Repriced(tariff=tariff, notice=notice)


async def _add_tariff(
    tx: Connection,
    service: Service,
    price_fen: int,
    starts: datetime,
    *,
    actor: Actor,
    now: datetime,
) -> Tariff:
    tariff = await queries.add_tariff(
        tx, new_id(), service.id, price_fen=price_fen, effective_from=starts, at=now,
        actor=actor.label,
    )  # fmt: skip
    if tariff is None:
        raise TariffClash
    return tariff


async def _draft_notice(
    tx: Connection,
    sp: Sp,
    service: Service,
    tariff: Tariff,
    hotline: str,
    *,
    actor: Actor,
    now: datetime,
) -> Notice:
    if hotline not in sp.hotlines:
        raise Unprocessable("not a hotline of this SP", code="hotline_not_own")
    notice_id = new_id()
    draft = Notice(
        id=notice_id, service_id=service.id, tariff_id=tariff.id, version=0, sp_name=sp.name,
        service_name=service.name, price_fen=tariff.price_fen, period=period_of(service.kind),
        hotline=hotline, leave_command=leave_command(service.code), state=NoticeState.DRAFTED,
        drafted_at=now, drafted_by=actor.label,
    )  # fmt: skip
    await queries.add_notice(tx, draft)
    stored = await queries.notice(tx, notice_id)
    assert stored is not None  # noqa: S101 - stored a statement ago
    return stored


async def decide_notice(
    tx: Connection,
    notice_id: UUID,
    *,
    approve: bool,
    reason: str | None,
    actor: Actor,
    now: datetime,
) -> Notice:
    """Approve or reject a notice; approving a draft service's notice puts it on sale.

    Raises `SamePerson`, `Decided`, `Withdrawn`, or `PriceRestricted` for a high price of an SP that
    has lost the right to one since it asked.
    """
    notice = await queries.notice(tx, notice_id)
    if notice is None:
        raise NotFound
    if notice.drafted_by == actor.label:
        raise SamePerson
    service = await _locked(tx, notice.service_id)
    if approve:
        _require_living(service)
        await require_price(tx, service.sp_id, service.kind, notice.price_fen, at=now)
    state = NoticeState.APPROVED if approve else NoticeState.REJECTED
    if not await queries.decide_notice(
        tx, notice_id, state, at=now, actor=actor.label, reason=reason
    ):
        raise Decided
    await audit.note(
        tx, f"notice {state}", "service", service.id, actor=actor, now=now, reason=reason
    )
    if approve and service.status is ServiceStatus.DRAFT:
        await _move(tx, service, ServiceAction.BRING_ONLINE, actor=actor, now=now, reason=reason)
    return await queries.notice(tx, notice_id) or notice


async def bring_online(
    tx: Connection, service_id: UUID, *, actor: Actor, now: datetime, reason: str
) -> Service:
    """Put a service back on sale; raise `NoticeMissing` without a notice for today's tariff."""
    service = await _locked(tx, service_id)
    moved = await _move(
        tx, service, ServiceAction.BRING_ONLINE, actor=actor, now=now, reason=reason
    )
    if await queries.offer(tx, service_id, now) is None:
        raise NoticeMissing
    return moved


async def take_offline(
    tx: Connection, service_id: UUID, *, actor: Actor, now: datetime, reason: str
) -> Service:
    """Take a service off sale: no new orders, no charges."""
    service = await _locked(tx, service_id)
    return await _move(tx, service, ServiceAction.TAKE_OFFLINE, actor=actor, now=now, reason=reason)


async def withdraw(
    tx: Connection, service_id: UUID, *, actor: Actor, now: datetime, reason: str
) -> Service:
    """End a service for good; its keyword becomes free."""
    service = await _locked(tx, service_id)
    return await _move(tx, service, ServiceAction.WITHDRAW, actor=actor, now=now, reason=reason)


def _require_living(service: Service) -> None:
    if service.status is ServiceStatus.WITHDRAWN:
        raise Withdrawn


async def _locked(tx: Connection, service_id: UUID) -> Service:
    service = await queries.lock(tx, service_id)
    if service is None:
        raise NotFound
    return service


async def _move(
    tx: Connection,
    service: Service,
    action: ServiceAction,
    *,
    actor: Actor,
    now: datetime,
    reason: str | None,
) -> Service:
    after = advance(TRANSITIONS, service.status, action)
    await queries.move(
        tx, service.id, action, service.status, after, at=now, actor=actor.label, reason=reason
    )
    return await get(tx, service.id)
