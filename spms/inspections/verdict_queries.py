"""Statements on verdicts: what is known of an item, findings, objections, greetings."""

from datetime import datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many, one
from spms.inspections.model import ItemKind, NewObjection, Objection, Start, Verdict, Why
from spms.inspections.queries import IN_FORCE
from spms.inspections.verdict import Attempt

MANY_OPEN = 100
"""So many open items of a plan say that none of the verdicts under way is its last."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An item to be judged, and what speaks for its SP."""

    id: UUID
    plan_id: UUID
    sp_id: UUID
    kind: ItemKind
    hotline: str
    drawn_at: datetime
    seed: str
    start: Start
    in_force: bool
    given_up: bool
    """Before the first call the SP asked to give this number up; that is not decided yet."""


LOCK_ITEM = f"""
    SELECT i.id, i.plan_id, i.sp_id, i.kind, i.hotline, p.drawn_at, p.seed, p.start,
           {IN_FORCE} AS in_force,
           EXISTS (SELECT FROM contact_change r
                    WHERE r.sp_id = i.sp_id AND r.state = 'requested'
                      AND CASE i.kind WHEN 'responsible' THEN r.responsible_mobile <> '86' || i.hotline
                             ELSE NOT i.hotline = ANY (r.hotlines) END
                      AND r.requested_at < (SELECT min(c.placed_at) FROM hotline_call c
                                             WHERE c.item_id = i.id)) AS given_up
      FROM inspection_item i JOIN inspection_plan p ON p.id = i.plan_id
     WHERE i.id = $2 AND i.state = 'open' FOR UPDATE OF i
"""


async def lock_item(tx: Connection, item_id: UUID, now: datetime) -> Found | None:
    """Hold an open item until the transaction ends; None when it is judged.

    A transaction holds one item, and after it the plan: so none waits for another in a circle.
    """
    return one(Found, await tx.fetchrow(LOCK_ITEM, now, item_id))


ATTEMPTS = """
    SELECT outcome, sip_code, ring_ms, placed_at, other_party FROM hotline_call
     WHERE item_id = $1 AND state IN ('finished', 'unknown') ORDER BY attempt_no
"""


async def attempts(read: Connection, item_id: UUID) -> list[Attempt]:
    """List the attempts of an item that are over, in order."""
    return many(Attempt, await read.fetch(ATTEMPTS, item_id))


JUDGE = """
    UPDATE inspection_item
       SET state = 'judged', verdict = $2, reason = $3, judged_at = $4, same_as = $5
     WHERE id = $1 AND state = 'open'
"""


async def judge(
    tx: Connection,
    item_id: UUID,
    verdict: Verdict,
    reason: Why,
    *,
    at: datetime,
    same_as: UUID | None,
) -> bool:
    """Store the verdict; False when the item has one already."""
    return changed(await tx.execute(JUDGE, item_id, verdict, reason, at, same_as)) == 1


CLOSE_OVERDUE = """
    UPDATE hotline_finding SET closed_at = $3, closed_because = 'overdue'
     WHERE sp_id = $1 AND hotline = $2 AND closed_at IS NULL AND cure_by <= $3
"""
ADD_FINDING = """
    INSERT INTO hotline_finding (item_id, sp_id, hotline, verdict, found_at, cure_by)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (sp_id, hotline) WHERE closed_at IS NULL DO NOTHING
"""
OPEN_FINDING = """
    SELECT item_id FROM hotline_finding
     WHERE sp_id = $1 AND hotline = $2 AND closed_at IS NULL AND item_id <> $3
"""


async def same_finding(
    tx: Connection, found: Found, verdict: Verdict, at: datetime, cure_by: datetime
) -> UUID | None:
    """Open a finding; or return the item of the one that is open and need not be cured yet."""
    await tx.execute(CLOSE_OVERDUE, found.sp_id, found.hotline, at)
    await tx.execute(ADD_FINDING, found.id, found.sp_id, found.hotline, verdict, at, cure_by)
    item_id: UUID | None = await tx.fetchval(OPEN_FINDING, found.sp_id, found.hotline, found.id)
    return item_id


CURE = """
    UPDATE hotline_finding SET closed_at = $3, closed_because = 'cured'
     WHERE sp_id = $1 AND hotline = $2 AND closed_at IS NULL AND found_at <= $4
"""


async def cure(tx: Connection, found: Found, at: datetime) -> None:
    """Close a line's finding, when it was found before this item was drawn."""
    await tx.execute(CURE, found.sp_id, found.hotline, at, found.drawn_at)


OPEN_LEFT = """
    SELECT count(*) FROM (
           SELECT FROM inspection_item WHERE plan_id = $1 AND state = 'open' LIMIT $2) AS seen
"""
LOCK_PLAN = "SELECT id FROM inspection_plan WHERE id = $1 FOR UPDATE"
FINISH = """
    UPDATE inspection_plan SET finished_at = $2
     WHERE id = $1 AND finished_at IS NULL
       AND NOT EXISTS (SELECT FROM inspection_item WHERE plan_id = $1 AND state = 'open')
"""


