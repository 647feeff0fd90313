"""Statements on texts that a service may send. Writes message_template only."""

from datetime import datetime
from uuid import UUID

from spms.catalogue.template_model import Template, TemplateState
from spms.core.db import Connection, changed, many, one

TEMPLATE = """
    SELECT id, service_id, version, wording, state, drafted_at, drafted_by, decided_at, decided_by,
           reason, retired_at, retired_by
      FROM message_template
"""
ONE = TEMPLATE + " WHERE id = $1"


async def get(read: Connection, template_id: UUID) -> Template | None:
    """Load one template."""
    return one(Template, await read.fetchrow(ONE, template_id))


OF_SERVICE = (
    TEMPLATE
    + """
     WHERE service_id = $1 AND ($2::integer IS NULL OR version < $2) ORDER BY version DESC LIMIT $3
"""
)


async def of_service(
    read: Connection, service_id: UUID, after: int | None, limit: int
) -> list[Template]:
    """List a service's templates, newest first."""
    return many(Template, await read.fetch(OF_SERVICE, service_id, after, limit))


WAITING = (
    TEMPLATE
    + """
     WHERE state = 'drafted' AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2
"""
)


async def waiting(read: Connection, after: UUID | None, limit: int) -> list[Template]:
    """List templates that wait for a decision, oldest first."""
    return many(Template, await read.fetch(WAITING, after, limit))


ADD = """
    INSERT INTO message_template (id, service_id, version, wording, state, drafted_at, drafted_by)
    SELECT $1, $2, 1 + COALESCE(max(version), 0), $3, 'drafted', $4, $5
      FROM message_template WHERE service_id = $2
"""


async def add(
    tx: Connection, template_id: UUID, service_id: UUID, wording: str, *, at: datetime, actor: str
) -> None:
    """Store a draft as the service's next version; the service row is held by the caller."""
    await tx.execute(ADD, template_id, service_id, wording, at, actor)


DECIDE = """
    UPDATE message_template SET state = $2, decided_at = $3, decided_by = $4, reason = $5
     WHERE id = $1 AND state = 'drafted'
"""


async def decide(
    tx: Connection,
    template_id: UUID,
    state: TemplateState,
    *,
    at: datetime,
    actor: str,
    reason: str | None,
) -> bool:
    """Approve or reject; False when it was decided already."""
    return changed(await tx.execute(DECIDE, template_id, state, at, actor, reason)) == 1


RETIRE = """
    UPDATE message_template SET retired_at = $2, retired_by = $3
     WHERE id = $1 AND state = 'approved' AND retired_at IS NULL
"""


async def retire(tx: Connection, template_id: UUID, *, at: datetime, actor: str) -> bool:
    """Take an approved template out of use; False when it is in none."""
    return changed(await tx.execute(RETIRE, template_id, at, actor)) == 1
