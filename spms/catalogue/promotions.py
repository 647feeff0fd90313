"""The verbs of joint promotion: ask, decide. Both ask what restricts the SP at that moment."""

from datetime import datetime, timedelta
from uuid import UUID

from spms.catalogue import promotion_queries as queries
from spms.catalogue.actions import get
from spms.catalogue.model import CatalogueRules, ServiceStatus
from spms.catalogue.promotion_model import NewPromotion, Promotion, PromotionState
from spms.catalogue.refusals import Decided, NotOnSale, PromotionWaits, SamePerson
from spms.catalogue.rights import require_promotion
from spms.core import audit, rulebook
from spms.core.access import Actor
from spms.core.db import Connection
from spms.core.errors import NotFound, Unprocessable
from spms.core.ids import new_id


async def ask(
    tx: Connection, service_id: UUID, data: NewPromotion, *, actor: Actor, now: datetime
) -> Promotion:
    """Ask that a service is promoted for a time.

    Raises `PromotionRestricted`, `NotOnSale`, `PromotionWaits`, or `Unprocessable` for a time that
    is over, the wrong way round, or longer than the rulebook allows.
    """
    service = await get(tx, service_id)
    await require_promotion(tx, service.sp_id, at=now)
    if service.status is not ServiceStatus.ONLINE:
        raise NotOnSale
    rules = await rulebook.section(tx, CatalogueRules, at=now)
    begins = data.begins_at or now
    longest = timedelta(days=rules.promotion_days)
    if begins < now or not timedelta() < data.ends_at - begins <= longest:
        raise Unprocessable(
            f"a promotion begins from now on and ends within {rules.promotion_days} days",
            code="promotion_range",
        )
    new = Promotion(
        id=new_id(), service_id=service_id, sp_id=service.sp_id, text=data.text, begins_at=begins,
        ends_at=data.ends_at, state=PromotionState.ASKED, asked_at=now, asked_by=actor.label,
    )  # fmt: skip
    if not await queries.add(tx, new):
        raise PromotionWaits
    return await promotion(tx, new.id)


async def promotion(read: Connection, promotion_id: UUID) -> Promotion:
    """Return one; raise `NotFound`."""
    found = await queries.promotion(read, promotion_id)
    if found is None:
        raise NotFound
    return found


async def decide(
    tx: Connection,
    promotion_id: UUID,
    *,
    approve: bool,
    reason: str | None,
    actor: Actor,
    now: datetime,
) -> Promotion:
    """Approve or reject; raise `SamePerson`, `Decided`, or `PromotionRestricted` for a yes."""
    found = await promotion(tx, promotion_id)
    if found.asked_by == actor.label:
        raise SamePerson
    if approve:
        await require_promotion(tx, found.sp_id, at=now)
    state = PromotionState.APPROVED if approve else PromotionState.REJECTED
    if not await queries.decide(tx, promotion_id, state, at=now, actor=actor.label, reason=reason):
        raise Decided
    await audit.note(
        tx, f"promotion {state}", "service", found.service_id, actor=actor, now=now, reason=reason
    )
    return await promotion(tx, promotion_id)
