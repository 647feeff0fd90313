"""Statements on agreed quotas. Writes sp_quota only."""

from uuid import UUID

from spms.core.db import Connection, many, one
from spms.partners.quota_model import Quota

QUOTA = """
    SELECT id, sp_id, version, per_second, per_day, per_month, effective_from, reason, created_at,
           created_by
      FROM sp_quota
"""
OF_SP = (
    QUOTA
    + " WHERE sp_id = $1 AND ($2::integer IS NULL OR version < $2) ORDER BY version DESC LIMIT $3"
)


async def of_sp(read: Connection, sp_id: UUID, after: int | None, limit: int) -> list[Quota]:
    """List what was ever agreed with an SP, newest first."""
    return many(Quota, await read.fetch(OF_SP, sp_id, after, limit))


ADD = """
    INSERT INTO sp_quota (id, sp_id, version, per_second, per_day, per_month, effective_from,
                          reason, created_at, created_by)
    SELECT $1, $2, 1 + COALESCE((SELECT max(version) FROM sp_quota WHERE sp_id = $2), 0),
           $3, $4, $5, $6, $7, $8, $9
        ON CONFLICT DO NOTHING
    RETURNING id, sp_id, version, per_second, per_day, per_month, effective_from, reason,
              created_at, created_by
"""


async def add(tx: Connection, new: Quota) -> Quota | None:
    """Add the next version; None when another begins at that instant or was added meanwhile."""
    row = await tx.fetchrow(
        ADD, new.id, new.sp_id, new.per_second, new.per_day, new.per_month, new.effective_from,
        new.reason, new.created_at, new.created_by,
    )  # fmt: skip
    return one(Quota, row)
