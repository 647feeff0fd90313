"""Statements that lock and pay.

Writes `settlement`, `settlement_event`, `settlement_lock`, `settlement_use`, `settlement_payout`,
`settlement_payment`.
"""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many, one
from spms.settlement.life_model import Settlement, State, Stored
from spms.settlement.queries import COLUMNS, HELD


class ToLock(msgspec.Struct, frozen=True, kw_only=True):
    """A confirmed settlement and the end of its SP's chain."""

    id: UUID
    sp_id: UUID
    month: date
    revision: int
    body: str
    follows: bytes
    chain_end: bytes


# One SP's months in their order: the later one follows the lock of the earlier.
TO_LOCK = """
    SELECT s.id, s.sp_id, s.month, s.revision, t.body, t.follows,
           COALESCE((SELECT l.sha256 FROM settlement_lock l
                      WHERE l.sp_id = s.sp_id ORDER BY l.month DESC LIMIT 1), ''::bytea)
               AS chain_end
      FROM settlement s
      JOIN settlement_statement t ON t.settlement_id = s.id AND t.revision = s.revision
     WHERE s.state = 'confirmed' AND s.confirmed_at <= $1
       AND NOT EXISTS (SELECT FROM settlement e
                        WHERE e.sp_id = s.sp_id AND e.month < s.month
                          AND e.state NOT IN ('locked', 'paid'))
     ORDER BY s.month, s.sp_id LIMIT $2 FOR UPDATE OF s
"""


async def to_lock(tx: Connection, confirmed_by: datetime, limit: int) -> list[ToLock]:
    """Take confirmed settlements whose earlier months are all locked."""
    return many(ToLock, await tx.fetch(TO_LOCK, confirmed_by, limit))


LOCK = """
    WITH locked AS (
        UPDATE settlement SET state = 'locked', pay_month = $2
         WHERE id = ANY($1::uuid[]) AND state = 'confirmed' RETURNING id, sp_id, month, revision
    ), kept AS (
        INSERT INTO settlement_lock (settlement_id, sp_id, month, revision, follows, sha256,
                                     payable_fen, carried, entry_id, locked_at, locked_by)
        SELECT k.id, k.sp_id, k.month, k.revision, t.follows, t.sha256, t.payable_fen, t.carried,
               e.entry_id, $4, $5
          FROM locked k
          JOIN settlement_statement t ON t.settlement_id = k.id AND t.revision = k.revision
          JOIN unnest($1::uuid[], $3::uuid[]) AS e (id, entry_id) ON e.id = k.id
        RETURNING settlement_id, revision
    )
    INSERT INTO settlement_event (settlement_id, id, action, from_state, to_state, revision, at,
                                  actor, reason)
    SELECT settlement_id, gen_random_uuid(), 'lock', 'confirmed', 'locked', revision, $4, $5, NULL
      FROM kept
"""
USE = """
    INSERT INTO settlement_use (kind, source_id, settlement_id)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[])
"""


async def lock(
    tx: Connection,
    entries: Sequence[tuple[UUID, UUID | None]],
    uses: Sequence[tuple[str, UUID, UUID]],
    *,
    pay_month: date,
    now: datetime,
    actor: str,
) -> int:
    """Lock settlements with their entries in the book, and what they took; return how many."""
    status = await tx.execute(
        LOCK, [each[0] for each in entries], pay_month, [each[1] for each in entries], now, actor
    )
    await tx.execute(
        USE, [use[0] for use in uses], [use[1] for use in uses], [use[2] for use in uses]
    )
    return changed(status)


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    """What one SP owes and has left as security, in fen; negative when too much was taken."""

    sp_id: UUID
    receivable_fen: int
    deposit_fen: int


BALANCES = """
    SELECT sp_id,
           sum(CASE WHEN debit = 'sp_receivable' THEN amount_fen
                    WHEN credit = 'sp_receivable' THEN -amount_fen ELSE 0 END)::bigint
               AS receivable_fen,
           sum(CASE WHEN credit = 'deposits' THEN amount_fen
                    WHEN debit = 'deposits' THEN -amount_fen ELSE 0 END)::bigint AS deposit_fen
      FROM posting
     WHERE sp_id = ANY($1::uuid[])
       AND ('sp_receivable' IN (debit, credit) OR 'deposits' IN (debit, credit))
     GROUP BY sp_id
"""


async def balances(tx: Connection, sp_ids: Sequence[UUID]) -> list[Balances]:
    """Derive what some SPs owe and have left as security."""
    return many(Balances, await tx.fetch(BALANCES, list(sp_ids)))


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """The approval sheet of one calendar month."""

    month: date
    made_at: datetime
    made_by: str
    approved_at: datetime | None
    approved_by: str | None
    to_finance_at: datetime | None


PAYOUT = """
    SELECT month, made_at, made_by, approved_at, approved_by, to_finance_at
      FROM settlement_payout WHERE month = $1
"""
MAKE_PAYOUT = """
    INSERT INTO settlement_payout (month, made_at, made_by) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING
"""
APPROVE_PAYOUT = """
    UPDATE settlement_payout SET approved_at = $2, approved_by = $3
     WHERE month = $1 AND approved_at IS NULL
"""
HAND_OVER = """
    UPDATE settlement_payout SET to_finance_at = $2
     WHERE approved_at IS NOT NULL AND to_finance_at IS NULL AND month <= $1
"""


