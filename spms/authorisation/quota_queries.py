"""Every statement about what SPs have sent of their quotas. Writes `sp_quota_use` only."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from spms.core.clock import business_day, start_of_day
from spms.core.db import Connection, many


class UseRow(msgspec.Struct, frozen=True, kw_only=True):
    """What an SP was allowed to send in a month."""

    sp_id: UUID
    by_day: list[int]
    second: datetime | None
    in_second: int
    turn: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one round adds to a row."""

    sp_id: UUID
    turn: int
    """The one that was read."""
    day: int
    added: int
    second: datetime
    in_second: int


HOLD_NEW = """
    INSERT INTO sp_quota_use (sp_id, month, by_day, in_second, turn)
    SELECT sp_id, $2, array_fill(0::bigint, ARRAY[31]), 0, 0
      FROM unnest($1::uuid[]) AS asked (sp_id) ORDER BY sp_id
    ON CONFLICT DO NOTHING
"""
HOLD = """
    SELECT sp_id, by_day, second, in_second, turn FROM sp_quota_use
     WHERE month = $2 AND sp_id = ANY($1::uuid[])
     ORDER BY sp_id FOR UPDATE
"""


async def hold(tx: Connection, sps: Sequence[UUID], month: date) -> list[UseRow]:
    """Lock the SPs' rows of a month, in one order, and return them."""
    rows = await tx.fetch(HOLD, sps, month)
    if len(rows) < len(sps):
        await tx.execute(HOLD_NEW, sps, month)
        rows = await tx.fetch(HOLD, sps, month)
    return many(UseRow, rows)


WRITE = """
    UPDATE sp_quota_use k
       SET by_day[m.day] = k.by_day[m.day] + m.added, second = m.second, in_second = m.in_second,
           turn = k.turn + 1
      FROM unnest($2::uuid[], $3::bigint[], $4::integer[], $5::bigint[], $6::timestamptz[],
                  $7::bigint[]) AS m (sp_id, turn, day, added, second, in_second)
     WHERE k.sp_id = m.sp_id AND k.month = $1 AND k.turn = m.turn
    RETURNING 1
"""


async def write(tx: Connection, steps: Sequence[Step], month: date) -> int:
    """Add to the rows that are still at the turn that was read; return how many those were."""
    rows = await tx.fetch(
        WRITE, month,
        [step.sp_id for step in steps],
        [step.turn for step in steps],
        [step.day for step in steps],
        [step.added for step in steps],
        [step.second for step in steps],
        [step.in_second for step in steps],
    )  # fmt: skip
    return len(rows)


DAYS = "SELECT by_day FROM sp_quota_use WHERE sp_id = $1 AND month = $2"


async def days(read: Connection, sp_id: UUID, month: date) -> list[int] | None:
    """Return what was sent on each day of a month; None: nothing was counted in it."""
    found: list[int] | None = await read.fetchval(DAYS, sp_id, month)
    return found


COUNTED = """
    SELECT COALESCE(sum(allowed) FILTER (WHERE decided_at >= $3), 0)::bigint AS second,
           COALESCE(sum(allowed), 0)::bigint AS day
      FROM (SELECT decided_at, 1 AS allowed FROM authorisation
             WHERE sp_id = $1 AND decided_at >= $2 AND decided_at < $4
               AND allowed AND purpose = 'message'
            UNION ALL
            SELECT decided_at, decisions - cardinality(denied) FROM decision_pack
             WHERE sp_id = $1 AND decided_at >= $2 AND decided_at < $4) messages
"""


async def counted(read: Connection, sp_id: UUID, at: datetime) -> tuple[int, int]:
    """Count the messages an SP was allowed before an instant, in its second and on its day."""
    start = start_of_day(business_day(at))
    row = await read.fetchrow(COUNTED, sp_id, start, at.replace(microsecond=0), at)
    assert row is not None  # noqa: S101 - a count has one row
    return int(row["second"]), int(row["day"])
