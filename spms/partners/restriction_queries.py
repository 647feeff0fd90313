"""Statements on restrictions, dated facts with a cause. Writes restriction only."""

from datetime import datetime
from uuid import UUID

from spms.core.db import Connection, changed, many, one
from spms.partners.model import (
    Measure,
    Restriction,
)

RESTRICTION = """
    SELECT id, sp_id, service_id, measure, cause_kind, cause_id, reason, starts_at, ends_at,
           imposed_by, lifted_by, lift_reason, cut_percent
      FROM restriction
"""

IN_FORCE = (
    RESTRICTION
    + """
     WHERE sp_id = $1 AND starts_at <= $2 AND (ends_at IS NULL OR ends_at > $2)
     ORDER BY starts_at, id
"""
)


async def restrictions_at(read: Connection, sp_id: UUID, at: datetime) -> list[Restriction]:
    """List what holds an SP and its services back at an instant."""
    return many(Restriction, await read.fetch(IN_FORCE, sp_id, at))


RESTRICTIONS = (
    RESTRICTION
    + """
     WHERE sp_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""
)


async def restrictions(
    read: Connection, sp_id: UUID, after: UUID | None, limit: int
) -> list[Restriction]:
    """List all restrictions an SP ever had, newest first."""
    return many(Restriction, await read.fetch(RESTRICTIONS, sp_id, after, limit))


ONE_RESTRICTION = RESTRICTION + " WHERE id = $1"


async def restriction(read: Connection, restriction_id: UUID) -> Restriction | None:
    """Load one restriction."""
    return one(Restriction, await read.fetchrow(ONE_RESTRICTION, restriction_id))


RESTRICT = """
    INSERT INTO restriction (id, sp_id, service_id, measure, cause_kind, cause_id, reason,
                             starts_at, ends_at, imposed_by, cut_percent)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT DO NOTHING RETURNING id
"""
SAME_CAUSE = """
    SELECT id FROM restriction
     WHERE cause_kind = $1 AND cause_id = $2 AND measure = $3 AND sp_id = $4
       AND service_id IS NOT DISTINCT FROM $5 AND lifted_by IS NULL
"""


async def restrict(
    tx: Connection,
    restriction_id: UUID,
    *,
    sp_id: UUID,
    service_id: UUID | None,
    measure: Measure,
    cause_kind: str,
    cause_id: str,
    reason: str,
    starts_at: datetime,
    ends_at: datetime | None,
    actor: str,
    cut_percent: int | None,
) -> UUID:
    """Add a restriction, or return the one that the same cause has brought already."""
    while True:
        made: UUID | None = await tx.fetchval(
            RESTRICT, restriction_id, sp_id, service_id, measure, cause_kind, cause_id, reason,
            starts_at, ends_at, actor, cut_percent,
        ) or await tx.fetchval(SAME_CAUSE, cause_kind, cause_id, measure, sp_id, service_id)  # fmt: skip
        if made is not None:
            return made  # None: it was lifted between the two statements, so there is room again


LIFT = """
    UPDATE restriction
       SET ends_at = GREATEST(starts_at, $3), lifted_by = $4, lift_reason = $5
     WHERE cause_kind = $1 AND cause_id = $2 AND lifted_by IS NULL
       AND (ends_at IS NULL OR ends_at > $3)
"""


async def lift(
    tx: Connection, cause_kind: str, cause_id: str, *, at: datetime, actor: str, reason: str
) -> int:
    """End what one cause has brought and still holds; return how many restrictions that were."""
    return changed(await tx.execute(LIFT, cause_kind, cause_id, at, actor, reason))
