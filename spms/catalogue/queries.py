"""Every statement of this room. Writes access_number, service, service_event, tariff, notice."""

from datetime import datetime
from uuid import UUID

from spms.catalogue.model import (
    Notice,
    NoticeState,
    Offer,
    Service,
    ServiceAction,
    ServiceStatus,
    Tariff,
)
from spms.core.db import Connection, changed, many, one

ASSIGN = """
    INSERT INTO access_number (number, sp_id, assigned_at, assigned_by) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING
"""


async def assign_access_number(
    tx: Connection, number: str, sp_id: UUID, at: datetime, actor: str
) -> bool:
    """Give an access number to an SP; False when it is taken."""
    return changed(await tx.execute(ASSIGN, number, sp_id, at, actor)) == 1


OWNER = "SELECT sp_id FROM access_number WHERE number = $1"


async def access_number_owner(read: Connection, number: str) -> UUID | None:
    """Return whose access number it is."""
    owner: UUID | None = await read.fetchval(OWNER, number)
    return owner


SERVICE = """
    SELECT id, sp_id, code, name, kind, category, access_number, keyword, status, created_at
      FROM service
"""

BY_ID = SERVICE + " WHERE id = $1"


async def service(read: Connection, service_id: UUID) -> Service | None:
    """Load one service."""
    return one(Service, await read.fetchrow(BY_ID, service_id))


LOCK = BY_ID + " FOR UPDATE"


async def lock(tx: Connection, service_id: UUID) -> Service | None:
    """Load one service and hold it until the transaction ends."""
    return one(Service, await tx.fetchrow(LOCK, service_id))


BY_CODE = SERVICE + " WHERE code = $1"


async def service_by_code(read: Connection, code: str) -> Service | None:
    """Load one service by its code."""
    return one(Service, await read.fetchrow(BY_CODE, code))


OF_SP = SERVICE + " WHERE sp_id = $1 AND ($2::text IS NULL OR code > $2) ORDER BY code LIMIT $3"


async def services_of(
    read: Connection, sp_id: UUID, after: str | None, limit: int
) -> list[Service]:
    """List an SP's services by code."""
    return many(Service, await read.fetch(OF_SP, sp_id, after, limit))


ADD = """
    WITH added AS (
        INSERT INTO service (id, sp_id, code, name, kind, category, access_number, keyword,
                             status, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'draft', $9)
        ON CONFLICT DO NOTHING RETURNING id
    )
    INSERT INTO service_event (service_id, action, from_status, to_status, at, actor)
    SELECT id, 'register', NULL, 'draft', $9, $10 FROM added
"""


async def add_service(tx: Connection, new: Service, actor: str) -> bool:
    """Store a draft with the first line of its history; False when code or keyword is taken."""
    tag = await tx.execute(
        ADD, new.id, new.sp_id, new.code, new.name, new.kind, new.category, new.access_number,
        new.keyword, new.created_at, actor,
    )  # fmt: skip
    return changed(tag) == 1


MOVE = """
    WITH moved AS (
        UPDATE service SET status = $3 WHERE id = $1 AND status = $2 RETURNING id
    )
    INSERT INTO service_event (service_id, action, from_status, to_status, at, actor, reason)
    SELECT id, $4, $2, $3, $5, $6, $7 FROM moved
"""


async def move(
    tx: Connection,
    service_id: UUID,
    action: ServiceAction,
    before: ServiceStatus,
    after: ServiceStatus,
    *,
    at: datetime,
    actor: str,
    reason: str | None,
) -> bool:
    """Change the status and write its history line, together or not at all."""
    tag = await tx.execute(MOVE, service_id, before, after, action, at, actor, reason)
    return changed(tag) == 1


ADD_TARIFF = """
    INSERT INTO tariff (id, service_id, version, price_fen, effective_from, created_at, created_by)
    SELECT $1, $2, 1 + COALESCE(max(version), 0), $3, $4, $5, $6 FROM tariff WHERE service_id = $2
    ON CONFLICT DO NOTHING
    RETURNING id, service_id, version, price_fen, effective_from, created_at, created_by
"""


async def add_tariff(
    tx: Connection,
    tariff_id: UUID,
    service_id: UUID,
    *,
    price_fen: int,
    effective_from: datetime,
    at: datetime,
    actor: str,
) -> Tariff | None:
    """Add the next version; None when one begins at that very instant already."""
    row = await tx.fetchrow(ADD_TARIFF, tariff_id, service_id, price_fen, effective_from, at, actor)
    return one(Tariff, row)


TARIFFS = """
    SELECT id, service_id, version, price_fen, effective_from, created_at, created_by
      FROM tariff WHERE service_id = $1 ORDER BY effective_from DESC LIMIT 100
"""


async def tariffs(read: Connection, service_id: UUID) -> list[Tariff]:
    """List a service's versions, the latest to take force first."""
    return many(Tariff, await read.fetch(TARIFFS, service_id))


NOTICE = """
    SELECT id, service_id, tariff_id, version, sp_name, service_name, price_fen, period, hotline,
           leave_command, state, drafted_at, drafted_by, decided_at, decided_by, reason
      FROM notice
"""

ONE_NOTICE = NOTICE + " WHERE id = $1"


