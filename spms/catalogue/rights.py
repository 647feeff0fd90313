"""What an SP may apply for: looked up among its restrictions, in the transaction that applies."""

from datetime import datetime
from uuid import UUID

from spms.catalogue.model import CatalogueRules, ServiceKind
from spms.catalogue.refusals import PriceRestricted, PromotionRestricted, SellingRestricted
from spms.catalogue.rules import is_high
from spms.core import rulebook
from spms.core.db import Connection
from spms.partners import actions as partners
from spms.partners.model import Measure


async def require_selling(read: Connection, sp_id: UUID, *, at: datetime) -> None:
    """Raise `SellingRestricted` for an SP that may register no service."""
    if await _held(read, sp_id, {Measure.NO_NEW_SERVICES, Measure.OFFLINE}, at=at):
        raise SellingRestricted


async def require_price(
    read: Connection, sp_id: UUID, kind: ServiceKind, price_fen: int, *, at: datetime
) -> None:
    """Raise `PriceRestricted` for a high price of an SP that may not apply for one.

    What was approved before goes on: a right that is lost takes back nothing that was granted.
    """
    if not await _held(read, sp_id, {Measure.NO_HIGH_PRICES, Measure.OFFLINE}, at=at):
        return
    if is_high(kind, price_fen, await rulebook.section(read, CatalogueRules, at=at)):
        raise PriceRestricted


async def require_promotion(read: Connection, sp_id: UUID, *, at: datetime) -> None:
    """Raise `PromotionRestricted` for an SP whose services the operator does not promote."""
    if await _held(read, sp_id, {Measure.NO_PROMOTION, Measure.OFFLINE}, at=at):
        raise PromotionRestricted


async def _held(read: Connection, sp_id: UUID, measures: set[Measure], *, at: datetime) -> bool:
    held = await partners.restrictions_at(read, sp_id, at=at)
    return any(one.measure in measures and one.service_id is None for one in held)
