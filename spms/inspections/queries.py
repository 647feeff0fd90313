"""Every statement of the room; those that write are on its own tables."""

from datetime import date, datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many, one
from spms.inspections.model import (
    HotlineCall,
    Item,
    LineIn,
    Placing,
    Plan,
    Verdict,
    Why,
)
from spms.inspections.sip import CallResult
from spms.inspections.verdict import Attempt

LEASE_SECONDS = 300
"""How long a call may be under way before it is taken for lost; by the database's clock."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An item to be judged, and whether its hotline is still in force."""

    id: UUID
    plan_id: UUID
    sp_id: UUID
    hotline: str
    drawn_at: datetime
    in_force: bool


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that came to an end without a result."""

    item_id: UUID
    plan_id: UUID


ADD_PLAN = """
    INSERT INTO inspection_plan
        (id, day, drawn_at, drawn_by, seed, seed_sha256, candidates, rulebook_version)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (day) WHERE day IS NOT NULL DO NOTHING
"""


async def add_plan(
    tx: Connection,
    plan_id: UUID,
    *,
    day: date | None,
    drawn_at: datetime,
    drawn_by: str,
    seed: tuple[str, str],
    candidates: int,
    rulebook_version: int,
) -> bool:
    """Store a plan with (seed, its hash); False when the day has its daily plan already."""
    done = await tx.execute(
        ADD_PLAN, plan_id, day, drawn_at, drawn_by, *seed, candidates, rulebook_version
    )
    return changed(done) == 1


ADD_ITEMS = """
    INSERT INTO inspection_item (id, plan_id, sp_id, hotline, state)
    SELECT id, $1, sp_id, hotline, 'open'
      FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS drawn (id, sp_id, hotline)
"""


async def add_items(
    tx: Connection, plan_id: UUID, ids: list[UUID], sp_ids: list[UUID], hotlines: list[str]
) -> None:
    """Store what a plan drew."""
    await tx.execute(ADD_ITEMS, plan_id, ids, sp_ids, hotlines)


ADD_CALLS = """
    INSERT INTO hotline_call (item_id, attempt_no, number, due_at, state)
    SELECT item_id, $4, number, due_at, 'due'
      FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS wanted (item_id, number, due_at)
"""


async def add_calls(
    tx: Connection, items: list[UUID], numbers: list[str], due: list[datetime], *, attempt_no: int
) -> None:
    """Make one call of each item due."""
    await tx.execute(ADD_CALLS, items, numbers, due, attempt_no)


_PLAN = """
    SELECT p.id, p.drawn_at, p.drawn_by, p.seed_sha256,
           CASE WHEN p.finished_at IS NOT NULL THEN p.seed END AS seed,
           p.candidates, p.rulebook_version, p.finished_at, n.items_total, n.items_judged
      FROM inspection_plan p CROSS JOIN LATERAL (
           SELECT count(*) AS items_total, count(verdict) AS items_judged
             FROM inspection_item WHERE plan_id = p.id) n
"""
PLAN = _PLAN + " WHERE p.id = $1"


async def plan(read: Connection, plan_id: UUID) -> Plan | None:
    """Load a plan; its seed only once it is finished."""
    return one(Plan, await read.fetchrow(PLAN, plan_id))


PLANS = (
    _PLAN
    + """ WHERE ($1::timestamptz IS NULL OR (p.drawn_at, p.id) < ($1, $2::uuid))
    ORDER BY p.drawn_at DESC, p.id DESC LIMIT $3
"""
)


async def plans(read: Connection, before: tuple[datetime, UUID] | None, limit: int) -> list[Plan]:
    """List plans, newest first."""
    return many(Plan, await read.fetch(PLANS, *(before or (None, None)), limit))


_ITEM_COLUMNS = "id, plan_id, sp_id, hotline, verdict, reason, judged_at"
ITEMS_OF_PLAN = f"""
    SELECT {_ITEM_COLUMNS} FROM inspection_item
     WHERE plan_id = $1 AND ($2::uuid IS NULL OR (sp_id, hotline) > ($2, $3))
     ORDER BY sp_id, hotline LIMIT $4
"""


async def items_of_plan(
    read: Connection, plan_id: UUID, after: tuple[UUID, str] | None, limit: int
) -> list[Item]:
    """List the items of a plan by SP and number, with their calls."""
    rows = await read.fetch(ITEMS_OF_PLAN, plan_id, *(after or (None, None)), limit)
    return await _with_calls(read, [dict(row) for row in rows])


ITEMS_OF_SP = f"""
    SELECT {_ITEM_COLUMNS} FROM inspection_item
     WHERE sp_id = $1 AND state = 'judged' AND ($2::uuid IS NULL OR id < $2)
     ORDER BY id DESC LIMIT $3
"""


async def items_of_sp(read: Connection, sp_id: UUID, before: UUID | None, limit: int) -> list[Item]:
    """List an SP's judged items, newest draw first, with their calls."""
    rows = await read.fetch(ITEMS_OF_SP, sp_id, before, limit)
    return await _with_calls(read, [dict(row) for row in rows])


