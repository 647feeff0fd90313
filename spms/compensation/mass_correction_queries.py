"""Statements about mass corrections. Writes `mass_correction` and `mass_correction_person`."""

from datetime import datetime
from uuid import UUID

from spms.compensation.mass_correction_model import (
    Correction,
    CorrectionState,
    Extent,
    Person,
    Progress,
)
from spms.compensation.model import Disputed, Opening
from spms.compensation.queries import Before
from spms.core.db import Connection, changed, many, one

EXTENT = """
    SELECT count(*) AS charges, count(DISTINCT c.msisdn) AS numbers,
           COALESCE(sum(GREATEST(0, c.price_fen - $4 - COALESCE(t.principal_fen, 0))
               + GREATEST(0, (c.price_fen - $4) * $7 - COALESCE(t.compensation_fen, 0))), 0)::bigint
               AS owed_fen
      FROM charge_record c
      LEFT JOIN refund_total t ON t.msisdn = c.msisdn AND t.charge_id = c.id
     WHERE c.sp_id = $1 AND c.service_id = $2 AND c.price_fen = $3
       AND c.charged_at >= $5 AND c.charged_at < $6
       AND COALESCE(t.honoured_due_fen, c.price_fen) > $4
"""


async def extent(
    read: Connection,
    *,
    sp_id: UUID,
    service_id: UUID,
    wrong_fen: int,
    due_fen: int,
    from_at: datetime,
    until_at: datetime,
    on_top: int,
) -> Extent:
    """Count what is to be put right: charges, people, fen; `on_top` multiples besides the first."""
    (row,) = await read.fetch(
        EXTENT, sp_id, service_id, wrong_fen, due_fen, from_at, until_at, on_top
    )
    return many(Extent, [row])[0]


PROPOSE = """
    INSERT INTO mass_correction (id, service_id, sp_id, wrong_fen, due_fen, from_at, until_at,
        cause, bearer, reason, apology, state, charges, numbers, owed_fen, receivable_before_fen,
        proposed_at, proposed_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'proposed', $12, $13, $14, $15, $16, $17)
"""


async def propose(tx: Connection, row: Correction) -> None:
    """Write a proposal."""
    await tx.execute(
        PROPOSE, row.id, row.service_id, row.sp_id, row.wrong_fen, row.due_fen, row.from_at,
        row.until_at, row.cause, row.bearer, row.reason, row.apology, row.charges, row.numbers,
        row.owed_fen, row.receivable_before_fen, row.proposed_at, row.proposed_by,
    )  # fmt: skip


CORRECTIONS = """
    SELECT id, service_id, sp_id, wrong_fen, due_fen, from_at, until_at, cause, bearer, reason,
           apology, state, charges, numbers, owed_fen, receivable_before_fen, proposed_at,
           proposed_by, decided_at, decided_by, charges_done, refunded, refunded_fen, told,
           finished_at
      FROM mass_correction
     WHERE ($1::uuid IS NULL OR id = $1)
       AND ($2::timestamptz IS NULL OR (proposed_at, id) < ($2, $3::uuid))
     ORDER BY proposed_at DESC, id DESC LIMIT $4
"""


async def corrections(
    read: Connection,
    *,
    correction_id: UUID | None = None,
    before: Before | None = None,
    limit: int = 1,
) -> list[Correction]:
    """Load corrections, newest first, or one."""
    at, last = before or (None, None)
    return many(Correction, await read.fetch(CORRECTIONS, correction_id, at, last, limit))


DECIDE = """
    UPDATE mass_correction SET state = $2, decided_at = $3, decided_by = $4
     WHERE id = $1 AND state = 'proposed' AND proposed_by <> $4
"""


async def decide(
    tx: Connection, correction_id: UUID, state: CorrectionState, *, now: datetime, actor: str
) -> bool:
    """Approve or decline; False when it was decided before, or by who proposed it."""
    return changed(await tx.execute(DECIDE, correction_id, state, now, actor)) == 1


