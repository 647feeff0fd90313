"""What this room reads about an SP's client credentials; `core.access` writes them."""

from uuid import UUID

from spms.core.db import Connection, many, one
from spms.partners.model import Client

ALL = """
    SELECT id AS client_id, created_at, created_by, revoked_at, revoked_by
      FROM credential WHERE kind = 'sp' AND subject = $1
     ORDER BY revoked_at IS NOT NULL, created_at DESC, id DESC LIMIT 100
"""


async def all_of(read: Connection, sp_id: UUID) -> list[Client]:
    """List an SP's client ids, live ones first, each newest first."""
    return many(Client, await read.fetch(ALL, str(sp_id)))


ONE = """
    SELECT id AS client_id, created_at, created_by, revoked_at, revoked_by
      FROM credential WHERE kind = 'sp' AND subject = $1 AND id = $2
"""


async def one_of(read: Connection, sp_id: UUID, client_id: UUID) -> Client | None:
    """Load one of an SP's client ids."""
    return one(Client, await read.fetchrow(ONE, str(sp_id), client_id))
