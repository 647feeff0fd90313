"""Statements on joint promotion. Writes promotion."""

from datetime import datetime
from uuid import UUID

from spms.catalogue.promotion_model import Promoted, Promotion, PromotionState
from spms.catalogue.queries import OFFER
from spms.core.db import Connection, changed, many, one

ADD = """
    INSERT INTO promotion (id, service_id, text, begins_at, ends_at, state, asked_at, asked_by)
    VALUES ($1, $2, $3, $4, $5, 'asked', $6, $7) ON CONFLICT DO NOTHING
"""


async def add(tx: Connection, new: Promotion) -> bool:
    """Store what an SP asks for; False when something of this service waits already."""
    tag = await tx.execute(
        ADD, new.id, new.service_id, new.text, new.begins_at, new.ends_at, new.asked_at,
        new.asked_by,
    )  # fmt: skip
    return changed(tag) == 1


PROMOTION = """
    SELECT p.id, p.service_id, s.sp_id, p.text, p.begins_at, p.ends_at, p.state, p.asked_at,
           p.asked_by, p.decided_at, p.decided_by, p.reason
      FROM promotion p JOIN service s ON s.id = p.service_id
"""
BY_ID = PROMOTION + " WHERE p.id = $1"


async def promotion(read: Connection, promotion_id: UUID) -> Promotion | None:
    """Load one."""
    return one(Promotion, await read.fetchrow(BY_ID, promotion_id))


PAGE = (
    PROMOTION
    + """
     WHERE ($1::uuid IS NULL OR s.sp_id = $1) AND ($2::uuid IS NULL OR p.id < $2)
     ORDER BY p.id DESC LIMIT $3
"""
)


async def page(
    read: Connection, sp_id: UUID | None, after: UUID | None, limit: int
) -> list[Promotion]:
    """List what was asked for, newest first, by one SP or by all."""
    return many(Promotion, await read.fetch(PAGE, sp_id, after, limit))


DECIDE = """
    UPDATE promotion SET state = $2, decided_at = $3, decided_by = $4, reason = $5
     WHERE id = $1 AND state = 'asked'
"""


async def decide(
    tx: Connection,
    promotion_id: UUID,
    state: PromotionState,
    *,
    at: datetime,
    actor: str,
    reason: str | None,
) -> bool:
    """Decide what waits; False when it is decided."""
    return changed(await tx.execute(DECIDE, promotion_id, state, at, actor, reason)) == 1


# What is promoted is on sale, and nothing in force keeps it from being sold or promoted.
RUNNING = f"""
    SELECT p.id AS promotion_id, o.service_code, o.service_name, o.sp_name, o.price_fen, p.text,
           p.ends_at
      FROM promotion p JOIN ({OFFER}) o ON o.service_id = p.service_id
     WHERE p.state = 'approved' AND p.begins_at <= $1 AND p.ends_at > $1
       AND NOT EXISTS (SELECT FROM restriction r
                        WHERE r.sp_id = o.sp_id
                          AND (r.service_id IS NULL OR r.service_id = o.service_id)
                          AND r.measure IN ('no_promotion', 'offline', 'shielded',
                                            'no_new_subscriptions')
                          AND r.starts_at <= $1 AND (r.ends_at IS NULL OR r.ends_at > $1))
     ORDER BY o.service_code, p.id LIMIT $2
"""


async def running(read: Connection, at: datetime, limit: int) -> list[Promoted]:
    """List what is promoted at an instant."""
    return many(Promoted, await read.fetch(RUNNING, at, limit))
