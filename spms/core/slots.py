"""Job slots: who runs which slot of which job, decided by one row with a fencing token.

Leases are about machines, not about business, so they are measured by the database's own clock:
a moved or wrong clock of one worker can neither steal nor lose a slot. The same clock tells a
worker how far its own is off, so that it neither opens slots that are not due nor skips any.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from spms.core.db import Connection, changed, many, one

LEASE = timedelta(seconds=60)
BACK_OFF = tuple(timedelta(seconds=s) for s in (5, 15, 60, 300, 900, 1800, 3600))
"""Pause after the first, second … failure: a slot outlives a disturbance of about two hours."""


class SlotState(StrEnum):
    """How far a slot has come."""

    DUE = "due"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """Given up after the last pause; a person may run it by hand."""


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job that is due, running or over."""

    job: str
    slot_at: datetime
    state: SlotState
    fence: int
    owner: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: str | None = None
    failures: int = 0
    """Tries that failed, and workers that died with it."""
    try_at: datetime | None = None
    last_error: str | None = None
    position: str | None = None
    """Of a job that is done in chunks: where the next chunk begins; null: at the beginning."""
    by_hand: str | None = None
    """Who ran it; null: the timetable."""


COLUMNS = """job, slot_at, state, fence, owner, started_at, finished_at, outcome, failures, try_at,
           last_error, position, by_hand"""

LATEST = """
    SELECT (SELECT max(slot_at) FROM job_slot WHERE job = $1 AND by_hand IS NULL) AS latest,
           clock_timestamp() AS at
"""


async def latest(read: Connection, job: str) -> tuple[datetime | None, datetime]:
    """Return the latest slot of the timetable ever opened for a job, and the database's time."""
    row = await read.fetchrow(LATEST, job)
    assert row is not None  # noqa: S101 - a SELECT without FROM
    return row["latest"], row["at"]


OPEN = """
    INSERT INTO job_slot (job, slot_at, state)
    SELECT $1, slot_at, 'due' FROM unnest($2::timestamptz[]) AS due (slot_at)
    ON CONFLICT DO NOTHING
"""


async def open_slots(tx: Connection, job: str, slots: list[datetime]) -> None:
    """Make slots due; those that another worker opened already stay as they are."""
    await tx.execute(OPEN, job, slots)


# A lease that ran out is a failure of its own: a slot that kills its workers must end, too.
GIVE_UP = """
    UPDATE job_slot SET state = 'failed', finished_at = clock_timestamp(),
           last_error = 'its workers died', failures = failures + 1
     WHERE job = $1 AND state = 'running' AND lease_until < clock_timestamp() AND failures >= $2
"""
TAKE = f"""
    UPDATE job_slot SET owner = $2, fence = fence + 1, started_at = clock_timestamp(),
           failures = failures + CASE WHEN state = 'running' THEN 1 ELSE 0 END,
           state = 'running', lease_until = clock_timestamp() + $3::interval
     WHERE (job, slot_at) = (
           SELECT job, slot_at FROM job_slot
            WHERE job = $1
              AND ((state = 'due' AND (try_at IS NULL OR try_at <= clock_timestamp()))
                   OR (state = 'running' AND lease_until < clock_timestamp()))
            ORDER BY slot_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING {COLUMNS}
"""  # noqa: S608 - a constant of this module


async def take(
    tx: Connection, job: str, *, owner: str, lease: timedelta = LEASE
) -> Slot | None:  # fmt: skip
    """Take the oldest slot that is due and need not wait, or whose worker's lease ran out."""
    await tx.execute(GIVE_UP, job, len(BACK_OFF))
    return one(Slot, await tx.fetchrow(TAKE, job, owner, lease))


TAKE_BY_HAND = f"""
    INSERT INTO job_slot AS s (job, slot_at, state, owner, fence, started_at, lease_until, by_hand)
    VALUES ($1, $2, 'running', $3, 1, clock_timestamp(), clock_timestamp() + $4::interval, $3)
    ON CONFLICT (job, slot_at) DO UPDATE
       SET state = 'running', owner = $3, fence = s.fence + 1, started_at = clock_timestamp(),
           lease_until = clock_timestamp() + $4::interval, by_hand = $3
     WHERE s.state IN ('due', 'failed')
        OR (s.state = 'running' AND s.lease_until < clock_timestamp())
    RETURNING {COLUMNS}
"""  # noqa: S608 - a constant of this module


