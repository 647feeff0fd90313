"""What a month is counted with: one statement for each kind of figure, all SPs at once.

Writes `settlement_figure` and `settlement_report`. Each is a pass over the month's partition of one
table. A charge belongs to the first month that ends after it was made and was not cut off before it
came; late ones are found by when they came.
"""

from datetime import date
from typing import Final
from uuid import UUID

from spms.core.db import Connection, changed, many
from spms.settlement.model import Figure, Report, SettlementRules, Window

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
_BARRED = """
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
    WITH {_BARRED}
    SELECT c.sp_id, 'controlled' AS kind, count(*) AS records,
           sum(GREATEST(0, c.price_fen - COALESCE(t.principal_fen, 0)))::bigint AS amount_fen
      FROM barred b
      JOIN charge_record c ON c.msisdn = b.msisdn AND (({_IN_MONTH}) OR ({_LATE}))
      LEFT JOIN refund_total t ON t.msisdn = c.msisdn AND t.charge_id = c.id
     WHERE b.state_after <> 'active' AND {_OF_SP}
     GROUP BY c.sp_id
"""

# First multiples at the SP's cost, as the book has them; what was reversed or unwound is not owed.
ADVANCED = """
    SELECT c.sp_id, 'advanced' AS kind, count(*) FILTER (WHERE c.debit = 'sp_receivable') AS records,
           GREATEST(0, sum(CASE WHEN c.debit = 'sp_receivable' THEN c.amount_fen
                                ELSE -c.amount_fen END))::bigint AS amount_fen
      FROM posting c
     WHERE c.at >= $3 AND c.at < $4 AND 'sp_receivable' IN (c.debit, c.credit)
       AND c.reason IN ('refund_principal', 'unwind_sp_share', 'unwind_operator_share')
       AND c.sp_id IS NOT NULL AND ($5::uuid IS NULL OR c.sp_id = $5)
       AND $1::timestamptz < $2::timestamptz
     GROUP BY c.sp_id
"""

MESSAGES = """
    SELECT a.sp_id, 'mt' AS kind, count(*) AS records, 0::bigint AS amount_fen
      FROM authorisation a
     WHERE a.decided_at >= $1 AND a.decided_at < $2 AND a.purpose = 'message' AND a.allowed
       AND ($5::uuid IS NULL OR a.sp_id = $5)
     GROUP BY a.sp_id
    UNION ALL
    SELECT n.sp_id, 'mo', count(*), 0::bigint
      FROM message_in m JOIN access_number n ON n.number = m.called
     WHERE m.received_at >= $1 AND m.received_at < $2
       AND ($5::uuid IS NULL OR n.sp_id = $5)
       AND $3::timestamptz < $4::timestamptz
     GROUP BY n.sp_id
"""

_FIGURE = """settlement_figure (month, sp_id, kind, records, amount_fen)
    SELECT $6, sp_id, kind, records, amount_fen"""
COUNT_CHARGES = f"INSERT INTO {_FIGURE} FROM ({CHARGES}) counted ON CONFLICT DO NOTHING"
COUNT_CONTROLLED = f"INSERT INTO {_FIGURE} FROM ({CONTROLLED}) counted ON CONFLICT DO NOTHING"
COUNT_ADVANCED = f"INSERT INTO {_FIGURE} FROM ({ADVANCED}) counted ON CONFLICT DO NOTHING"
COUNT_MESSAGES = f"INSERT INTO {_FIGURE} FROM ({MESSAGES}) counted ON CONFLICT DO NOTHING"


async def _keep(tx: Connection, statement: str, window: Window) -> int:
    status = await tx.execute(
        statement, window.from_at, window.until_at, window.cut_off_before, window.cut_off_at,
        None, window.month, timeout=LONGEST_SECONDS,
    )  # fmt: skip
    return changed(status)


async def count_charges(tx: Connection, window: Window) -> int:
    """Count what each SP's month was charged, late charges of earlier months apart."""
    return await _keep(tx, COUNT_CHARGES, window)


async def count_controlled(tx: Connection, window: Window) -> int:
    """Count the charges of numbers that were suspended or terminated by the cut-off."""
    return await _keep(tx, COUNT_CONTROLLED, window)


async def count_advanced(tx: Connection, window: Window) -> int:
    """Count first multiples advanced since the last cut-off."""
    return await _keep(tx, COUNT_ADVANCED, window)


async def count_messages(tx: Connection, window: Window) -> int:
    """Count messages to and from subscribers."""
    return await _keep(tx, COUNT_MESSAGES, window)


async def count_now(read: Connection, window: Window, sp_id: UUID) -> list[Figure]:
    """Count one SP's month without keeping it: for a preview."""
    found: list[Figure] = []
    for statement in (CHARGES, CONTROLLED, ADVANCED, MESSAGES):
        rows = await read.fetch(
            statement, window.from_at, window.until_at, window.cut_off_before, window.cut_off_at,
            sp_id,
        )  # fmt: skip
        found += [Figure(**dict(row)) for row in rows]
    return found