TAKE = """
    SELECT id, service_id, sp_id, wrong_fen, due_fen, from_at, until_at, cause, bearer, reason,
           apology, state, charges, numbers, owed_fen, receivable_before_fen, proposed_at,
           proposed_by, decided_at, decided_by, charges_done, refunded, refunded_fen, told,
           finished_at, cursor_at, cursor_id
      FROM mass_correction WHERE state IN ('refunding', 'telling')
     ORDER BY decided_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""


async def take(tx: Connection) -> Progress | None:
    """Hold one correction that has work left, which nobody else holds."""
    return one(Progress, await tx.fetchrow(TAKE))


CHUNK = """
    SELECT c.msisdn, c.id AS charge_id, c.charged_at, c.sp_id, s.name AS service_name,
           c.price_fen AS charged_fen, n.epoch, n.epoch_since, n.state AS number_state, n.language,
           COALESCE((SELECT jsonb_agg(jsonb_build_object('kind', f.kind, 'due_fen', f.due_fen))
                       FROM charge_finding f
                      WHERE f.msisdn = c.msisdn AND f.charge_id = c.id), '[]') AS faults,
           COALESCE((SELECT max(k.round) FROM claim k
                      WHERE k.msisdn = c.msisdn AND k.charge_id = c.id), 0) AS round,
           COALESCE(t.principal_fen, 0) AS principal_fen,
           COALESCE(t.compensation_fen, 0) AS compensation_fen,
           COALESCE(t.honoured_due_fen, c.price_fen) AS honoured_due_fen
      FROM (SELECT * FROM charge_record
             WHERE sp_id = $1 AND service_id = $2 AND price_fen = $3
               AND charged_at >= COALESCE($6::timestamptz, $4::timestamptz) AND charged_at < $5
               AND ($6::timestamptz IS NULL OR (charged_at, id) > ($6, $7::uuid))
             ORDER BY charged_at, id LIMIT $8) c
      JOIN service s ON s.id = c.service_id
      LEFT JOIN number n ON n.msisdn = c.msisdn
      LEFT JOIN refund_total t ON t.msisdn = c.msisdn AND t.charge_id = c.id
     ORDER BY c.charged_at, c.id
"""


async def chunk(read: Connection, row: Progress, limit: int) -> list[Disputed]:
    """Load the next charges after the cursor, in the order of (charged_at, id)."""
    found = await read.fetch(
        CHUNK, row.sp_id, row.service_id, row.wrong_fen, row.from_at, row.until_at, row.cursor_at,
        row.cursor_id, limit,
    )  # fmt: skip
    return many(Disputed, found)


ADD_PEOPLE = """
    INSERT INTO mass_correction_person AS p (msisdn, correction_id, charges, amount_fen)
    SELECT msisdn, $1, count(*), sum(fen)::bigint FROM unnest($2::text[], $3::bigint[])
        AS w (msisdn, fen)
     GROUP BY msisdn ORDER BY msisdn
    ON CONFLICT (msisdn, correction_id) DO UPDATE
       SET charges = p.charges + EXCLUDED.charges, amount_fen = p.amount_fen + EXCLUDED.amount_fen
"""
MOVE_ON = """
    UPDATE mass_correction
       SET cursor_at = $2, cursor_id = $3, charges_done = charges_done + $4,
           refunded = refunded + $5, refunded_fen = refunded_fen + $6
     WHERE id = $1
"""


async def move_on(
    tx: Connection, correction_id: UUID, last: Disputed, seen: int, opened: list[Opening]
) -> None:
    """Move the cursor, and add to what each person gets back."""
    fen = [sum(line.booking.amount_fen for line in one.lines) for one in opened]
    await tx.execute(ADD_PEOPLE, correction_id, [one.disputed.msisdn for one in opened], fen)
    await tx.execute(
        MOVE_ON, correction_id, last.charged_at, last.charge_id, seen, len(opened), sum(fen)
    )


ADVANCE = """
    UPDATE mass_correction
       SET state = $2, finished_at = CASE WHEN $2 = 'done' THEN $3::timestamptz END
     WHERE id = $1
"""


async def advance(
    tx: Connection, correction_id: UUID, state: CorrectionState, *, now: datetime
) -> None:
    """Go on to the next part."""
    await tx.execute(ADVANCE, correction_id, state, now)


TELL = """
    WITH due AS (
        SELECT msisdn FROM mass_correction_person
         WHERE correction_id = $1 AND told_at IS NULL ORDER BY msisdn LIMIT $2
    ), marked AS (
        UPDATE mass_correction_person p SET told_at = $3
          FROM due WHERE p.correction_id = $1 AND p.msisdn = due.msisdn
        RETURNING p.msisdn, p.charges, p.amount_fen
    ), counted AS (
        UPDATE mass_correction SET told = told + (SELECT count(*) FROM marked) WHERE id = $1
    )
    SELECT m.msisdn, m.charges, m.amount_fen,
           COALESCE(n.epoch_since <= $4 AND n.state <> 'terminated', false) AS told
      FROM marked m LEFT JOIN number n ON n.msisdn = m.msisdn ORDER BY m.msisdn
"""


async def tell(tx: Connection, row: Progress, limit: int, *, now: datetime) -> list[Person]:
    """Mark some people as told and return them.

    A number that changed hands since the correction's time began is not written to: the present
    holder must not learn about another's charges.
    """
    return many(Person, await tx.fetch(TELL, row.id, limit, now, row.from_at))