async def take_by_hand(
    tx: Connection, job: str, slot_at: datetime, *, who: str, lease: timedelta = LEASE
) -> Slot | None:
    """Take a certain slot, waiting, failed or new, and record who; None if done or running."""
    return one(Slot, await tx.fetchrow(TAKE_BY_HAND, job, slot_at, who, lease))


RENEW = """
    UPDATE job_slot SET lease_until = clock_timestamp() + $4::interval
     WHERE job = $1 AND slot_at = $2 AND fence = $3 AND state = 'running'
"""


async def renew(tx: Connection, slot: Slot, lease: timedelta = LEASE) -> bool:
    """Hold a slot for another lease; False when another worker has taken it."""
    return changed(await tx.execute(RENEW, slot.job, slot.slot_at, slot.fence, lease)) == 1


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


ADVANCE = """
    UPDATE job_slot SET position = $4, failures = 0, lease_until = clock_timestamp() + $5::interval
     WHERE job = $1 AND slot_at = $2 AND fence = $3 AND state = 'running'
"""


async def advance(tx: Connection, slot: Slot, position: str, lease: timedelta = LEASE) -> Slot:
    """Keep how far a slot has come, in the transaction of that chunk; raise `LeaseLost`."""
    tag = await tx.execute(ADVANCE, slot.job, slot.slot_at, slot.fence, position, lease)
    if changed(tag) != 1:
        raise LeaseLost(slot.job)
    return msgspec.structs.replace(slot, position=position, failures=0)


FAIL = """
    UPDATE job_slot SET state = CASE WHEN $5::interval IS NULL THEN 'failed' ELSE 'due' END,
           failures = failures + 1, last_error = $4, finished_at = clock_timestamp(),
           try_at = clock_timestamp() + $5::interval
     WHERE job = $1 AND slot_at = $2 AND fence = $3 AND state = 'running'
"""


async def fail(tx: Connection, slot: Slot, error: str) -> None:
    """Give a slot back after a failure, to be tried again after a pause that grows.

    After the last pause it stays failed, for a person to see.
    """
    pause = BACK_OFF[slot.failures] if slot.failures < len(BACK_OFF) else None
    await tx.execute(FAIL, slot.job, slot.slot_at, slot.fence, error, pause)


FIND = f"SELECT {COLUMNS} FROM job_slot WHERE job = $1 AND slot_at = $2"  # noqa: S608


async def find(read: Connection, job: str, slot_at: datetime) -> Slot | None:
    """Return one slot."""
    return one(Slot, await read.fetchrow(FIND, job, slot_at))


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a job's slots lately."""

    last: Slot
    seconds: float | None
    """How long the last run that was done took."""
    failed: int
    """Slots that were given up and wait for a person."""
    stumbled: int
    """Failed tries of slots of the last seven days."""


RECENT = f"""
    SELECT DISTINCT ON (job) {COLUMNS} FROM job_slot
     WHERE job = ANY($1::text[]) ORDER BY job, slot_at DESC
"""  # noqa: S608 - a constant of this module
SUMS = """
    SELECT job, count(*) FILTER (WHERE state = 'failed') AS failed,
           COALESCE(sum(failures) FILTER (WHERE started_at > clock_timestamp() - interval '7 days'), 0)
               AS stumbled,
           (array_agg(extract(epoch FROM finished_at - started_at)::float8 ORDER BY slot_at DESC)
                FILTER (WHERE state = 'done'))[1] AS seconds
      FROM job_slot WHERE job = ANY($1::text[]) GROUP BY job
"""


async def recent(read: Connection, jobs: list[str]) -> list[Slot]:
    """Return each job's latest slot."""
    return many(Slot, await read.fetch(RECENT, jobs))


async def history(read: Connection, jobs: list[str]) -> Mapping[str, History]:
    """Return by job what became of its slots; jobs that never ran are left out."""
    sums = {row["job"]: row for row in await read.fetch(SUMS, jobs)}
    return {
        slot.job: History(
            last=slot, seconds=sums[slot.job]["seconds"], failed=sums[slot.job]["failed"],
            stumbled=int(sums[slot.job]["stumbled"]),
        )
        for slot in await recent(read, jobs)
    }  # fmt: skip
