"""What statements are drawn from and kept with, many SPs at a time.

Writes `settlement_month`, `settlement`, `settlement_statement`, `settlement_step`.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many, one
from spms.core.ids import new_id
from spms.settlement import advance_queries as advances
from spms.settlement.life_model import Drawn, Stored
from spms.settlement.model import Figure, Stage, Window

_WINDOW = """
    SELECT month, from_at, until_at, cut_off_before, cut_off_at, rulebook_version, stage, done_until
      FROM settlement_month
"""
LATEST = f"{_WINDOW} ORDER BY month DESC LIMIT 1"
OF_MONTH = f"{_WINDOW} WHERE month = $1"
# One month after the other, each held by one worker at a time.
OPEN = f"{_WINDOW} WHERE stage <> 'sent' ORDER BY month FOR UPDATE SKIP LOCKED"


async def latest(read: Connection) -> Window | None:
    """Load the latest month that was opened."""
    return one(Window, await read.fetchrow(LATEST))


async def of_month(read: Connection, month: date) -> Window | None:
    """Load a month that is being settled or was."""
    return one(Window, await read.fetchrow(OF_MONTH, month))


async def take_open(tx: Connection) -> list[Window]:
    """Take the months that are not through, oldest first, unless another worker has them."""
    return many(Window, await tx.fetch(OPEN))


OPEN_MONTH = """
    INSERT INTO settlement_month (month, from_at, until_at, cut_off_before, cut_off_at,
                                  rulebook_version, opened_at, stage)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 'count_charges') ON CONFLICT DO NOTHING
"""


async def open_month(tx: Connection, window: Window, *, now: datetime) -> bool:
    """Begin to settle a month; False when that was done."""
    status = await tx.execute(
        OPEN_MONTH, window.month, window.from_at, window.until_at, window.cut_off_before,
        window.cut_off_at, window.rulebook_version, now,
    )  # fmt: skip
    return changed(status) == 1


ADVANCE = """
    UPDATE settlement_month SET stage = $3, done_until = $4
     WHERE month = $1 AND stage = $2 AND done_until IS NOT DISTINCT FROM $5
"""


async def advance(
    tx: Connection, window: Window, stage: Stage, done_until: UUID | None = None
) -> bool:
    """Move the recovery point, in the transaction that did the work; False when it was moved."""
    status = await tx.execute(
        ADVANCE, window.month, window.stage, stage, done_until, window.done_until
    )
    return changed(status) == 1


class SpRow(msgspec.Struct, frozen=True, kw_only=True):
    """An SP to be settled, with the statement before and what it owes."""

    id: UUID
    code: str
    name: str
    activated_at: datetime | None
    follows: bytes
    carried: dict[str, int]
    unbooked_fen: int
    """Of what was carried, fines that no lock has booked yet."""
    settlement_id: UUID | None
    revision: int
    owed_fen: int
    advanced_fen: int
    """First multiples of the month; negative: more was taken back than was advanced."""
    deposit_fen: int


# A fine is booked whole in the month it arises; before migration 0055 a month booked what it took, and
# what such a statement carried is booked by the next.
_SP = f""", before AS (
        SELECT s.id, k.*
          FROM chosen s CROSS JOIN LATERAL (
               SELECT k.sha256, k.carried, t.drawn_at,
                      (SELECT f.carried_fen FROM settlement_step f
                        WHERE f.settlement_id = k.settlement_id AND f.revision = k.revision
                          AND f.kind = 'fines' AND NOT f.inputs ? 'to_book_fen') AS unbooked_fen
                 FROM settlement_lock k
                 JOIN settlement_statement t
                   ON t.settlement_id = k.settlement_id AND t.revision = k.revision
                WHERE k.sp_id = s.id ORDER BY k.month DESC LIMIT 1) k
    ), booked AS (
        SELECT c.sp_id,
               GREATEST(0, sum(c.fen) FILTER (WHERE {advances.owed("$2")}))::bigint AS owed_fen,
               sum(c.fen) FILTER (WHERE {advances.first_multiple("$3", "$2", "b.drawn_at")})::bigint
                   AS advanced_fen,
               GREATEST(0, sum(CASE WHEN c.credit = 'deposits' THEN c.amount_fen
                                    WHEN c.debit = 'deposits' THEN -c.amount_fen
                                    ELSE 0 END))::bigint AS deposit_fen
          FROM {advances.LINES} c LEFT JOIN before b ON b.id = c.sp_id
         WHERE c.sp_id = ANY((SELECT array_agg(id) FROM chosen)::uuid[])
           AND ('sp_receivable' IN (c.debit, c.credit) OR 'deposits' IN (c.debit, c.credit))
         GROUP BY c.sp_id
    )
    SELECT s.id, s.code, s.name, s.activated_at, COALESCE(b.sha256, ''::bytea) AS follows,
           COALESCE(b.carried, '{{}}') AS carried, COALESCE(b.unbooked_fen, 0) AS unbooked_fen,
           t.id AS settlement_id, COALESCE(t.revision, 0) AS revision,
           COALESCE(p.owed_fen, 0) AS owed_fen, COALESCE(p.advanced_fen, 0) AS advanced_fen,
           COALESCE(p.deposit_fen, 0) AS deposit_fen
      FROM chosen s
      LEFT JOIN settlement t ON t.sp_id = s.id AND t.month = $1
      LEFT JOIN before b ON b.id = s.id
      LEFT JOIN booked p ON p.sp_id = s.id
     ORDER BY s.id
