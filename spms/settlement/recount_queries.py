"""Whether charges have changed since a month was compared. Writes `settlement_recount`."""

from datetime import date, datetime

import msgspec

from spms.core.db import Connection, one


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the month that was cut off last looked like at a moment."""

    month: date
    seen: str
    """A hash over what was counted, and of each table that could have charges of it: which file it
    is, and how many rows were ever inserted, updated and deleted there."""


# PostgreSQL counts a transaction's rows when it has ended, so that what is not counted yet is counted
# after this, and seen the next time. A crash sets the counters back, and says when. A month's tables
# are known by their names; one with another name is among them in any month.
SEEN = r"""
    WITH newest AS (
        SELECT month, from_at, until_at, cut_off_before, cut_off_at
          FROM settlement_month WHERE stage <> 'count_charges' ORDER BY month DESC LIMIT 1
    ), told AS (
        SELECT string_agg(f::text, E'\n' ORDER BY f.sp_id, f.kind) AS figures
          FROM newest n JOIN settlement_figure f ON f.month = n.month
         WHERE f.kind IN ('charged', 'late')
    ), tables AS (
        SELECT string_agg(
                   concat_ws(' ', c.oid, c.relfilenode, pg_stat_get_tuples_inserted(c.oid),
                             pg_stat_get_tuples_updated(c.oid), pg_stat_get_tuples_deleted(c.oid)),
                   E'\n' ORDER BY c.oid) AS rows
          FROM newest n
          JOIN pg_inherits i ON i.inhparent = 'charge_record'::regclass
           AND CASE WHEN i.inhrelid::regclass::text ~ '_[0-9]{6}$'
                    THEN to_date(right(i.inhrelid::regclass::text, 6), 'YYYYMM') <= n.month
                    ELSE true END
         CROSS JOIN LATERAL pg_partition_tree(i.inhrelid) p
          JOIN pg_class c ON c.oid = p.relid
         WHERE p.isleaf
    )
    SELECT n.month, encode(sha256(convert_to(concat_ws(E'\n', n::text, told.figures, tables.rows,
               current_setting('track_counts'),
               (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()),
               (SELECT stats_reset FROM pg_stat_bgwriter)), 'UTF8')), 'hex') AS seen
      FROM newest n CROSS JOIN told CROSS JOIN tables
"""


async def seen(read: Connection) -> Seen | None:
    """Look at the tables of the month that was cut off last, and of those before it; no charge."""
    return one(Seen, await read.fetchrow(SEEN))


KEPT = "SELECT read_at FROM settlement_recount WHERE month = $1 AND seen = $2"


async def read_at(read: Connection, found: Seen) -> datetime | None:
    """Return when the charges were last read through, if all looked as it does now."""
    at: datetime | None = await read.fetchval(KEPT, found.month, found.seen)
    return at


KEEP = """
    INSERT INTO settlement_recount (month, seen, read_at) VALUES ($1, $2, $3)
    ON CONFLICT (month) DO UPDATE SET seen = EXCLUDED.seen, read_at = EXCLUDED.read_at
"""


async def keep(tx: Connection, found: Seen, *, now: datetime) -> None:
    """Keep that the charges were read through, and what all looked like before that."""
    await tx.execute(KEEP, found.month, found.seen, now)