ITEM = f"SELECT {_ITEM_COLUMNS} FROM inspection_item WHERE id = $1"


async def item(read: Connection, item_id: UUID) -> Item | None:
    """Load an item with its calls."""
    row = await read.fetchrow(ITEM, item_id)
    return None if row is None else (await _with_calls(read, [dict(row)]))[0]


CALLS = """
    SELECT item_id, attempt_no, state, due_at, caller, placed_at, ended_at, outcome, sip_code,
           q850_cause, ring_ms, redirected_to, hung_up_by_line, audio_packets, trace
      FROM hotline_call WHERE item_id = ANY($1::uuid[]) ORDER BY item_id, attempt_no
"""


async def _with_calls(read: Connection, rows: list[dict[str, object]]) -> list[Item]:
    calls: dict[object, list[HotlineCall]] = {row["id"]: [] for row in rows}
    for record in await read.fetch(CALLS, list(calls)):
        calls[record["item_id"]].append(msgspec.convert(dict(record), HotlineCall))
    return [msgspec.convert(row | {"calls": calls[row["id"]]}, Item) for row in rows]


POSTPONE = """
    UPDATE hotline_call SET due_at = $2
     WHERE (item_id, attempt_no) IN (
           SELECT item_id, attempt_no FROM hotline_call
            WHERE state = 'due' AND due_at <= $1 FOR UPDATE SKIP LOCKED)
"""


async def postpone(tx: Connection, now: datetime, until: datetime) -> None:
    """Put off all calls that are due: outside the permitted hours none may be placed."""
    await tx.execute(POSTPONE, now, until)


POSTPONE_CALLED_OFTEN = """
    UPDATE hotline_call SET due_at = $3
     WHERE (item_id, attempt_no) IN (
           SELECT c.item_id, c.attempt_no FROM hotline_call c
            WHERE c.state = 'due' AND c.due_at <= $1
              AND (SELECT count(*) FROM hotline_call o
                    WHERE o.number = c.number AND o.placed_at >= $2) >= $4
              FOR UPDATE OF c SKIP LOCKED)
"""


async def postpone_called_often(
    tx: Connection, now: datetime, *, since: datetime, until: datetime, most: int
) -> None:
    """Put off due calls to numbers that were called `most` times since an instant."""
    await tx.execute(POSTPONE_CALLED_OFTEN, now, since, until, most)


TAKE = f"""
    WITH due AS (
        SELECT item_id, attempt_no, number, due_at FROM hotline_call c
         WHERE state = 'due' AND due_at <= $1
           AND NOT EXISTS (SELECT FROM hotline_call o
                            WHERE o.number = c.number AND o.state = 'placing')
         ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
    ), first AS (
        SELECT DISTINCT ON (number) item_id, attempt_no FROM due ORDER BY number, due_at
    )
    UPDATE hotline_call c
       SET state = 'placing', caller = $2, placed_at = $1,
           call_id = replace(gen_random_uuid()::text, '-', ''),
           lease_until = clock_timestamp() + interval '{LEASE_SECONDS} seconds'
      FROM first f
     WHERE c.item_id = f.item_id AND c.attempt_no = f.attempt_no AND c.state = 'due'
    RETURNING c.item_id, c.attempt_no, c.number, c.call_id
"""


async def take(tx: Connection, now: datetime, caller: str, limit: int) -> list[Placing]:
    """Take due calls, one per number; `UniqueViolationError` when another worker was quicker."""
    return many(Placing, await tx.fetch(TAKE, now, caller, limit))


RECORD = """
    UPDATE hotline_call
       SET state = 'finished', ended_at = $4, outcome = $5, sip_code = $6, q850_cause = $7,
           ring_ms = $8, redirected_to = $9, hung_up_by_line = $10, audio_packets = $11, trace = $12
     WHERE item_id = $1 AND attempt_no = $2 AND call_id = $3 AND state = 'placing'
"""


async def record(tx: Connection, call: Placing, result: CallResult) -> bool:
    """Store what a call came to; False when it was given up for lost meanwhile."""
    ring_ms = None if result.ring_seconds is None else round(1_000 * result.ring_seconds)
    done = await tx.execute(
        RECORD, call.item_id, call.attempt_no, call.call_id, result.ended_at, result.outcome,
        result.sip_code, result.q850_cause, ring_ms, result.redirected_to, result.hung_up_by_line,
        result.audio_packets, list(result.trace),
    )  # fmt: skip
    return changed(done) == 1


MARK_UNKNOWN = """
    UPDATE hotline_call SET state = 'unknown', ended_at = $4
     WHERE item_id = $1 AND attempt_no = $2 AND call_id = $3 AND state = 'placing'
"""


async def mark_unknown(tx: Connection, call: Placing, at: datetime) -> bool:
    """End a call of which nothing is known; False when that was done already."""
    done = await tx.execute(MARK_UNKNOWN, call.item_id, call.attempt_no, call.call_id, at)
    return changed(done) == 1