"""
# Whoever sells, and whoever has anything to be settled, whether it still sells or not.
NEXT_SPS = f"""
    WITH chosen AS (
        SELECT s.id, s.code, s.name, s.activated_at FROM sp s
         WHERE ($5::uuid IS NULL OR s.id > $5)
           AND ((s.status = 'active' AND s.activated_at < $4)
                OR EXISTS (SELECT FROM settlement_figure f WHERE f.month = $1 AND f.sp_id = s.id)
                OR EXISTS (SELECT FROM settlement_adjustment a
                            WHERE a.sp_id = s.id AND a.state = 'approved'
                              AND NOT EXISTS (SELECT FROM settlement_use u
                                               WHERE u.kind = 'adjustment' AND u.source_id = a.id))
                OR EXISTS (SELECT FROM posting p
                            WHERE p.msisdn = 'sp:' || s.id AND p.reason IN ('fine', 'clawback_due', 'clawback_first')
                              AND p.at < $2
                              AND NOT EXISTS (SELECT FROM settlement_use u
                                               WHERE u.kind = 'posting' AND u.source_id = p.id))
                OR EXISTS (SELECT FROM settlement_lock k
                             JOIN settlement_use u ON u.settlement_id = k.settlement_id
                                                  AND u.kind = 'breach'
                             JOIN breach b ON b.id = u.source_id AND b.state = 'quashed'
                            WHERE k.sp_id = s.id
                              AND NOT EXISTS (SELECT FROM settlement_use g
                                               WHERE g.kind = 'cut_back' AND g.source_id = b.id))
                OR EXISTS (SELECT FROM settlement_lock k
                            WHERE k.sp_id = s.id AND k.carried <> '{{}}'
                              AND NOT EXISTS (SELECT FROM settlement_lock later
                                               WHERE later.sp_id = s.id AND later.month > k.month)))
         ORDER BY s.id LIMIT $6
    ){_SP}
"""
THESE_SPS = f"""
    WITH chosen AS (
        SELECT s.id, s.code, s.name, s.activated_at FROM sp s WHERE s.id = ANY($4::uuid[])
    ){_SP}
"""


async def next_sps(read: Connection, window: Window, after: UUID | None, limit: int) -> list[SpRow]:
    """Load the SPs that follow one in the order of their ids."""
    rows = await read.fetch(
        NEXT_SPS,
        window.month,
        window.cut_off_at,
        window.cut_off_before,
        window.until_at,
        after,
        limit,
    )
    return many(SpRow, rows)


async def these_sps(read: Connection, window: Window, sp_ids: Sequence[UUID]) -> list[SpRow]:
    """Load some SPs."""
    rows = await read.fetch(
        THESE_SPS, window.month, window.cut_off_at, window.cut_off_before, list(sp_ids)
    )
    return many(SpRow, rows)


FIGURES = """
    SELECT sp_id, kind, records, amount_fen FROM settlement_figure
     WHERE month = $1 AND sp_id = ANY($2::uuid[]) ORDER BY sp_id, kind
"""


async def figures(read: Connection, month: date, sp_ids: Sequence[UUID]) -> list[Figure]:
    """Load what was counted of a month for some SPs."""
    return many(Figure, await read.fetch(FIGURES, month, list(sp_ids)))


class AdjustmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A correction that waits for a statement."""

    id: UUID
    sp_id: UUID
    kind: str
    amount_fen: int
    about: str


