"""Statements on plans, their items and what the items' calls came to."""

from datetime import date, datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many, one
from spms.inspections.model import (
    Candidate,
    Commitment,
    Drawn,
    HotlineCall,
    Item,
    Plan,
    PlanDocument,
)
from spms.inspections.queries import CALL_COLUMNS
from spms.inspections.rules import commitment

ADD_PLAN = """
    INSERT INTO inspection_plan
        (id, day, drawn_at, drawn_by, seed, seed_sha256, candidates, rulebook_version, start,
         document, plan_sha256)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (day) WHERE day IS NOT NULL DO NOTHING
"""


async def add_plan(
    tx: Connection,
    plan: PlanDocument,
    *,
    day: date | None,
    drawn_by: str,
    document: str,
    rulebook_version: int,
) -> bool:
    """Store a plan with the hashes of seed and document; False when the day has its plan."""
    done = await tx.execute(
        ADD_PLAN, plan.plan_id, day, plan.drawn_at, drawn_by, plan.seed, commitment(plan.seed),
        len(plan.candidates), rulebook_version, plan.start, document, commitment(document),
    )  # fmt: skip
    return changed(done) == 1


ADD_ITEMS = """
    INSERT INTO inspection_item (id, plan_id, sp_id, hotline, caller_offset, state)
    SELECT id, $1, sp_id, hotline, caller_offset, 'open'
      FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::integer[])
           AS drawn (id, sp_id, hotline, caller_offset)
"""


async def add_items(tx: Connection, plan_id: UUID, ids: list[UUID], drawn: list[Drawn]) -> None:
    """Store what a plan drew."""
    await tx.execute(
        ADD_ITEMS, plan_id, ids, [line.sp_id for line in drawn], [line.number for line in drawn],
        [line.caller_offset for line in drawn],
    )  # fmt: skip


BUSY_LINES = """
    SELECT sp_id, hotline AS number FROM inspection_item WHERE state = 'open'
    UNION
    SELECT sp_id, hotline FROM hotline_finding WHERE closed_at IS NULL AND cure_by > $1
"""


async def busy_lines(read: Connection, at: datetime) -> list[Candidate]:
    """List lines under inspection, and lines found bad whose cure is not due yet."""
    return many(Candidate, await read.fetch(BUSY_LINES, at))


_PLAN = """
    SELECT p.id, p.drawn_at, p.drawn_by, p.seed_sha256, p.plan_sha256,
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


COMMITMENTS = """
    SELECT id, drawn_at, plan_sha256, seed_sha256, finished_at FROM inspection_plan
     WHERE plan_sha256 IS NOT NULL
       AND ($1::timestamptz IS NULL OR (drawn_at, id) < ($1, $2::uuid))
     ORDER BY drawn_at DESC, id DESC LIMIT $3
"""


async def commitments(
    read: Connection, before: tuple[datetime, UUID] | None, limit: int
) -> list[Commitment]:
    """List what is published of all plans, newest first."""
    return many(Commitment, await read.fetch(COMMITMENTS, *(before or (None, None)), limit))


DOCUMENT = """
    SELECT document, finished_at IS NOT NULL AS finished FROM inspection_plan
     WHERE id = $1 AND document IS NOT NULL
"""


async def document(read: Connection, plan_id: UUID) -> tuple[str, bool] | None:
    """Return a plan's document and whether it may be shown."""
    row = await read.fetchrow(DOCUMENT, plan_id)
    return None if row is None else (row["document"], row["finished"])


_ITEM_COLUMNS = "id, plan_id, sp_id, kind, hotline, verdict, reason, judged_at, same_as"
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


CALLS = f"""
    SELECT item_id, {CALL_COLUMNS}
      FROM hotline_call WHERE item_id = ANY($1::uuid[]) ORDER BY item_id, attempt_no
"""


async def _with_calls(read: Connection, rows: list[dict[str, object]]) -> list[Item]:
    calls: dict[object, list[HotlineCall]] = {row["id"]: [] for row in rows}
    for record in await read.fetch(CALLS, list(calls)):
        calls[record["item_id"]].append(msgspec.convert(dict(record), HotlineCall))
    return [msgspec.convert(row | {"calls": calls[row["id"]]}, Item) for row in rows]
