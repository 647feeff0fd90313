"""Job slots: who runs which slot of which job, decided by one row with a fencing token.

Leases are about machines, not about business, so they are measured by the database's own clock:
a moved or wrong clock of one worker can neither steal nor lose a slot.
"""

from datetime import datetime

import msgspec

from spms.core.db import Connection, changed, many, one

LEASE_SECONDS = 60
ATTEMPTS_MAX = 5


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job that is due, running or over."""

    job: str
    slot_at: datetime
    state: str
    fence: int
    owner: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: str | None = None


LATEST = "SELECT max(slot_at) FROM job_slot WHERE job = $1"


async def latest(read: Connection, job: str) -> datetime | None:
    """Return the latest slot ever opened for a job."""
    at: datetime | None = await read.fetchval(LATEST, job)
    return at


OPEN = """
    INSERT INTO job_slot (job, slot_at, state)
    SELECT $1, slot_at, 'due' FROM unnest($2::timestamptz[]) AS due (slot_at)
    ON CONFLICT DO NOTHING
"""


async def open_slots(tx: Connection, job: str, slots: list[datetime]) -> None:
    """Make slots due; those that another worker opened already stay as they are."""
    await tx.execute(OPEN, job, slots)


TAKE = f"""
    UPDATE job_slot SET state = 'running', owner = $2, fence = fence + 1,
           started_at = clock_timestamp(),
           lease_until = clock_timestamp() + interval '{LEASE_SECONDS} seconds'
     WHERE (job, slot_at) = (
           SELECT job, slot_at FROM job_slot
            WHERE job = $1
              AND (state = 'due' OR (state = 'running' AND lease_until < clock_timestamp()))
            ORDER BY slot_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING job, slot_at, state, fence, owner, started_at, finished_at, outcome
"""  # noqa: S608 - a constant of this module


async def take(tx: Connection, job: str, *, owner: str) -> Slot | None:
    """Take the oldest slot that is due, or whose worker's lease ran out."""
    return one(Slot, await tx.fetchrow(TAKE, job, owner))


FINISH = """
    UPDATE job_slot SET state = 'done', finished_at = clock_timestamp(), outcome = $4
     WHERE job = $1 AND slot_at = $2 AND fence = $3 AND state = 'running'
"""


class LeaseLost(Exception):  # noqa: N818 - it is what happened
    """Another worker has taken the slot meanwhile; this one's effects must be rolled back."""


async def finish(tx: Connection, slot: Slot, outcome: str) -> None:
    """Mark a slot done in the transaction of its effects; raise `LeaseLost` if it was taken over."""
    if changed(await tx.execute(FINISH, slot.job, slot.slot_at, slot.fence, outcome)) != 1:
        raise LeaseLost(slot.job)


FAIL = f"""
    UPDATE job_slot SET state = CASE WHEN fence >= {ATTEMPTS_MAX} THEN 'failed' ELSE 'due' END,
           finished_at = clock_timestamp(), outcome = $4
     WHERE job = $1 AND slot_at = $2 AND fence = $3 AND state = 'running'
"""  # noqa: S608 - a constant of this module


async def fail(tx: Connection, slot: Slot, outcome: str) -> None:
    """Give a slot back after a failure; after five tries it stays failed, for a person to see."""
    await tx.execute(FAIL, slot.job, slot.slot_at, slot.fence, outcome)


RECENT = """
    SELECT DISTINCT ON (job) job, slot_at, state, fence, owner, started_at, finished_at, outcome
      FROM job_slot WHERE job = ANY($1::text[]) ORDER BY job, slot_at DESC
"""


async def recent(read: Connection, jobs: list[str]) -> list[Slot]:
    """Return each job's latest slot."""
    return many(Slot, await read.fetch(RECENT, jobs))
