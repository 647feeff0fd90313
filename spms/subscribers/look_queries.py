"""Statements about agents' looks at numbers. Writes `bill_quota`, `canary_number`, `canary_touch`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from spms.core.db import Connection
from spms.core.ids import new_id

# One statement counts and refuses: of any number at once no more than the limit get through.
USE = """
    INSERT INTO bill_quota AS q (agent, span, starts_at, used) VALUES ($1, $2, $3, 1)
    ON CONFLICT (agent, span, starts_at) DO UPDATE SET used = q.used + 1
     WHERE $4::integer IS NULL OR q.used < $4
    RETURNING used
"""


async def use(
    tx: Connection, agent: str, span: str, starts_at: datetime, *, limit: int | None
) -> bool:
    """Count one look; False when as many as the limit were counted. Without a limit it counts on."""
    return await tx.fetchval(USE, agent, span, starts_at, limit) is not None


TOUCH = """
    INSERT INTO canary_touch (id, touched_by, at, reason)
    SELECT $2, $3, $4, $5 FROM canary_number WHERE msisdn = $1
"""


async def touch(tx: Connection, msisdn: str, *, by: str, reason: str, now: datetime) -> None:
    """Write down a look at a number if it is a canary."""
    await tx.execute(TOUCH, msisdn, new_id(), by, now, reason)


ADD_CANARY = """
    INSERT INTO canary_number (msisdn, added_at, added_by) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING
"""


async def add_canary(tx: Connection, msisdn: str, *, by: str, now: datetime) -> None:
    """Make a number a canary."""
    await tx.execute(ADD_CANARY, msisdn, now, by)


TOUCHES = "SELECT id, touched_by, at, reason FROM canary_touch ORDER BY at DESC, id DESC LIMIT 500"


async def touches(read: Connection) -> Sequence[Mapping[str, Any]]:
    """Return the latest looks at canary numbers."""
    return [dict(row) for row in await read.fetch(TOUCHES)]
