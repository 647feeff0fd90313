"""Statements about the life of settlements: sent, confirmed, disputed, locked, held, paid.

Writes `settlement`, `settlement_event`, `settlement_lock`, `settlement_use`,
`settlement_objection`, `settlement_hold`.
"""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many, one
from spms.core.ids import new_id
from spms.settlement.life_model import Action, Hold, Objection, Settlement, State

# What keeps a settlement from being paid now: its own holds, and measures on its SP at $1.
HELD = """
    ARRAY(SELECT h.cause FROM settlement_hold h
           WHERE h.settlement_id = s.id AND h.cleared_at IS NULL
           UNION
          SELECT r.measure FROM restriction r
           WHERE r.sp_id = s.sp_id AND r.service_id IS NULL AND r.measure = 'settlement_held'
             AND r.starts_at <= $1 AND (r.ends_at IS NULL OR r.ends_at > $1)
           ORDER BY 1) AS held
"""
COLUMNS = f"""
    SELECT s.id, s.sp_id, p.code AS sp_code, p.name AS sp_name, s.month, s.state, s.revision,
           s.payable_fen, s.object_until, s.pay_month, {HELD}, encode(t.sha256, 'hex') AS sha256
      FROM settlement s
      JOIN sp p ON p.id = s.sp_id
      JOIN settlement_statement t ON t.settlement_id = s.id AND t.revision = s.revision
"""
BY_ID = f"{COLUMNS} WHERE s.id = $2"


async def settlement(read: Connection, settlement_id: UUID, *, at: datetime) -> Settlement | None:
    """Load one settlement with what holds it at an instant."""
    return one(Settlement, await read.fetchrow(BY_ID, at, settlement_id))


# An SP sees its statement once it was sent.
PAGE = f"""
    {COLUMNS}
     WHERE ($2::uuid IS NULL OR s.sp_id = $2) AND ($2::uuid IS NULL OR s.state <> 'draft')
       AND ($3::date IS NULL OR s.month = $3)
       AND ($4::date IS NULL OR (s.month, s.id) < ($4, $5::uuid))
     ORDER BY s.month DESC, s.id DESC LIMIT $6
"""


async def page(
    read: Connection,
    sp_id: UUID | None,
    month: date | None,
    after: tuple[date, UUID] | None,
    limit: int,
    *,
    at: datetime,
) -> list[Settlement]:
    """List settlements, newest month first: one SP's that were sent, or all."""
    last = after or (None, None)
    return many(Settlement, await read.fetch(PAGE, at, sp_id, month, *last, limit))


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    """What a change needs to know, held until the transaction ends."""

    id: UUID
    sp_id: UUID
    month: date
    state: State
    revision: int
    object_until: datetime | None


HOLD_ROW = """
    SELECT id, sp_id, month, state, revision, object_until FROM settlement WHERE id = $1 FOR UPDATE
"""


async def hold_row(tx: Connection, settlement_id: UUID) -> Locked | None:
    """Take one settlement for this transaction."""
    return one(Locked, await tx.fetchrow(HOLD_ROW, settlement_id))


_EVENT = """settlement_event (settlement_id, id, action, from_state, to_state, revision, at, actor,
                                  reason)"""
SEND = f"""
    WITH sent AS (
        UPDATE settlement SET state = 'sent', object_until = $2
         WHERE month = $1 AND state = 'draft' RETURNING id, revision
    )
    INSERT INTO {_EVENT}
    SELECT id, gen_random_uuid(), 'send', 'draft', 'sent', revision, $3, $4, NULL FROM sent
"""
SEND_ONE = SEND.replace("month = $1", "id = $1")


async def send(
    tx: Connection, month: date, *, until: datetime, now: datetime, actor: str
) -> int:  # fmt: skip
    """Send a month's drafts; return how many."""
    return changed(await tx.execute(SEND, month, until, now, actor))


async def send_one(
    tx: Connection, settlement_id: UUID, *, until: datetime, now: datetime, actor: str
) -> bool:
    """Send one draft; False when it is none."""
    return changed(await tx.execute(SEND_ONE, settlement_id, until, now, actor)) == 1


# Silence would have confirmed at `object_until`: who agrees later has agreed then.
MOVE = f"""
    WITH moved AS (
        UPDATE settlement
           SET state = $3,
               object_until = CASE WHEN $3 = 'draft' THEN NULL ELSE COALESCE($8, object_until) END,
               confirmed_at = CASE WHEN $3 = 'confirmed' THEN LEAST($5::timestamptz, object_until)
                              END
         WHERE id = $1 AND state = $2 AND state NOT IN ('locked', 'paid') RETURNING id, revision
    )
    INSERT INTO {_EVENT}
    SELECT id, $9::uuid, $4, $2, $3, revision, $5, $6, $7 FROM moved
"""


async def move(
    tx: Connection,
    row: Locked,
    action: Action,
    after: State,
    *,
    now: datetime,
    actor: str,
    reason: str | None = None,
    until: datetime | None = None,
) -> bool:
    """Change the state and write its history line, together or not at all."""
    status = await tx.execute(
        MOVE, row.id, row.state, after, action, now, actor, reason, until, new_id()
    )
    return changed(status) == 1


