"""The three reports that may hold a month. Writes `settlement_report`.

Each is a pass over the month for all SPs at once. What it says of a number, `held_queries` says of one
SP's numbers alone: the two go together.
"""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from spms.core.db import Connection, changed, many
from spms.core.money import BASIS_POINTS
from spms.settlement.count_queries import BARRED, LONGEST_SECONDS
from spms.settlement.model import Report, SettlementRules, Window

# $1 from, $2 until, $3 the cut-off. What each number paid an SP.
PAID = """(
    SELECT sp_id, msisdn, sum(price_fen)::bigint AS fen, bool_or(kind = 'monthly') AS monthly{more}
      FROM charge_record
     WHERE charged_at >= $1 AND charged_at < $2 AND received_at < $3{of}
     GROUP BY sp_id, msisdn) paid
"""
# Who wrote to an SP or was written to. A pack that let nothing go is not taken apart. Of the others, what
# was denied is hashed once for each pack (OFFSET 0 keeps it where it can be): to hold each place against
# all that were denied took the square of the pack's size.
USED = """(
    SELECT n.sp_id, m.msisdn FROM message_in m JOIN access_number n ON n.number = m.called
     WHERE m.received_at >= $1 AND m.received_at < $2{of_access}
     UNION
    SELECT sp_id, msisdn FROM authorisation
     WHERE decided_at >= $1 AND decided_at < $2 AND purpose = 'message' AND allowed{of}
     UNION
    SELECT p.sp_id, asked.msisdn
      FROM decision_pack p
     CROSS JOIN LATERAL (
           SELECT a.msisdn
             FROM unnest(string_to_array(p.numbers, ',')) WITH ORDINALITY AS a (msisdn, place)
            WHERE a.place NOT IN (SELECT unnest(p.denied)) OFFSET 0) asked
     WHERE p.decided_at >= $1 AND p.decided_at < $2
       AND p.decisions > cardinality(p.denied){of_pack}) used
"""
_ALL = {"of": "", "of_access": "", "of_pack": ""}
HEAVY = "(paid.fen >= $4::bigint OR paid.msisdn = s.responsible_mobile)"

# 沉默用户: pay by the month, and neither wrote to the SP nor were written to. 自消费: the SP's own
# numbers, and numbers that pay it so much that few people would. One walk over the charges for both.
PAYERS = f"""
    SELECT paid.sp_id, count(*) AS numbers, sum(paid.fen)::bigint AS fen,
           count(*) FILTER (WHERE paid.monthly) AS monthly,
           count(*) FILTER (WHERE paid.monthly AND used.msisdn IS NULL) AS silent,
           COALESCE(sum(paid.fen) FILTER (WHERE {HEAVY}), 0)::bigint AS heavy_fen
      FROM {PAID.format(more="", **_ALL)}
      JOIN sp s ON s.id = paid.sp_id
      LEFT JOIN {USED.format(**_ALL)}
        ON used.sp_id = paid.sp_id AND used.msisdn = paid.msisdn
     GROUP BY paid.sp_id
"""
# 欠费集中: charges of numbers that were barred for arrears by the cut-off.
ARREARS = f"""
    WITH {BARRED.replace("$4", "$3")}
    SELECT f.sp_id, f.amount_fen AS whole, COALESCE(a.part, 0) AS part,
           COALESCE(a.numbers, 0) AS numbers
      FROM settlement_figure f
      LEFT JOIN (
           SELECT c.sp_id, sum(c.price_fen)::bigint AS part,
                  count(DISTINCT c.msisdn) AS numbers
             FROM barred b
             JOIN charge_record c ON c.msisdn = b.msisdn
              AND c.charged_at >= $1 AND c.charged_at < $2 AND c.received_at < $3
            WHERE b.state_after <> 'active' AND b.reason = 'arrears'
            GROUP BY c.sp_id) a ON a.sp_id = f.sp_id
     WHERE f.month = $4 AND f.kind = 'charged'
"""

KEEP_REPORTS = """
    INSERT INTO settlement_report (month, sp_id, kind, part, whole, numbers, share_bp, threshold_bp,
                                   flagged)
    SELECT $1, u.sp_id, $2, u.part, u.whole, u.numbers, u.share_bp, $3, u.flagged
      FROM unnest($4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[], $8::int[], $9::bool[])
        AS u (sp_id, part, whole, numbers, share_bp, flagged)
    ON CONFLICT DO NOTHING
"""


async def _report(
    tx: Connection,
    kind: str,
    rows: Iterable[tuple[UUID, int, int, int]],
    *,
    month: date,
    threshold_bp: int,
    least: int,
) -> int:
    """Keep what part of each SP's whole looks wrong, and whether it is enough to hold it.

    `rows`: SP, part, whole, and over how many numbers.
    """
    found = [(*row, row[1] * BASIS_POINTS // row[2]) for row in rows if row[2] > 0]
    flagged = [each[3] >= least and each[4] >= threshold_bp for each in found]
    status = await tx.execute(
        KEEP_REPORTS, month, kind, threshold_bp, *([each[n] for each in found] for n in range(5)),
        flagged,
    )  # fmt: skip
    return changed(status)


async def look_at_payers(tx: Connection, window: Window, rules: SettlementRules) -> int:
    """Report who pays each SP: how many never used it, how much comes from few or from its own."""
    when = (window.from_at, window.until_at, window.cut_off_at)
    rows = await tx.fetch(PAYERS, *when, rules.heavy_fen, timeout=LONGEST_SECONDS)
    silent = await _report(
        tx, "silent_users",
        ((row["sp_id"], row["silent"], row["monthly"], row["monthly"]) for row in rows),
        month=window.month, threshold_bp=rules.silent_bp, least=rules.report_least,
    )  # fmt: skip
    return silent + await _report(
        tx, "self_consumption",
        ((row["sp_id"], row["heavy_fen"], row["fen"], row["numbers"]) for row in rows),
        month=window.month, threshold_bp=rules.self_consumption_bp, least=rules.report_least,
    )  # fmt: skip


async def look_arrears(tx: Connection, window: Window, rules: SettlementRules) -> int:
    """Report how much of each SP's month is on numbers barred for arrears."""
    when = (window.from_at, window.until_at, window.cut_off_at)
    rows = await tx.fetch(ARREARS, *when, window.month, timeout=LONGEST_SECONDS)
    return await _report(
        tx, "arrears",
        ((row["sp_id"], row["part"], row["whole"], row["numbers"]) for row in rows),
        month=window.month, threshold_bp=rules.arrears_bp, least=rules.report_least,
    )  # fmt: skip


REPORTS = """
    SELECT month, sp_id, kind, part, whole, numbers, share_bp, threshold_bp, flagged
      FROM settlement_report WHERE month = $1 ORDER BY flagged DESC, sp_id, kind
"""


async def reports(read: Connection, month: date) -> list[Report]:
    """Load a month's reports, those that hold a settlement first."""
    return many(Report, await read.fetch(REPORTS, month))