async def finish(tx: Connection, plan_id: UUID, at: datetime) -> None:
    """Finish a plan if none of its items is open.

    While many are seen open the plan is not held: its verdicts would wait for each other's commits.
    More last verdicts at one time than `MANY_OPEN`, each seeing the others' items open, would leave
    it to `finish_over`.
    """
    if await tx.fetchval(OPEN_LEFT, plan_id, MANY_OPEN) == MANY_OPEN:
        return
    await tx.execute(LOCK_PLAN, plan_id)
    await tx.execute(FINISH, plan_id, at)


FINISH_OVER = """
    UPDATE inspection_plan p SET finished_at = $1
     WHERE p.finished_at IS NULL
       AND NOT EXISTS (SELECT FROM inspection_item i WHERE i.plan_id = p.id AND i.state = 'open')
"""


async def finish_over(tx: Connection, at: datetime) -> int:
    """Finish the plans that have no open item; return how many."""
    return changed(await tx.execute(FINISH_OVER, at))


ADD_OBJECTION = """
    INSERT INTO inspection_objection (item_id, sp_id, statement, opened_at, opened_by, documents)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (item_id) DO NOTHING
"""


async def add_objection(
    tx: Connection, item_id: UUID, sp_id: UUID, new: NewObjection, *, at: datetime, by: str
) -> bool:
    """Store an objection; False when the item has one."""
    handed = msgspec.to_builtins(new.documents)
    tag = await tx.execute(ADD_OBJECTION, item_id, sp_id, new.statement, at, by, handed)
    return changed(tag) == 1


OBJECTION = """
    SELECT item_id, sp_id, statement, documents, opened_at, opened_by, sustained, decided_at,
           decided_by, reason
      FROM inspection_objection
"""
OBJECTION_TO = OBJECTION + " WHERE item_id = $1"


async def objection(read: Connection, item_id: UUID) -> Objection | None:
    """Load the objection to an item."""
    return one(Objection, await read.fetchrow(OBJECTION_TO, item_id))


WAITING = (
    OBJECTION
    + """
     WHERE decided_at IS NULL AND ($1::timestamptz IS NULL OR (opened_at, item_id) > ($1, $2))
     ORDER BY opened_at, item_id LIMIT $3
"""
)


async def waiting_objections(
    read: Connection, after: tuple[datetime, UUID] | None, limit: int
) -> list[Objection]:
    """List the objections that wait for a decision, oldest first."""
    return many(Objection, await read.fetch(WAITING, *(after or (None, None)), limit))


DRAWN_BY = """
    SELECT p.drawn_by FROM inspection_plan p JOIN inspection_item i ON i.plan_id = p.id
     WHERE i.id = $1
"""


async def drawn_by(read: Connection, item_id: UUID) -> str | None:
    """Return who drew the plan of an item."""
    who: str | None = await read.fetchval(DRAWN_BY, item_id)
    return who


DECIDE_OBJECTION = """
    UPDATE inspection_objection SET sustained = $2, decided_at = $3, decided_by = $4, reason = $5
     WHERE item_id = $1 AND decided_at IS NULL
"""


async def decide_objection(
    tx: Connection, item_id: UUID, *, sustained: bool, at: datetime, by: str, reason: str
) -> bool:
    """Store the decision; False when there is one already."""
    return changed(await tx.execute(DECIDE_OBJECTION, item_id, sustained, at, by, reason)) == 1


SET_ASIDE = """
    UPDATE hotline_finding SET closed_at = COALESCE(closed_at, $2), closed_because = 'objection'
     WHERE item_id = $1
"""


async def set_aside(tx: Connection, item_id: UUID, at: datetime) -> bool:
    """Set a finding aside; False when the item only found another item's finding again."""
    return changed(await tx.execute(SET_ASIDE, item_id, at)) == 1


ADD_GREETING = """
    INSERT INTO hotline_greeting (sp_id, hotline, code, set_at, set_by)
    SELECT h.sp_id, h.number, $3, $4, $5 FROM sp_hotline h
     WHERE h.sp_id = $1 AND h.number = $2
       AND h.valid_from <= $4 AND (h.valid_to IS NULL OR h.valid_to > $4)
    ON CONFLICT (sp_id, hotline, set_at) DO NOTHING
"""


async def add_greeting(
    tx: Connection, sp_id: UUID, number: str, code: str, *, at: datetime, by: str
) -> bool:
    """Store a hotline's code from now on; False for a number that is none of the SP's."""
    return changed(await tx.execute(ADD_GREETING, sp_id, number, code, at, by)) == 1