# Silence confirms, at the instant the time was up, however late the job comes.
CONFIRM_SILENT = f"""
    WITH confirmed AS (
        UPDATE settlement SET state = 'confirmed', confirmed_at = object_until
         WHERE state = 'sent' AND object_until <= $1 RETURNING id, revision, object_until
    )
    INSERT INTO {_EVENT}
    SELECT id, gen_random_uuid(), 'confirm', 'sent', 'confirmed', revision, object_until, $2,
           'silence' FROM confirmed
"""


async def confirm_silent(tx: Connection, *, now: datetime, actor: str) -> int:
    """Confirm what nobody objected to in time; return how many."""
    return changed(await tx.execute(CONFIRM_SILENT, now, actor))


HOLD_FLAGGED = """
    INSERT INTO settlement_hold (id, settlement_id, cause, reason, placed_at, placed_by)
    SELECT gen_random_uuid(), s.id, r.kind, 'report: ' || r.share_bp || ' of 10000', $3, 'report'
      FROM settlement_report r JOIN settlement s ON s.sp_id = r.sp_id AND s.month = r.month
     WHERE r.month = $1 AND r.sp_id = ANY($2::uuid[]) AND r.flagged
    ON CONFLICT DO NOTHING
"""


async def hold_flagged(
    tx: Connection, month: date, sp_ids: Sequence[UUID], *, now: datetime
) -> int:  # fmt: skip
    """Hold what a report flags; return how many holds that made."""
    return changed(await tx.execute(HOLD_FLAGGED, month, list(sp_ids), now))


PLACE_HOLD = """
    INSERT INTO settlement_hold (id, settlement_id, cause, reason, placed_at, placed_by)
    VALUES ($1, $2, 'officer', $3, $4, $5) ON CONFLICT DO NOTHING
"""


async def place_hold(
    tx: Connection, hold_id: UUID, settlement_id: UUID, reason: str, *, now: datetime, actor: str
) -> bool:
    """Let an officer hold a settlement; False when one does already."""
    status = await tx.execute(PLACE_HOLD, hold_id, settlement_id, reason, now, actor)
    return changed(status) == 1


_HOLD = """
    SELECT id, settlement_id, cause, reason, placed_at, placed_by, cleared_at, cleared_by,
           clear_reason
      FROM settlement_hold
"""
ONE_HOLD = f"{_HOLD} WHERE id = $1"
HOLDS = f"{_HOLD} WHERE settlement_id = $1 ORDER BY placed_at, cause, id"
CLEAR_HOLD = """
    UPDATE settlement_hold SET cleared_at = $2, cleared_by = $3, clear_reason = $4
     WHERE id = $1 AND cleared_at IS NULL
"""


async def hold(read: Connection, hold_id: UUID) -> Hold | None:
    """Load one hold."""
    return one(Hold, await read.fetchrow(ONE_HOLD, hold_id))


async def holds(read: Connection, settlement_id: UUID) -> list[Hold]:
    """Load what holds or held a settlement, in its order."""
    return many(Hold, await read.fetch(HOLDS, settlement_id))


async def clear_hold(
    tx: Connection, hold_id: UUID, reason: str, *, now: datetime, actor: str
) -> bool:
    """End a hold; False when it ended before."""
    return changed(await tx.execute(CLEAR_HOLD, hold_id, now, actor, reason)) == 1


ADD_OBJECTION = """
    INSERT INTO settlement_objection (id, settlement_id, revision, statement, lines, opened_at,
                                      opened_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""


async def add_objection(tx: Connection, new: Objection) -> bool:
    """Keep an objection; False when this revision has one."""
    status = await tx.execute(
        ADD_OBJECTION, new.id, new.settlement_id, new.revision, new.statement,
        msgspec.to_builtins(new.lines), new.opened_at, new.opened_by,
    )  # fmt: skip
    return changed(status) == 1


OBJECTIONS = """
    SELECT id, settlement_id, revision, statement, lines, opened_at, opened_by, decision,
           decided_at, decided_by, reason
      FROM settlement_objection WHERE settlement_id = $1 ORDER BY revision
"""


async def objections(read: Connection, settlement_id: UUID) -> list[Objection]:
    """Load the objections to a settlement, oldest first."""
    return many(Objection, await read.fetch(OBJECTIONS, settlement_id))


DECIDE_OBJECTION = """
    UPDATE settlement_objection SET decision = $3, decided_at = $4, decided_by = $5, reason = $6
     WHERE settlement_id = $1 AND revision = $2 AND decision IS NULL
"""


async def decide_objection(
    tx: Connection, row: Locked, decision: str, *, now: datetime, actor: str, reason: str
) -> bool:
    """Decide the objection to the revision in force; False when there is none open."""
    status = await tx.execute(DECIDE_OBJECTION, row.id, row.revision, decision, now, actor, reason)
    return changed(status) == 1