_REPORT = """settlement_report (month, sp_id, kind, part, whole, numbers, share_bp, threshold_bp,
                                   flagged)
    SELECT $1::date, sp_id, kind, part, whole, numbers, part * 10000 / whole, $4::int,
           numbers >= $5::bigint AND part * 10000 / whole >= $4::int"""
_ONCE = "found WHERE whole > 0 ON CONFLICT DO NOTHING"

# 沉默用户: pay by the month, and neither wrote to the SP nor were written to.
REPORT_SILENT = f"""
    INSERT INTO {_REPORT} FROM (
    SELECT p.sp_id, 'silent_users' AS kind, count(*) AS whole,
           count(*) FILTER (WHERE u.msisdn IS NULL) AS part, count(*) AS numbers
      FROM (SELECT DISTINCT sp_id, msisdn FROM charge_record
             WHERE charged_at >= $2 AND charged_at < $3 AND received_at < $6
               AND kind = 'monthly') p
      LEFT JOIN (
           SELECT n.sp_id, m.msisdn FROM message_in m JOIN access_number n ON n.number = m.called
            WHERE m.received_at >= $2 AND m.received_at < $3
           UNION
           SELECT sp_id, msisdn FROM authorisation
            WHERE decided_at >= $2 AND decided_at < $3 AND purpose = 'message' AND allowed) u
        ON u.sp_id = p.sp_id AND u.msisdn = p.msisdn
     GROUP BY p.sp_id
    ) {_ONCE}
"""
# 自消费: the SP's own numbers, and numbers that pay it so much that few people would.
REPORT_HEAVY = f"""
    INSERT INTO {_REPORT} FROM (
    SELECT c.sp_id, 'self_consumption' AS kind, sum(c.fen)::bigint AS whole, count(*) AS numbers,
           COALESCE(sum(c.fen) FILTER (WHERE c.fen >= $6::bigint
               OR c.msisdn = s.responsible_mobile), 0)::bigint AS part
      FROM (SELECT sp_id, msisdn, sum(price_fen)::bigint AS fen FROM charge_record
             WHERE charged_at >= $2 AND charged_at < $3 AND received_at < $7
             GROUP BY sp_id, msisdn) c
      JOIN sp s ON s.id = c.sp_id
     GROUP BY c.sp_id
    ) {_ONCE}
"""
# 欠费集中: charges of numbers that were barred for arrears by the cut-off.
REPORT_ARREARS = f"""
    INSERT INTO {_REPORT} FROM (
    WITH {_BARRED.replace("$4", "$6::timestamptz")}
    SELECT f.sp_id, 'arrears' AS kind, f.amount_fen AS whole, COALESCE(a.part, 0) AS part,
           COALESCE(a.numbers, 0) AS numbers
      FROM settlement_figure f
      LEFT JOIN (
           SELECT c.sp_id, sum(c.price_fen)::bigint AS part,
                  count(DISTINCT c.msisdn) AS numbers
             FROM barred b
             JOIN charge_record c ON c.msisdn = b.msisdn
              AND c.charged_at >= $2 AND c.charged_at < $3 AND c.received_at < $6
            WHERE b.state_after <> 'active' AND b.reason = 'arrears'
            GROUP BY c.sp_id) a ON a.sp_id = f.sp_id
     WHERE f.month = $1 AND f.kind = 'charged'
    ) {_ONCE}
"""


async def look_silent(tx: Connection, window: Window, rules: SettlementRules) -> int:
    """Report how many of each SP's monthly payers never used what they pay for."""
    status = await tx.execute(
        REPORT_SILENT, window.month, window.from_at, window.until_at, rules.silent_bp,
        rules.report_least, window.cut_off_at, timeout=LONGEST_SECONDS,
    )  # fmt: skip
    return changed(status)


async def look_heavy(tx: Connection, window: Window, rules: SettlementRules) -> int:
    """Report how much of each SP's month comes from few numbers or from its own."""
    status = await tx.execute(
        REPORT_HEAVY, window.month, window.from_at, window.until_at, rules.self_consumption_bp,
        rules.report_least, rules.heavy_fen, window.cut_off_at, timeout=LONGEST_SECONDS,
    )  # fmt: skip
    return changed(status)


async def look_arrears(tx: Connection, window: Window, rules: SettlementRules) -> int:
    """Report how much of each SP's month is on numbers barred for arrears."""
    status = await tx.execute(
        REPORT_ARREARS, window.month, window.from_at, window.until_at, rules.arrears_bp,
        rules.report_least, window.cut_off_at, timeout=LONGEST_SECONDS,
    )  # fmt: skip
    return changed(status)


REPORTS = """
    SELECT month, sp_id, kind, part, whole, numbers, share_bp, threshold_bp, flagged
      FROM settlement_report WHERE month = $1 ORDER BY flagged DESC, sp_id, kind
"""


async def reports(read: Connection, month: date) -> list[Report]:
    """Load a month's reports, those that hold a settlement first."""
    return many(Report, await read.fetch(REPORTS, month))
