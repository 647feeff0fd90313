"""Statements on the bad-credit list and on companies in several provinces.

Writes bad_credit, bad_credit_clearance, sp_link.
"""

from datetime import datetime
from uuid import UUID

from spms.core.db import Connection, changed, many, one
from spms.partners.model import BadCredit, CompanyLink, Match

ADD = """
    INSERT INTO bad_credit (id, sp_id, licence_key, company_key, person_key, mobile, cause_kind,
                            cause_id, reason, listed_at, until_at, listed_by)
    SELECT $1, id, $3, $4, $5, responsible_mobile, $6, $7, $8, $9, $10, $11 FROM sp WHERE id = $2
    ON CONFLICT (cause_kind, cause_id) WHERE removed_at IS NULL DO NOTHING
"""


async def add(
    tx: Connection,
    entry_id: UUID,
    sp_id: UUID,
    *,
    keys: tuple[str, str, str],
    cause: tuple[str, str],
    reason: str,
    at: datetime,
    until: datetime,
    actor: str,
) -> bool:
    """List an SP by the keys of licence, company and person; False when its cause has listed it."""
    tag = await tx.execute(ADD, entry_id, sp_id, *keys, *cause, reason, at, until, actor)
    return changed(tag) == 1


REMOVE = """
    UPDATE bad_credit SET removed_at = $3, removed_by = $4, remove_reason = $5
     WHERE cause_kind = $1 AND cause_id = $2 AND removed_at IS NULL
"""


async def remove(
    tx: Connection, cause_kind: str, cause_id: str, *, at: datetime, actor: str, reason: str
) -> bool:
    """Take an entry off the list because its cause fell."""
    return changed(await tx.execute(REMOVE, cause_kind, cause_id, at, actor, reason)) == 1


MATCHES = """
    SELECT b.id AS bad_credit_id,
           CASE WHEN b.licence_key = $1 THEN 'licence' WHEN b.company_key = $2 THEN 'company'
                WHEN b.mobile = $4 THEN 'mobile' ELSE 'person' END AS likeness
      FROM bad_credit b
     WHERE b.removed_at IS NULL AND b.listed_at <= $5 AND b.until_at > $5
       AND (b.licence_key = $1 OR b.company_key = $2 OR b.person_key = $3 OR b.mobile = $4)
       AND NOT EXISTS (SELECT FROM bad_credit_clearance c
                        WHERE c.bad_credit_id = b.id AND c.sp_id = $6)
     ORDER BY b.id
"""


async def matches(
    read: Connection,
    keys: tuple[str, str, str],
    mobile: str | None,
    at: datetime,
    sp_id: UUID | None,
) -> list[Match]:
    """List the entries in force that an SP is like, except those it was cleared of."""
    return many(Match, await read.fetch(MATCHES, *keys, mobile, at, sp_id))


CLEAR = """
    INSERT INTO bad_credit_clearance (bad_credit_id, sp_id, at, cleared_by, reason)
    SELECT b.id, sp.id, $3, $4, $5 FROM bad_credit b, sp WHERE b.id = $1 AND sp.id = $2
    ON CONFLICT DO NOTHING
"""
CLEARED = "SELECT true FROM bad_credit_clearance WHERE bad_credit_id = $1 AND sp_id = $2"


async def clear(
    tx: Connection, entry_id: UUID, sp_id: UUID, *, at: datetime, actor: str, reason: str
) -> bool:
    """Record that an SP's person is another than the listed one; False for unknown ids."""
    await tx.execute(CLEAR, entry_id, sp_id, at, actor, reason)
    return await tx.fetchval(CLEARED, entry_id, sp_id) is not None


ENTRY = """
    SELECT b.id, b.sp_id, sp.code, sp.name, sp.licence_no, sp.responsible_name, b.cause_kind,
           b.cause_id, b.reason, b.listed_at, b.until_at, b.removed_at
      FROM bad_credit b JOIN sp ON sp.id = b.sp_id
"""
PAGE = ENTRY + " WHERE ($1::uuid IS NULL OR b.id < $1) ORDER BY b.id DESC LIMIT $2"


async def page(read: Connection, after: UUID | None, limit: int) -> list[BadCredit]:
    """List all entries there ever were, newest first."""
    return many(BadCredit, await read.fetch(PAGE, after, limit))


LINK = """
    INSERT INTO sp_link (sp_id, company, province, linked_at, linked_by)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (sp_id) DO NOTHING
"""
LINK_OF = "SELECT company, province FROM sp_link WHERE sp_id = $1"


async def link(
    tx: Connection, sp_id: UUID, company: str, province: str, *, at: datetime, actor: str
) -> CompanyLink | None:
    """Record the company under which an SP works in a province; return what is on record."""
    await tx.execute(LINK, sp_id, company, province, at, actor)
    return one(CompanyLink, await tx.fetchrow(LINK_OF, sp_id))


LINKED = """
    SELECT other.sp_id FROM sp_link mine JOIN sp_link other
        ON other.company = mine.company AND other.sp_id <> mine.sp_id
     WHERE mine.sp_id = $1 ORDER BY other.sp_id
"""


async def linked(read: Connection, sp_id: UUID) -> list[UUID]:
    """List the SPs under which the same company works elsewhere."""
    return [row["sp_id"] for row in await read.fetch(LINKED, sp_id)]