GIVE_UP_LOST = """
    UPDATE hotline_call c SET state = 'unknown', ended_at = $1
      FROM inspection_item i
     WHERE i.id = c.item_id AND (c.item_id, c.attempt_no) IN (
           SELECT item_id, attempt_no FROM hotline_call
            WHERE state = 'placing' AND lease_until < clock_timestamp() FOR UPDATE SKIP LOCKED)
    RETURNING c.item_id, i.plan_id
"""


async def give_up_lost(tx: Connection, now: datetime) -> list[Cut]:
    """End calls whose worker did not report in time."""
    return many(Cut, await tx.fetch(GIVE_UP_LOST, now))


_IN_FORCE = """EXISTS (
           SELECT FROM sp_hotline h JOIN sp ON sp.id = h.sp_id
            WHERE h.sp_id = i.sp_id AND h.number = i.hotline AND sp.status = 'active'
              AND h.valid_from <= $1 AND (h.valid_to IS NULL OR h.valid_to > $1))"""

DROP_WITHDRAWN = f"""
    UPDATE hotline_call c SET state = 'dropped', ended_at = $1
      FROM inspection_item i
     WHERE i.id = c.item_id AND (c.item_id, c.attempt_no) IN (
           SELECT c.item_id, c.attempt_no
             FROM hotline_call c JOIN inspection_item i ON i.id = c.item_id
            WHERE c.state = 'due' AND c.due_at <= $1 AND NOT {_IN_FORCE}
              FOR UPDATE OF c SKIP LOCKED)
    RETURNING c.item_id, i.plan_id
"""


async def drop_withdrawn(tx: Connection, now: datetime) -> list[Cut]:
    """Drop due calls to hotlines that are no longer in force."""
    return many(Cut, await tx.fetch(DROP_WITHDRAWN, now))


LOCK_PLAN = """
    SELECT p.id FROM inspection_plan p JOIN inspection_item i ON i.plan_id = p.id
     WHERE i.id = $1 FOR UPDATE OF p
"""
LOCK_ITEM = f"""
    SELECT i.id, i.plan_id, i.sp_id, i.hotline, p.drawn_at, {_IN_FORCE} AS in_force
      FROM inspection_item i JOIN inspection_plan p ON p.id = i.plan_id
     WHERE i.id = $2 AND i.state = 'open' FOR UPDATE OF i
"""


async def lock_item(tx: Connection, item_id: UUID, now: datetime) -> Found | None:
    """Hold an open item and its plan until the transaction ends; None when it is judged.

    The plan is held first: of two items judged at a time, the second sees the first.
    """
    await tx.execute(LOCK_PLAN, item_id)
    return one(Found, await tx.fetchrow(LOCK_ITEM, now, item_id))


ATTEMPTS = """
    SELECT outcome, sip_code, ring_ms FROM hotline_call
     WHERE item_id = $1 AND state IN ('finished', 'unknown') ORDER BY attempt_no
"""


async def attempts(read: Connection, item_id: UUID) -> list[Attempt]:
    """List the attempts of an item that are over, in order."""
    return many(Attempt, await read.fetch(ATTEMPTS, item_id))


JUDGE = """
    UPDATE inspection_item SET state = 'judged', verdict = $2, reason = $3, judged_at = $4
     WHERE id = $1 AND state = 'open'
"""


async def judge(tx: Connection, item_id: UUID, verdict: Verdict, reason: Why, at: datetime) -> bool:
    """Store the verdict; False when the item has one already."""
    return changed(await tx.execute(JUDGE, item_id, verdict, reason, at)) == 1


FINISH = """
    UPDATE inspection_plan SET finished_at = $2
     WHERE id = $1 AND finished_at IS NULL
       AND NOT EXISTS (SELECT FROM inspection_item WHERE plan_id = $1 AND state = 'open')
"""


async def finish(tx: Connection, plan_id: UUID, at: datetime) -> None:
    """Finish a plan if none of its items is open; the caller holds the plan."""
    await tx.execute(FINISH, plan_id, at)


PUT_LINE = """
    INSERT INTO sandbox_line (number, behaviour, connect_percent, new_number, set_at)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (number) DO UPDATE
       SET behaviour = excluded.behaviour, connect_percent = excluded.connect_percent,
           new_number = excluded.new_number, set_at = excluded.set_at
"""


async def put_line(tx: Connection, line: LineIn, at: datetime) -> None:
    """Set how a sandbox hotline behaves."""
    await tx.execute(
        PUT_LINE, line.number, line.behaviour, line.connect_percent, line.new_number, at
    )


LINE = "SELECT number, behaviour, connect_percent, new_number FROM sandbox_line WHERE number = $1"


async def line(read: Connection, number: str) -> LineIn | None:
    """Return how a sandbox hotline was told to behave; None: nobody told it anything."""
    return one(LineIn, await read.fetchrow(LINE, number))
