"""Statements about mass corrections. Writes `mass_correction`, its lanes, its list and persons."""

from datetime import datetime
from uuid import UUID

from spms.compensation.claim_queries import Before
from spms.compensation.mass_correction_model import (
    Correction,
    CorrectionState,
    Extent,
    Person,
    Progress,
)
from spms.core.db import Connection, changed, many, one

EXTENT = """
    SELECT count(*) AS charges, count(DISTINCT c.msisdn) AS numbers,
           COALESCE(sum(GREATEST(0, c.price_fen - $4 - COALESCE(t.principal_fen, 0))
               + GREATEST(0, LEAST((c.price_fen - $4) * $7, $8::bigint)
                             - COALESCE(t.compensation_fen, 0))), 0)::bigint
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
    cap_fen: int | None,
) -> Extent:
    """Count what is to be put right: charges, people, fen.

    `on_top` multiples besides the first, for each charge `cap_fen` of them at most.
    """
    (row,) = await read.fetch(
        EXTENT,
        sp_id,
        service_id,
        wrong_fen,
        due_fen,
        from_at,
        until_at,
        on_top,
        cap_fen,
    )
    return many(Extent, [row])[0]


PROPOSE = """
    INSERT INTO mass_correction (id, service_id, sp_id, wrong_fen, due_fen, from_at, until_at,
        cause, bearer, reason, apology, state, charges, numbers, owed_fen, receivable_before_fen,
        proposed_at, proposed_by, second_bearer, rulebook_version, code, code_version)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'proposed', $12, $13, $14, $15, $16, $17,
            $18, $19, $20, $21)
"""


async def propose(tx: Connection, row: Correction) -> None:
    """Write a proposal."""
    await tx.execute(
        PROPOSE, row.id, row.service_id, row.sp_id, row.wrong_fen, row.due_fen, row.from_at,
        row.until_at, row.cause, row.bearer, row.reason, row.apology, row.charges, row.numbers,
        row.owed_fen, row.receivable_before_fen, row.proposed_at, row.proposed_by,
        row.second_bearer, row.rulebook_version, row.code, row.code_version,
    )  # fmt: skip


_COLUMNS = """
           c.id, c.service_id, c.sp_id, c.wrong_fen, c.due_fen, c.from_at, c.until_at, c.cause,
           COALESCE(c.code, c.cause) AS code, c.code_version, c.bearer,
           COALESCE(c.second_bearer, c.bearer) AS second_bearer, c.rulebook_version, c.reason,
           c.apology, c.state, c.charges, c.numbers, c.owed_fen,
           c.receivable_before_fen, c.proposed_at, c.proposed_by, c.decided_at, c.decided_by,
           d.charges_done, d.refunded, d.refunded_fen, c.told, c.looked_again_at, c.finished_at
"""
_DONE = """
      CROSS JOIN LATERAL (
           SELECT COALESCE(sum(charges_done), 0)::bigint AS charges_done,
                  COALESCE(sum(refunded), 0)::bigint AS refunded,
                  COALESCE(sum(refunded_fen), 0)::bigint AS refunded_fen
             FROM mass_correction_lane WHERE correction_id = c.id) d
"""
CORRECTIONS = f"""
    SELECT {_COLUMNS} FROM mass_correction c {_DONE}
     WHERE ($1::uuid IS NULL OR c.id = $1)
       AND ($2::timestamptz IS NULL OR (c.proposed_at, c.id) < ($2, $3::uuid))
     ORDER BY c.proposed_at DESC, c.id DESC LIMIT $4
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


TAKE_LISTING = f"""
    SELECT {_COLUMNS} FROM mass_correction c {_DONE}
     WHERE c.state = 'listing' ORDER BY c.decided_at, c.id LIMIT 1 FOR UPDATE OF c SKIP LOCKED
"""
TAKE_LANE = f"""
    SELECT {_COLUMNS}, l.lane, l.after_number, l.until_number
      FROM mass_correction c
      JOIN mass_correction_lane l ON l.correction_id = c.id AND NOT l.finished
      {_DONE}
     WHERE c.state = 'refunding'
     ORDER BY c.decided_at, c.id, l.charges_done, l.lane LIMIT 1 FOR UPDATE OF l SKIP LOCKED
"""
# Nothing is left to refund of it.
TAKE_REFUNDED = f"""
    SELECT {_COLUMNS} FROM mass_correction c {_DONE}
     WHERE c.state = 'refunding'
       AND NOT EXISTS (SELECT FROM mass_correction_lane l
                        WHERE l.correction_id = c.id AND NOT l.finished)
     ORDER BY c.decided_at, c.id LIMIT 1 FOR UPDATE OF c SKIP LOCKED
"""
TAKE_TELLING = f"""
    SELECT {_COLUMNS} FROM mass_correction c {_DONE}
     WHERE c.state = 'telling' ORDER BY c.decided_at, c.id LIMIT 1 FOR UPDATE OF c SKIP LOCKED
"""


