"""Statements on requests to change contacts. Writes contact_change only."""

from datetime import datetime
from uuid import UUID

from spms.core.db import Connection, changed, many, one
from spms.partners.model import (
    ContactChange,
    ContactState,
)

CHANGE = """
    SELECT id, sp_id, hotlines, responsible_name, responsible_mobile, state, requested_at,
           requested_by, decided_at, decided_by, reason
      FROM contact_change WHERE id = $1
"""


async def contact_change(read: Connection, change_id: UUID) -> ContactChange | None:
    """Load one request to change contacts."""
    return one(ContactChange, await read.fetchrow(CHANGE, change_id))


CHANGES_OF = """
    SELECT id, sp_id, hotlines, responsible_name, responsible_mobile, state, requested_at,
           requested_by, decided_at, decided_by, reason
      FROM contact_change WHERE sp_id = $1 AND ($2::uuid IS NULL OR id < $2)
     ORDER BY id DESC LIMIT $3
"""


async def changes_of(
    read: Connection, sp_id: UUID, after: UUID | None, limit: int
) -> list[ContactChange]:
    """List an SP's requests to change contacts, newest first."""
    return many(ContactChange, await read.fetch(CHANGES_OF, sp_id, after, limit))


CHANGES_WAITING = """
    SELECT id, sp_id, hotlines, responsible_name, responsible_mobile, state, requested_at,
           requested_by, decided_at, decided_by, reason
      FROM contact_change WHERE state = 'requested' AND ($1::uuid IS NULL OR id > $1)
     ORDER BY id LIMIT $2
"""


async def changes_waiting(read: Connection, after: UUID | None, limit: int) -> list[ContactChange]:
    """List the requests that wait for a decision, oldest first."""
    return many(ContactChange, await read.fetch(CHANGES_WAITING, after, limit))


ADD_CHANGE = """
    INSERT INTO contact_change (id, sp_id, hotlines, responsible_name, responsible_mobile, state,
                                requested_at, requested_by)
    VALUES ($1, $2, $3, $4, $5, 'requested', $6, $7)
    ON CONFLICT (sp_id) WHERE state = 'requested' DO NOTHING
"""


async def add_contact_change(tx: Connection, change: ContactChange) -> bool:
    """Store a request; False when one is open already."""
    tag = await tx.execute(
        ADD_CHANGE, change.id, change.sp_id, change.hotlines, change.responsible_name,
        change.responsible_mobile, change.requested_at, change.requested_by,
    )  # fmt: skip
    return changed(tag) == 1


DECIDE_CHANGE = """
    UPDATE contact_change SET state = $2, decided_at = $3, decided_by = $4, reason = $5
     WHERE id = $1 AND state = 'requested'
"""


async def decide_contact_change(
    tx: Connection,
    change_id: UUID,
    state: ContactState,
    *,
    at: datetime,
    actor: str,
    reason: str | None,
) -> bool:
    """Close a request; False when it was closed already."""
    return changed(await tx.execute(DECIDE_CHANGE, change_id, state, at, actor, reason)) == 1
