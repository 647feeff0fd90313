"""Every statement about endpoints and their secrets.

Writes webhook_endpoint and webhook_secret. Whoever changes an endpoint and its deliveries in one
transaction takes the endpoint first. What is sent there is in `delivery_queries`.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from spms.core.db import Connection, many, one
from spms.partners.webhook_model import Endpoint, EndpointState, NewEndpoint

ENDPOINT = """
    SELECT p.id, p.sp_id, p.url, p.types, p.state, p.state_at, p.state_reason, p.created_at,
           p.failing_since, p.succeeded_at, p.resume_at,
           (SELECT count(*) FROM webhook_delivery d
             WHERE d.endpoint_id = p.id AND d.state IN ('waiting', 'sending')) AS waiting,
           (SELECT min(d.position) FROM webhook_delivery d
             WHERE d.endpoint_id = p.id AND d.state = 'given_up') AS given_up_from
      FROM webhook_endpoint p
"""

BY_ID = ENDPOINT + " WHERE p.id = $1"


async def by_id(read: Connection, endpoint_id: UUID) -> Endpoint | None:
    """Load one endpoint."""
    return one(Endpoint, await read.fetchrow(BY_ID, endpoint_id))


HOLD = "SELECT id FROM webhook_endpoint WHERE id = $1 FOR NO KEY UPDATE"


async def hold(tx: Connection, endpoint_id: UUID) -> Endpoint | None:
    """Load one endpoint and hold it until the transaction ends."""
    if await tx.fetchval(HOLD, endpoint_id) is None:
        return None
    return await by_id(tx, endpoint_id)


PAGE = (
    ENDPOINT
    + """
     WHERE ($1::uuid IS NULL OR p.sp_id = $1) AND ($2::uuid IS NULL OR p.id < $2)
     ORDER BY p.id DESC LIMIT $3
"""
)


async def page(
    read: Connection, sp_id: UUID | None, before: UUID | None, limit: int
) -> list[Endpoint]:
    """List an SP's endpoints, or everybody's, newest first."""
    return many(Endpoint, await read.fetch(PAGE, sp_id, before, limit))


OPEN_COUNT = "SELECT count(*) FROM webhook_endpoint WHERE sp_id = $1 AND state <> 'closed'"


async def open_count(read: Connection, sp_id: UUID) -> int:
    """Count an SP's endpoints that are not closed."""
    count: int = await read.fetchval(OPEN_COUNT, sp_id)
    return count


ADD = """
    INSERT INTO webhook_endpoint (id, sp_id, url, types, state, state_at, created_at, created_by)
    VALUES ($1, $2, $3, $4, 'enabled', $5, $5, $6)
"""


async def add(
    tx: Connection, endpoint_id: UUID, sp_id: UUID, new: NewEndpoint, *, actor: str, now: datetime
) -> None:
    """Store a new endpoint."""
    await tx.execute(ADD, endpoint_id, sp_id, new.url, new.types, now, actor)


MOVE = """
    UPDATE webhook_endpoint
       SET state = $2, state_at = $3, state_reason = $4, failing_since = NULL, resume_at = NULL
     WHERE id = $1
"""


async def move(
    tx: Connection, endpoint_id: UUID, after: EndpointState, *, at: datetime, reason: str | None
) -> None:
    """Write an endpoint's new state; for whoever holds it."""
    await tx.execute(MOVE, endpoint_id, after, at, reason)


ADD_SECRET = "INSERT INTO webhook_secret (id, endpoint_id, created_at) VALUES ($1, $2, $3)"  # noqa: S105


async def add_secret(tx: Connection, secret_id: UUID, endpoint_id: UUID, *, now: datetime) -> None:
    """Give an endpoint a secret."""
    await tx.execute(ADD_SECRET, secret_id, endpoint_id, now)


EXPIRE_SECRETS = """
    UPDATE webhook_secret s SET expires_at = CASE WHEN s.id = newest.id THEN $3 ELSE $2 END
      FROM (SELECT id FROM webhook_secret WHERE endpoint_id = $1 ORDER BY id DESC LIMIT 1) AS newest
     WHERE s.endpoint_id = $1 AND (s.expires_at IS NULL OR s.expires_at > $2)
"""


async def expire_secrets(
    tx: Connection, endpoint_id: UUID, *, now: datetime, newest_until: datetime
) -> None:
    """Let the newest secret of an endpoint end at a time, and older ones now."""
    await tx.execute(EXPIRE_SECRETS, endpoint_id, now, newest_until)


SECRETS = """
    SELECT endpoint_id, id FROM webhook_secret
     WHERE endpoint_id = ANY ($1::uuid[]) AND (expires_at IS NULL OR expires_at > $2)
     ORDER BY id DESC
"""


async def live_secrets(
    read: Connection, endpoint_ids: Sequence[UUID], *, at: datetime
) -> dict[UUID, list[UUID]]:
    """Return the ids of the secrets that sign for each endpoint, newest first."""
    found: dict[UUID, list[UUID]] = {endpoint_id: [] for endpoint_id in endpoint_ids}
    for row in await read.fetch(SECRETS, list(endpoint_ids), at):
        found[row["endpoint_id"]].append(row["id"])
    return found


HOLD_READY = """
    SELECT id FROM webhook_endpoint p
     WHERE p.state = 'enabled' AND (p.resume_at IS NULL OR p.resume_at <= $1)
       AND EXISTS (SELECT FROM webhook_delivery d
                    WHERE d.endpoint_id = p.id AND d.state IN ('waiting', 'sending')
                      AND d.due_at <= $1)
     ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""


async def hold_ready(tx: Connection, *, now: datetime) -> list[UUID]:
    """Hold the endpoints for which something is due, except those that another worker holds."""
    return [row["id"] for row in await tx.fetch(HOLD_READY, now)]


NOTE_SUCCESS = """
    UPDATE webhook_endpoint SET succeeded_at = $2, failing_since = NULL, resume_at = NULL
     WHERE id = $1 AND (failing_since IS NOT NULL OR resume_at IS NOT NULL
                        OR succeeded_at IS NULL OR succeeded_at < $2::timestamptz - interval '1 minute')
"""


async def note_success(tx: Connection, endpoint_id: UUID, *, at: datetime) -> None:
    """Remember that something got through; written once a minute at most."""
    await tx.execute(NOTE_SUCCESS, endpoint_id, at)


NOTE_FAILURE = """
    UPDATE webhook_endpoint SET failing_since = COALESCE(failing_since, $2),
           resume_at = GREATEST(resume_at, $3)
     WHERE id = $1 RETURNING succeeded_at
"""


async def note_failure(
    tx: Connection, endpoint_id: UUID, *, at: datetime, resume_at: datetime | None
) -> datetime | None:
    """Remember that something did not get through; hold the endpoint; return its last success."""
    succeeded: datetime | None = await tx.fetchval(NOTE_FAILURE, endpoint_id, at, resume_at)
    return succeeded


DISABLED_COUNT = "SELECT count(*) FROM webhook_endpoint WHERE state = 'disabled'"


async def disabled_count(read: Connection) -> int:
    """Count the endpoints that were disabled because nothing gets through."""
    count: int = await read.fetchval(DISABLED_COUNT)
    return count