ADJUSTMENTS = """
    SELECT a.id, a.sp_id, a.kind, a.amount_fen, a.about FROM settlement_adjustment a
     WHERE a.sp_id = ANY($1::uuid[]) AND a.state = 'approved'
       AND NOT EXISTS (SELECT FROM settlement_use u
                        WHERE u.kind = 'adjustment' AND u.source_id = a.id)
     ORDER BY a.sp_id, a.proposed_at, a.id
"""


async def adjustments(read: Connection, sp_ids: Sequence[UUID]) -> list[AdjustmentRow]:
    """Load approved corrections that no locked statement took."""
    return many(AdjustmentRow, await read.fetch(ADJUSTMENTS, list(sp_ids)))


# A locked or paid one is not drawn again, whoever asks.
KEEP = """
    WITH drawn AS (
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::date[], $4::int[], $5::bigint[])
            AS d (id, sp_id, month, revision, payable_fen)
    ), before AS (
        SELECT s.id, s.state FROM settlement s JOIN drawn d ON d.id = s.id
    ), kept AS (
        INSERT INTO settlement AS s (id, sp_id, month, state, revision, payable_fen)
        SELECT id, sp_id, month, 'draft', revision, payable_fen FROM drawn
        ON CONFLICT (sp_id, month) DO UPDATE
           SET state = 'draft', revision = EXCLUDED.revision,
               payable_fen = EXCLUDED.payable_fen, object_until = NULL,
               confirmed_at = NULL
         WHERE s.state IN ('draft', 'disputed', 'confirmed')
           AND s.revision = EXCLUDED.revision - 1
        RETURNING s.id, s.revision
    ), statements AS (
        INSERT INTO settlement_statement (settlement_id, revision, sp_id, follows, body, sha256,
                                          payable_fen, carried, drawn_at)
        SELECT k.id, k.revision, d.sp_id, b.follows, b.body, b.sha256, d.payable_fen, b.carried, $10
          FROM kept k JOIN drawn d ON d.id = k.id
          JOIN unnest($1::uuid[], $6::bytea[], $7::text[], $8::bytea[], $9::jsonb[])
            AS b (id, follows, body, sha256, carried) ON b.id = k.id
    )
    INSERT INTO settlement_event (settlement_id, id, action, from_state, to_state, revision, at,
                                  actor, reason)
    SELECT k.id, e.event_id, CASE WHEN b.id IS NULL THEN 'draw' ELSE 'redraw' END, b.state, 'draft',
           k.revision, $10, $12, $13
      FROM kept k JOIN unnest($1::uuid[], $11::uuid[]) AS e (id, event_id) ON e.id = k.id
      LEFT JOIN before b ON b.id = k.id
"""
KEEP_STEPS = """
    INSERT INTO settlement_step (settlement_id, revision, step_no, kind, arising_fen, brought_fen,
                                 taken_fen, carried_fen, left_fen, inputs)
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::bigint[], $6::bigint[],
                         $7::bigint[], $8::bigint[], $9::bigint[], $10::jsonb[])
"""


async def keep(
    tx: Connection, drawn: Sequence[Drawn], *, now: datetime, actor: str, reason: str | None = None
) -> int:
    """Keep statements as drafts with their steps; return how many were."""
    status = await tx.execute(
        KEEP, [d.settlement_id for d in drawn], [d.sp_id for d in drawn],
        [d.month for d in drawn], [d.revision for d in drawn],
        [d.waterfall.payable_fen for d in drawn], [d.follows for d in drawn],
        [d.body for d in drawn], [d.sha256 for d in drawn],
        [d.waterfall.carried for d in drawn], now, [new_id() for _ in drawn], actor, reason,
    )  # fmt: skip
    if (kept := changed(status)) != len(drawn):
        return kept
    rows: list[tuple[Any, ...]] = [
        (d.settlement_id, d.revision, n, step.kind, step.arising_fen, step.brought_fen,
         step.taken_fen, step.carried_fen, step.left_fen, step.inputs)
        for d in drawn for n, step in enumerate(d.waterfall.steps, 1)
    ]  # fmt: skip
    await tx.execute(KEEP_STEPS, *[list(column) for column in zip(*rows, strict=True)])
    return kept


STATEMENT = """
    SELECT settlement_id, revision, sp_id, follows, body, sha256, payable_fen, drawn_at
      FROM settlement_statement
     WHERE settlement_id = $1 AND revision = $2
"""


async def statement(read: Connection, settlement_id: UUID, revision: int) -> Stored | None:
    """Load a statement as it was drawn."""
    return one(Stored, await read.fetchrow(STATEMENT, settlement_id, revision))
