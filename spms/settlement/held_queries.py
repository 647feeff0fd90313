"""The numbers under a report's hold: listed once, read a page at a time.

Writes `settlement_report_number`, and of `settlement_hold` when its numbers were listed. Each table that
is read for the list has an index that begins with the SP, or with its access number.
"""

from datetime import date, datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, changed, many, one
from spms.settlement.count_queries import LONGEST_SECONDS
from spms.settlement.model import Window
from spms.settlement.report_queries import HEAVY, PAID, USED


class Unlisted(msgspec.Struct, frozen=True, kw_only=True):
    """A report's hold whose numbers nobody has listed."""

    id: UUID
    sp_id: UUID
    month: date
    cause: str


# One at a time, whoever works: no row is locked while a month is read, so that a hold can be cleared.
NEXT = """
    SELECT h.id, s.sp_id, s.month, h.cause
      FROM settlement_hold h JOIN settlement s ON s.id = h.settlement_id
     WHERE h.listed_at IS NULL AND h.cleared_at IS NULL AND h.cause <> 'officer'
       AND pg_try_advisory_xact_lock(hashtext('list numbers under holds'))
     ORDER BY h.placed_at, h.id LIMIT 1
"""


async def next_unlisted(tx: Connection) -> Unlisted | None:
    """Return the oldest hold whose numbers are to be listed; None, too, while another works."""
    return one(Unlisted, await tx.fetchrow(NEXT))


_INTO = """settlement_report_number
        (msisdn, month, sp_id, kind, place, charges, amount_fen, last_charged_at)"""
_RANKED = """u.sp_id, $7, row_number() OVER (ORDER BY u.fen DESC, u.msisdn), u.charges, u.fen,
           u.last_charged_at"""
_OF_SP = {
    "of": " AND sp_id = $5::uuid", "of_access": " AND n.sp_id = $5::uuid",
    "of_pack": " AND p.sp_id = $5::uuid",
}  # fmt: skip
_PAID = PAID.format(more=", count(*) AS charges, max(charged_at) AS last_charged_at", **_OF_SP)
PAYERS = f"""
    INSERT INTO {_INTO}
    SELECT u.msisdn, $6, {_RANKED}
      FROM (SELECT paid.*
              FROM {_PAID}
              JOIN sp s ON s.id = paid.sp_id
              LEFT JOIN {USED.format(**_OF_SP)}
                ON used.sp_id = paid.sp_id AND used.msisdn = paid.msisdn
             WHERE ($7::text = 'silent_users' AND paid.monthly AND used.msisdn IS NULL)
                OR ($7 = 'self_consumption' AND {HEAVY})) u
    ON CONFLICT DO NOTHING
"""
ARREARS = f"""
    INSERT INTO {_INTO}
    SELECT u.msisdn, $6, {_RANKED}
      FROM (SELECT paid.*
              FROM {_PAID}
             CROSS JOIN LATERAL (
                   SELECT e.state_after, e.reason FROM number_event e
                    WHERE e.msisdn = paid.msisdn AND e.effective_at <= $3
                    ORDER BY e.effective_at DESC LIMIT 1) barred
             WHERE barred.state_after <> 'active' AND barred.reason = 'arrears'
               AND $4::bigint >= 0) u
    ON CONFLICT DO NOTHING
"""


async def list_numbers(tx: Connection, hold: Unlisted, window: Window, heavy_fen: int) -> int:
    """List the numbers that a hold's report is about; return how many there are.

    `heavy_fen`: from which sum on a number counts as one that few people would pay.
    """
    status = await tx.execute(
        ARREARS if hold.cause == "arrears" else PAYERS, window.from_at, window.until_at,
        window.cut_off_at, heavy_fen, hold.sp_id, window.month, hold.cause,
        timeout=LONGEST_SECONDS,
    )  # fmt: skip
    return changed(status)


LISTED = "UPDATE settlement_hold SET listed_at = $2 WHERE id = $1 AND cleared_at IS NULL"


async def listed(tx: Connection, hold_id: UUID, *, now: datetime) -> None:
    """Keep that a hold's numbers are listed; one that was cleared meanwhile stays as it is."""
    await tx.execute(LISTED, hold_id, now)


class ReportNumber(msgspec.Struct, frozen=True, kw_only=True):
    """A number under a report that holds a month."""

    msisdn: str
    epoch: int | None
    """Of whoever held it at its last charge, as it was known when the month was cut off."""
    place: int
    charges: int
    amount_fen: int
    last_charged_at: datetime


NUMBERS = """
    SELECT n.msisdn, holder_epoch(n.msisdn, n.last_charged_at, $6) AS epoch, n.place, n.charges,
           n.amount_fen, n.last_charged_at
      FROM settlement_report_number n
     WHERE n.month = $1 AND n.sp_id = $2 AND n.kind = $3 AND n.place > $4
     ORDER BY n.place LIMIT $5
"""


async def numbers(
    read: Connection, window: Window, sp_id: UUID, kind: str, *, after: int, limit: int
) -> list[ReportNumber]:
    """Load the numbers of a report after a place, those that paid most first."""
    rows = await read.fetch(NUMBERS, window.month, sp_id, kind, after, limit, window.cut_off_at)
    return many(ReportNumber, rows)