async def notice(read: Connection, notice_id: UUID) -> Notice | None:
    """Load one notice."""
    return one(Notice, await read.fetchrow(ONE_NOTICE, notice_id))


LAST_NOTICE = NOTICE + " WHERE service_id = $1 ORDER BY version DESC LIMIT 1"


async def last_notice(read: Connection, service_id: UUID) -> Notice | None:
    """Load a service's newest notice."""
    return one(Notice, await read.fetchrow(LAST_NOTICE, service_id))


DRAFTED = (
    NOTICE
    + """
     WHERE state = 'drafted' AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2
"""
)


async def drafted_notices(read: Connection, after: UUID | None, limit: int) -> list[Notice]:
    """List notices that wait for a decision, oldest first."""
    return many(Notice, await read.fetch(DRAFTED, after, limit))


ADD_NOTICE = """
    INSERT INTO notice (id, service_id, tariff_id, version, sp_name, service_name, price_fen,
                        period, hotline, leave_command, state, drafted_at, drafted_by)
    SELECT $1, $2, $3, 1 + COALESCE(max(version), 0), $4, $5, $6, $7, $8, $9, 'drafted', $10, $11
      FROM notice WHERE service_id = $2
"""


async def add_notice(tx: Connection, new: Notice) -> None:
    """Store a draft as the service's next version; the service row is held by the caller."""
    await tx.execute(
        ADD_NOTICE, new.id, new.service_id, new.tariff_id, new.sp_name, new.service_name,
        new.price_fen, new.period, new.hotline, new.leave_command, new.drafted_at, new.drafted_by,
    )  # fmt: skip


DECIDE_NOTICE = """
    UPDATE notice SET state = $2, decided_at = $3, decided_by = $4, reason = $5
     WHERE id = $1 AND state = 'drafted'
"""


async def decide_notice(
    tx: Connection,
    notice_id: UUID,
    state: NoticeState,
    *,
    at: datetime,
    actor: str,
    reason: str | None,
) -> bool:
    """Approve or reject; False when it was decided already."""
    return changed(await tx.execute(DECIDE_NOTICE, notice_id, state, at, actor, reason)) == 1


# On sale at $1: online, of an active SP, the tariff in force with a notice approved for it.
OFFER = """
    SELECT s.id AS service_id, s.code AS service_code, s.name AS service_name, s.kind, s.category,
           s.sp_id, sp.code AS sp_code, sp.name AS sp_name, s.access_number, s.keyword,
           t.id AS tariff_id, t.price_fen, n.id AS notice_id, n.period, n.hotline, n.leave_command
      FROM service s
      JOIN sp ON sp.id = s.sp_id AND sp.status = 'active'
      JOIN LATERAL (SELECT id, price_fen FROM tariff
                     WHERE service_id = s.id AND effective_from <= $1
                     ORDER BY effective_from DESC LIMIT 1) t ON true
      JOIN LATERAL (SELECT id, period, hotline, leave_command FROM notice
                     WHERE service_id = s.id AND tariff_id = t.id AND state = 'approved'
                       AND decided_at <= $1
                     ORDER BY version DESC LIMIT 1) n ON true
     WHERE s.status = 'online'
"""

OFFER_OF = OFFER + " AND s.id = $2"


async def offer(read: Connection, service_id: UUID, at: datetime) -> Offer | None:
    """Return a service's offer at an instant, or None when it is not on sale."""
    return one(Offer, await read.fetchrow(OFFER_OF, at, service_id))


OFFER_BY_KEYWORD = OFFER + " AND s.access_number = $2 AND s.keyword = $3"


async def offer_by_keyword(
    read: Connection, access_number: str, keyword: str, at: datetime
) -> Offer | None:
    """Return what a keyword to an access number orders."""
    return one(Offer, await read.fetchrow(OFFER_BY_KEYWORD, at, access_number, keyword))


# A restriction keeps a service off the list; who orders it all the same is told which one.
OFFERS = (
    OFFER
    + """
       AND NOT EXISTS (SELECT FROM restriction r
                        WHERE r.sp_id = s.sp_id AND (r.service_id IS NULL OR r.service_id = s.id)
                          AND r.measure IN ('offline', 'shielded', 'no_new_subscriptions')
                          AND r.starts_at <= $1 AND (r.ends_at IS NULL OR r.ends_at > $1))
       AND ($2::text IS NULL OR s.code > $2) ORDER BY s.code LIMIT $3
"""
)


async def offers(read: Connection, at: datetime, after: str | None, limit: int) -> list[Offer]:
    """List what is on sale, by service code."""
    return many(Offer, await read.fetch(OFFERS, at, after, limit))


SHOWING_HOTLINE = """
    SELECT s.id FROM service s
      JOIN LATERAL (SELECT hotline FROM notice
                     WHERE service_id = s.id AND state = 'approved'
                     ORDER BY version DESC LIMIT 1) n ON n.hotline = $2
     WHERE s.sp_id = $1 AND s.status <> 'withdrawn' ORDER BY s.code
"""


async def services_showing_hotline(read: Connection, sp_id: UUID, hotline: str) -> list[UUID]:
    """List the services whose latest approved notice names a hotline."""
    return [row["id"] for row in await read.fetch(SHOWING_HOTLINE, sp_id, hotline)]
