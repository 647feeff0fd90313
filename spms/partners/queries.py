"""Statements on SPs and how they are reached. Writes sp, sp_event, sp_hotline."""

from datetime import datetime
from uuid import UUID

from spms.core.db import Connection, changed, many, one
from spms.partners.model import (
    Application,
    Sp,
    SpAction,
    SpHotline,
    SpStatus,
)

SP = """
    SELECT sp.id, sp.code, sp.name, sp.licence_no, sp.responsible_name, sp.responsible_mobile,
           sp.status, sp.applied_at, sp.activated_at,
           ARRAY(SELECT h.number FROM sp_hotline h
                  WHERE h.sp_id = sp.id AND h.valid_to IS NULL ORDER BY h.number) AS hotlines
      FROM sp
"""

BY_ID = SP + " WHERE sp.id = $1"


async def by_id(read: Connection, sp_id: UUID) -> Sp | None:
    """Load one SP with its hotlines in force."""
    return one(Sp, await read.fetchrow(BY_ID, sp_id))


LOCK = "SELECT id FROM sp WHERE id = $1 FOR NO KEY UPDATE"


async def lock(tx: Connection, sp_id: UUID) -> Sp | None:
    """Load one SP and hold it until the transaction ends."""
    if await tx.fetchval(LOCK, sp_id) is None:
        return None
    return await by_id(tx, sp_id)


BY_CODE = SP + " WHERE sp.code = $1"


async def by_code(read: Connection, code: str) -> Sp | None:
    """Load one SP by its enterprise code."""
    return one(Sp, await read.fetchrow(BY_CODE, code))


PAGE = (
    SP
    + """
     WHERE ($1::text IS NULL OR sp.status = $1) AND ($2::text IS NULL OR sp.code > $2)
     ORDER BY sp.code LIMIT $3
"""
)


async def page(read: Connection, status: str | None, after: str | None, limit: int) -> list[Sp]:
    """List SPs by code."""
    return many(Sp, await read.fetch(PAGE, status, after, limit))


QUEUE = "SELECT pg_advisory_xact_lock($1)"
APPLICATIONS = 0x5350  # "SP": keeps this lock apart from other rooms'


async def queue_applications(tx: Connection) -> None:
    """Take applications one after the other, so that their bound and their codes are exact."""
    await tx.execute(QUEUE, APPLICATIONS)


APPLICATIONS_SINCE = "SELECT count(*) FROM sp WHERE status = 'applied' AND applied_at > $1"


async def applications_since(read: Connection, since: datetime) -> int:
    """Count applications that still wait and came after an instant."""
    count: int = await read.fetchval(APPLICATIONS_SINCE, since)
    return count


# The next code from 100000 up (the index knows the last). Applications queue, so it is free. Codes
# from 900000 are not given out here: they are for SPs that the operator brings along.
INSERT = """
    INSERT INTO sp (id, code, name, name_key, licence_no, responsible_name, responsible_mobile,
                    status, applied_at)
    SELECT $1, (1 + COALESCE(max(code), '099999')::integer)::text, $2, $3, $4, $5, $6,
           'applied', $7
      FROM sp WHERE code < '900000'
    ON CONFLICT DO NOTHING RETURNING code
"""


async def insert(
    tx: Connection, sp_id: UUID, data: Application, name_key: str, now: datetime
) -> str | None:
    """Store an application; None when its licence, its name or the last code is taken."""
    code: str | None = await tx.fetchval(
        INSERT, sp_id, data.name, name_key, data.licence_no, data.responsible_name,
        data.responsible_mobile, now,
    )  # fmt: skip
    return code


TAKEN = """
    SELECT CASE WHEN licence_no = $1 THEN 'licence' ELSE 'name' END FROM sp
     WHERE (licence_no = $1 OR name_key = $2) AND status NOT IN ('rejected', 'closed')
     ORDER BY licence_no = $1 DESC LIMIT 1
"""


async def taken(read: Connection, licence_no: str, name_key: str) -> str | None:
    """Tell which of licence and name another SP holds."""
    what: str | None = await read.fetchval(TAKEN, licence_no, name_key)
    return what


MOVE = """
    WITH moved AS (
        UPDATE sp SET status = $3,
               activated_at = CASE WHEN $3 = 'active' THEN $5 ELSE activated_at END
         WHERE id = $1 AND status = $2 RETURNING id
    )
    INSERT INTO sp_event (sp_id, action, from_status, to_status, at, actor, reason)
    SELECT id, $4, $2, $3, $5, $6, $7 FROM moved
"""


async def move(
    tx: Connection,
    sp_id: UUID,
    action: SpAction,
    before: SpStatus,
    after: SpStatus,
    *,
    at: datetime,
    actor: str,
    reason: str | None,
) -> bool:
    """Change the status and write its history line, together or not at all."""
    tag = await tx.execute(MOVE, sp_id, before, after, action, at, actor, reason)
    return changed(tag) == 1


NOTE_APPLIED = """
    INSERT INTO sp_event (sp_id, action, from_status, to_status, at, actor)
    VALUES ($1, 'apply', NULL, 'applied', $2, $3)
"""


async def note_applied(tx: Connection, sp_id: UUID, at: datetime, actor: str) -> None:
    """Write the first line of an SP's history."""
    await tx.execute(NOTE_APPLIED, sp_id, at, actor)


OPEN_HOTLINES = """
    INSERT INTO sp_hotline (id, sp_id, number, valid_from)
    SELECT gen_random_uuid(), $1, number, $3 FROM unnest($2::text[]) AS wanted (number)
    ON CONFLICT (sp_id, number) WHERE valid_to IS NULL DO NOTHING
"""


async def open_hotlines(tx: Connection, sp_id: UUID, numbers: list[str], at: datetime) -> None:
    """Put hotlines in force; those in force already stay as they are."""
    await tx.execute(OPEN_HOTLINES, sp_id, numbers, at)


CLOSE_HOTLINES = """
    UPDATE sp_hotline SET valid_to = $3
     WHERE sp_id = $1 AND valid_to IS NULL AND number <> ALL($2::text[])
"""


async def close_hotlines(tx: Connection, sp_id: UUID, keep: list[str], at: datetime) -> None:
    """End the hotlines that are not among those to keep."""
    await tx.execute(CLOSE_HOTLINES, sp_id, keep, at)


ACTIVE_HOTLINES = """
    SELECT h.sp_id, h.number FROM sp_hotline h JOIN sp ON sp.id = h.sp_id
     WHERE sp.status = 'active' AND h.valid_from <= $1 AND (h.valid_to IS NULL OR h.valid_to > $1)
     ORDER BY h.sp_id, h.number
"""


async def active_hotlines(read: Connection, at: datetime) -> list[SpHotline]:
    """List the hotlines of all active SPs that are in force at an instant."""
    return many(SpHotline, await read.fetch(ACTIVE_HOTLINES, at))


SET_RESPONSIBLE = "UPDATE sp SET responsible_name = $2, responsible_mobile = $3 WHERE id = $1"


async def set_responsible(tx: Connection, sp_id: UUID, name: str, mobile: str) -> None:
    """Replace the responsible person."""
    await tx.execute(SET_RESPONSIBLE, sp_id, name, mobile)