async def take_listing(tx: Connection) -> Correction | None:
    """Hold one approved correction whose charges are not all listed, which nobody else holds."""
    return one(Correction, await tx.fetchrow(TAKE_LISTING))


async def take_lane(tx: Connection) -> Progress | None:
    """Hold one lane that has charges left, which nobody else holds."""
    return one(Progress, await tx.fetchrow(TAKE_LANE))


async def take_refunded(tx: Connection) -> Correction | None:
    """Hold one correction whose charges are all refunded, which nobody else holds."""
    return one(Correction, await tx.fetchrow(TAKE_REFUNDED))


async def take_telling(tx: Connection) -> Correction | None:
    """Hold one correction whose people are being told, which nobody else holds."""
    return one(Correction, await tx.fetchrow(TAKE_TELLING))


_AT_THE_WRONG_PRICE = """
        SELECT c.msisdn, c.charged_at, c.id
          FROM mass_correction m
          JOIN charge_record c
            ON c.sp_id = m.sp_id AND c.service_id = m.service_id AND c.price_fen = m.wrong_fen
           AND c.charged_at >= COALESCE(m.listed_at, m.from_at) AND c.charged_at < m.until_at
           AND (m.listed_at IS NULL OR (c.charged_at, c.id) > (m.listed_at, m.listed_id))
         WHERE m.id = $1"""
_KEPT = """ ORDER BY c.charged_at, c.id LIMIT $2
    ), kept AS (
        INSERT INTO mass_correction_charge (msisdn, correction_id, charge_id, charged_at)
        SELECT msisdn, $1, id, charged_at FROM next ORDER BY msisdn{again}
    )
    UPDATE mass_correction m SET listed_at = last.charged_at, listed_id = last.id
      FROM (SELECT charged_at, id FROM next ORDER BY charged_at DESC, id DESC LIMIT 1) last
     WHERE m.id = $1
    RETURNING (SELECT count(*) FROM next)
"""
LIST = f"WITH next AS MATERIALIZED ({_AT_THE_WRONG_PRICE} {_KEPT.format(again='')}"
# A landing may have begun before the listing and been committed after it; who is listed a second time
# is found refunded. A month that nothing came in for since is passed over by its index of arrivals.
LIST_LATE = f"""
    WITH next AS MATERIALIZED ({_AT_THE_WRONG_PRICE}
           AND c.received_at >= m.decided_at - interval '1 hour'
           {_KEPT.format(again=" ON CONFLICT DO NOTHING")}
"""


async def list_more(tx: Connection, row: Correction, limit: int) -> int:
    """List the next charges at the wrong price, in the order of time; return how many."""
    statement = LIST if row.looked_again_at is None else LIST_LATE
    return await tx.fetchval(statement, row.id, limit) or 0


LOOK_AGAIN = """
    UPDATE mass_correction
       SET state = 'listing', looked_again_at = $2, listed_at = NULL, listed_id = NULL
     WHERE id = $1 AND looked_again_at IS NULL
"""


async def look_again(tx: Connection, correction_id: UUID, *, now: datetime) -> bool:
    """Begin to list what came in meanwhile; False when that was done."""
    return changed(await tx.execute(LOOK_AGAIN, correction_id, now)) == 1


# A lane ends at a number that is listed, so none is empty; those of an earlier listing stay.
OPEN_LANES = """
    INSERT INTO mass_correction_lane (correction_id, lane, lanes, after_number, until_number)
    SELECT $1, before.lanes + row_number() OVER ends - 1, before.lanes + count(*) OVER (),
           lag(e.number, 1, '') OVER ends, e.number
      FROM (SELECT DISTINCT unnest(percentile_disc(
                       ARRAY(SELECT n::float8 / $2 FROM generate_series(1, $2::integer) n))
                   WITHIN GROUP (ORDER BY msisdn)) AS number
              FROM mass_correction_charge WHERE correction_id = $1) e,
           (SELECT count(*) AS lanes FROM mass_correction_lane WHERE correction_id = $1) before
     WHERE e.number IS NOT NULL
    WINDOW ends AS (ORDER BY e.number)
"""
FINISH_LANE = (
    "UPDATE mass_correction_lane SET finished = true WHERE correction_id = $1 AND lane = $2"
)


async def open_lanes(tx: Connection, correction_id: UUID, lanes: int) -> None:
    """Cut what is listed into so many stretches of numbers, and let the work begin."""
    await tx.execute(OPEN_LANES, correction_id, lanes)


async def finish_lane(tx: Connection, row: Progress) -> None:
    """Say that a lane has no more charges."""
    await tx.execute(FINISH_LANE, row.id, row.lane)


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


async def tell(tx: Connection, row: Correction, limit: int, *, now: datetime) -> list[Person]:
    """Mark some people as told and return them.

    A number that changed hands since the correction's time began is not written to: the present
    holder must not learn about another's charges.
    """
    return many(Person, await tx.fetch(TELL, row.id, limit, now, row.from_at))
