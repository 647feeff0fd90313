"""What a month is counted with: one statement for each kind of figure, all SPs at once.

Writes `settlement_figure`. Each is a pass over the month's partition of one table. A charge belongs
to the first month that ends after it was made and was not cut off before it came; late ones are
found by when they came.
"""

from typing import Final
from uuid import UUID

from spms.core.db import Connection, changed, many
from spms.settlement.model import Figure, Window

LONGEST_SECONDS: Final = 1800
PATIENCE = f"SELECT set_config('statement_timeout', '{LONGEST_SECONDS}s', true)"


async def be_patient(tx: Connection) -> None:
    """Let the statements of this transaction take as long as a pass over a month takes."""
    await tx.execute(PATIENCE)


# $1 from, $2 until, $3 the cut-off before, $4 the cut-off, $5 one SP or null.
_IN_MONTH = "c.charged_at >= $1 AND c.charged_at < $2 AND c.received_at < $4"
_LATE = "c.charged_at < $1 AND c.received_at >= $3 AND c.received_at < $4"
_OF_SP = "($5::uuid IS NULL OR c.sp_id = $5)"

CHARGES = f"""
    SELECT c.sp_id, 'charged' AS kind, count(*) AS records, sum(c.price_fen)::bigint AS amount_fen
      FROM charge_record c WHERE {_IN_MONTH} AND {_OF_SP} GROUP BY c.sp_id
    UNION ALL
    SELECT c.sp_id, 'late', count(*), sum(c.price_fen)::bigint
      FROM charge_record c WHERE {_LATE} AND {_OF_SP} GROUP BY c.sp_id
"""

# The state of a number at the cut-off is that of its latest event by then.
BARRED = """
    barred AS MATERIALIZED (
        SELECT DISTINCT ON (e.msisdn) e.msisdn, e.state_after, e.reason
          FROM number_event e
         WHERE e.effective_at <= $4
           AND e.msisdn IN (SELECT msisdn FROM number_event WHERE state_after <> 'active')
         ORDER BY e.msisdn, e.effective_at DESC
    )
"""
# What went back to the subscriber is off already, as a refund.
CONTROLLED = f"""
    WITH {BARRED}
    SELECT c.sp_id, 'controlled' AS kind, count(*) AS records,
           sum(GREATEST(0, c.price_fen - COALESCE(t.principal_fen, 0)))::bigint AS amount_fen
      FROM barred b
      JOIN charge_record c ON c.msisdn = b.msisdn AND (({_IN_MONTH}) OR ({_LATE}))
      LEFT JOIN refund_total t ON t.msisdn = c.msisdn AND t.charge_id = c.id
     WHERE b.state_after <> 'active' AND {_OF_SP}
     GROUP BY c.sp_id
"""

# First multiples at the SP's cost, as the book has them: whose there are any has a statement. What of them
# was taken back, it reads there when it is drawn.
ADVANCED = """
    SELECT c.sp_id, 'advanced' AS kind, count(*) FILTER (WHERE c.debit = 'sp_receivable') AS records,
           GREATEST(0, sum(CASE WHEN c.debit = 'sp_receivable' THEN c.amount_fen
                                ELSE -c.amount_fen END))::bigint AS amount_fen
      FROM posting c
     WHERE c.at >= $3 AND c.at < $4 AND 'sp_receivable' IN (c.debit, c.credit)
       AND c.reason IN ('refund_principal', 'unwind_sp_share', 'unwind_operator_share')
       AND c.reverses IS NULL
       AND c.sp_id IS NOT NULL AND ($5::uuid IS NULL OR c.sp_id = $5)
       AND $1::timestamptz < $2::timestamptz
     GROUP BY c.sp_id
"""

MESSAGES = """
    SELECT sp_id, 'mt' AS kind, sum(records)::bigint AS records, 0::bigint AS amount_fen
      FROM (SELECT a.sp_id, count(*) AS records
              FROM authorisation a
             WHERE a.decided_at >= $1 AND a.decided_at < $2 AND a.purpose = 'message' AND a.allowed
               AND ($5::uuid IS NULL OR a.sp_id = $5)
             GROUP BY a.sp_id
            UNION ALL
            SELECT p.sp_id, sum(p.decisions - cardinality(p.denied))
              FROM decision_pack p
             WHERE p.decided_at >= $1 AND p.decided_at < $2
               AND p.decisions > cardinality(p.denied)
               AND ($5::uuid IS NULL OR p.sp_id = $5)
             GROUP BY p.sp_id) mt
     GROUP BY sp_id
    UNION ALL
    SELECT n.sp_id, 'mo', count(*), 0::bigint
      FROM message_in m JOIN access_number n ON n.number = m.called
     WHERE m.received_at >= $1 AND m.received_at < $2
       AND ($5::uuid IS NULL OR n.sp_id = $5)
       AND $3::timestamptz < $4::timestamptz
     GROUP BY n.sp_id
"""

KEEP_FIGURES = """
    INSERT INTO settlement_figure (month, sp_id, kind, records, amount_fen)
    SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::bigint[])
    ON CONFLICT DO NOTHING
"""


async def _count(
    read: Connection, statement: str, window: Window, sp_id: UUID | None = None
) -> list[Figure]:
    rows = await read.fetch(
        statement, window.from_at, window.until_at, window.cut_off_before, window.cut_off_at,
        sp_id, timeout=LONGEST_SECONDS,
    )  # fmt: skip
    return many(Figure, rows)


async def _keep(tx: Connection, statement: str, window: Window) -> int:
    """Count, then keep: PostgreSQL counts on all cores only where nothing is written meanwhile."""
    found = await _count(tx, statement, window)
    status = await tx.execute(
        KEEP_FIGURES, window.month, [each.sp_id for each in found], [each.kind for each in found],
        [each.records for each in found], [each.amount_fen for each in found],
    )  # fmt: skip
    return changed(status)


async def count_charges(tx: Connection, window: Window) -> int:
    """Count what each SP's month was charged, late charges of earlier months apart."""
    return await _keep(tx, CHARGES, window)


async def count_controlled(tx: Connection, window: Window) -> int:
    """Count the charges of numbers that were suspended or terminated by the cut-off."""
    return await _keep(tx, CONTROLLED, window)


async def count_advanced(tx: Connection, window: Window) -> int:
    """Count first multiples advanced since the last cut-off."""
    return await _keep(tx, ADVANCED, window)


async def count_messages(tx: Connection, window: Window) -> int:
    """Count messages to and from subscribers."""
    return await _keep(tx, MESSAGES, window)


async def count_now(read: Connection, window: Window, sp_id: UUID) -> list[Figure]:
    """Count one SP's month without keeping it: for a preview."""
    found: list[Figure] = []
    for statement in (CHARGES, CONTROLLED, ADVANCED, MESSAGES):
        found += await _count(read, statement, window, sp_id)
    return found