async def payout(read: Connection, month: date) -> Payout | None:
    """Load the sheet of a calendar month."""
    return one(Payout, await read.fetchrow(PAYOUT, month))


async def make_payout(tx: Connection, month: date, *, now: datetime, actor: str) -> bool:
    """Close the list of what a month pays; False when it was closed."""
    return changed(await tx.execute(MAKE_PAYOUT, month, now, actor)) == 1


async def approve_payout(tx: Connection, month: date, *, now: datetime, actor: str) -> bool:
    """Approve a month's sheet; False when it was."""
    return changed(await tx.execute(APPROVE_PAYOUT, month, now, actor)) == 1


async def hand_over(tx: Connection, month: date, *, now: datetime) -> int:
    """Mark approved sheets up to a month as with finance; return how many."""
    return changed(await tx.execute(HAND_OVER, month, now))


PAYS_ANYTHING = "SELECT EXISTS (SELECT FROM settlement WHERE pay_month = $1)"


async def pays_anything(read: Connection, month: date) -> bool:
    """Whether anything was locked for a calendar month's payment."""
    found: bool = await read.fetchval(PAYS_ANYTHING, month)
    return found


# What is locked and not paid, of this calendar month or an earlier one.
UNPAID = f"""
    {COLUMNS}
     WHERE s.state = 'locked' AND s.pay_month <= $2 AND s.payable_fen > 0
     ORDER BY s.month, p.code
"""


async def unpaid(read: Connection, month: date, *, at: datetime) -> list[Settlement]:
    """List what waits to be paid in a calendar month, with what holds it."""
    return many(Settlement, await read.fetch(UNPAID, at, month))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What decides whether a settlement may be paid."""

    id: UUID
    state: State
    payable_fen: int
    held: list[str]
    approved: bool


# In one order, so that two who pay some of the same wait for one another; who holds one meanwhile
# is seen by the statement after this.
HOLD_THESE = "SELECT id FROM settlement WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE"
THESE = f"""
    SELECT s.id, s.state, s.payable_fen, {HELD.replace("$1", "$2")},
           EXISTS (SELECT FROM settlement_payout o
                    WHERE o.month = s.pay_month AND o.approved_at IS NOT NULL) AS approved
      FROM settlement s WHERE s.id = ANY($1::uuid[])
"""


async def hold_these(tx: Connection, ids: Sequence[UUID], *, at: datetime) -> list[Standing]:
    """Take some settlements for this transaction; return how they stand then."""
    await tx.execute(HOLD_THESE, list(ids))
    return many(Standing, await tx.fetch(THESE, list(ids), at))


# Only what is locked, free of holds, and on a sheet that was approved.
PAY = """
    WITH free AS (
        SELECT s.id, s.revision, s.payable_fen, s.sp_id FROM settlement s
          JOIN settlement_payout o ON o.month = s.pay_month AND o.approved_at IS NOT NULL
         WHERE s.id = ANY($1::uuid[]) AND s.state = 'locked' AND s.payable_fen > 0
           AND NOT EXISTS (SELECT FROM settlement_hold h
                            WHERE h.settlement_id = s.id AND h.cleared_at IS NULL)
           AND NOT EXISTS (SELECT FROM restriction r
                            WHERE r.sp_id = s.sp_id AND r.service_id IS NULL
                              AND r.measure = 'settlement_held' AND r.starts_at <= $3
                              AND (r.ends_at IS NULL OR r.ends_at > $3))
           FOR UPDATE OF s
    ), paid AS (
        UPDATE settlement s SET state = 'paid' FROM free
         WHERE s.id = free.id AND s.state = 'locked'
        RETURNING s.id, s.sp_id, s.revision, s.payable_fen
    ), kept AS (
        INSERT INTO settlement_payment (settlement_id, reference, amount_fen, paid_at, entered_by)
        SELECT id, $2, payable_fen, $3, $4 FROM paid
    ), told AS (
        INSERT INTO settlement_event (settlement_id, id, action, from_state, to_state, revision, at,
                                      actor, reason)
        SELECT id, gen_random_uuid(), 'pay', 'locked', 'paid', revision, $3, $4, $2 FROM paid
    )
    SELECT id, sp_id, payable_fen FROM paid ORDER BY id
"""


async def pay(
    tx: Connection, ids: Sequence[UUID], reference: str, *, now: datetime, actor: str
) -> list[tuple[UUID, UUID, int]]:
    """Mark as paid what may be paid; return (settlement, SP, fen) of each."""
    rows = await tx.fetch(PAY, list(ids), reference, now, actor)
    return [(row["id"], row["sp_id"], row["payable_fen"]) for row in rows]


LOCKED_STATEMENTS = """
    SELECT t.settlement_id, t.revision, t.sp_id, t.follows, t.body, t.sha256, t.payable_fen,
           t.drawn_at
      FROM settlement_lock l
      JOIN settlement_statement t ON t.settlement_id = l.settlement_id AND t.revision = l.revision
     WHERE l.sp_id = $1 AND ($2::date IS NULL OR l.month = $2) ORDER BY l.month
"""


async def locked_statements(
    read: Connection, sp_id: UUID, month: date | None = None
) -> list[Stored]:
    """Load an SP's locked statements, oldest first: the chain, or that of one month."""
    return many(Stored, await read.fetch(LOCKED_STATEMENTS, sp_id, month))
