"""Delivered, charged, billed: compared by day and service, all days and services at once.

Writes `reconciliation_count` and `reconciliation_difference`.
"""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from spms.core.clock import start_of_day
from spms.core.db import Connection, changed, many, one
from spms.settlement.reconciliation_model import Day, Difference, Told

# Whoever tells or compares follows whoever did before: nobody compares by what is older by now.
HOLD = "SELECT pg_advisory_xact_lock(hashtextextended('reconciliation', 0))"


async def hold(tx: Connection) -> None:
    """Be the only one that tells or compares, until the transaction ends."""
    await tx.execute(HOLD)


# What is told again as it was is no further revision.
TELL = """
    INSERT INTO reconciliation_count (source, day, service_id, revision, records, amount_fen,
                                      told_at, told_by)
    SELECT $1, $2, t.service_id, COALESCE(c.revision, 0) + 1, t.records, t.amount_fen, $6, $7
      FROM unnest($3::uuid[], $4::bigint[], $5::bigint[]) AS t (service_id, records, amount_fen)
      LEFT JOIN LATERAL (
           SELECT revision, records, amount_fen FROM reconciliation_count
            WHERE source = $1 AND day = $2 AND service_id = t.service_id
            ORDER BY revision DESC LIMIT 1) c ON true
     WHERE (c.records, c.amount_fen) IS DISTINCT FROM (t.records, t.amount_fen)
"""


async def tell(
    tx: Connection, told: Told, service_ids: Sequence[UUID], *, now: datetime, actor: str
) -> int:
    """Keep what one side counted of a day; return how many counts are new."""
    status = await tx.execute(
        TELL, told.source, told.day, list(service_ids), [each.records for each in told.counts],
        [each.amount_fen for each in told.counts], now, actor,
    )  # fmt: skip
    return changed(status)


SERVICES = "SELECT code, id FROM service WHERE code = ANY($1::text[])"


async def services(read: Connection, codes: Sequence[str]) -> dict[str, UUID]:
    """Return the services that have these codes."""
    return {row["code"]: row["id"] for row in await read.fetch(SERVICES, list(codes))}


# A side that has told anything of a day has told all of it: what it left out is none. The gateway
# delivers what is ordered singly; what runs by the month it never sees.
_COMPARED = """
    charged AS (
        SELECT (charged_at AT TIME ZONE 'Asia/Shanghai')::date AS day, service_id,
               count(*) AS records, sum(price_fen)::bigint AS amount_fen,
               count(*) FILTER (WHERE kind = 'on_demand') AS singly
          FROM charge_record WHERE charged_at >= $3 AND charged_at < $4 GROUP BY 1, 2
    ), told AS (
        SELECT DISTINCT ON (source, day, service_id) source, day, service_id, records, amount_fen
          FROM reconciliation_count WHERE day >= $1 AND day < $2
         ORDER BY source, day, service_id, revision DESC
    ), side AS (
        SELECT day, bool_or(source = 'gateway') AS gateway, bool_or(source = 'billing') AS billing
          FROM told GROUP BY day
    ), every AS (
        SELECT day, service_id FROM charged UNION SELECT day, service_id FROM told
    ), compared AS (
        SELECT e.day, e.service_id, s.sp_id,
               CASE WHEN d.gateway THEN COALESCE(g.records, 0) END AS delivered,
               COALESCE(c.singly, 0) AS singly, COALESCE(c.records, 0) AS charged,
               COALESCE(c.amount_fen, 0) AS charged_fen,
               CASE WHEN d.billing THEN COALESCE(b.records, 0) END AS billed,
               CASE WHEN d.billing THEN COALESCE(b.amount_fen, 0) END AS billed_fen
          FROM every e
          JOIN side d ON d.day = e.day
          JOIN service s ON s.id = e.service_id
          LEFT JOIN charged c ON c.day = e.day AND c.service_id = e.service_id
          LEFT JOIN told g ON g.day = e.day AND g.service_id = e.service_id
                          AND g.source = 'gateway'
          LEFT JOIN told b ON b.day = e.day AND b.service_id = e.service_id
                          AND b.source = 'billing'
    ), found AS (
        SELECT c.*, k.kind, k.owner
          FROM compared c
          CROSS JOIN LATERAL (VALUES
               ('charged_not_delivered', 'sp', c.singly > c.delivered),
               ('delivered_not_charged', 'gateway', c.singly < c.delivered),
               ('charged_not_billed', 'billing', c.charged > c.billed),
               ('billed_not_charged', 'billing', c.charged < c.billed),
               ('amount_differs', 'billing', c.charged = c.billed
                                             AND c.charged_fen <> c.billed_fen)
          ) AS k (kind, owner, differs)
         WHERE k.differs
    )
"""
# One that was explained, or had come right, is found anew: there is as much time to explain it again.
COMPARE = f"""
    WITH {_COMPARED}
    INSERT INTO reconciliation_difference AS d
        (id, month, day, service_id, sp_id, kind, owner, delivered, charged, billed, charged_fen,
         billed_fen, found_at, state)
    SELECT gen_random_uuid(), date_trunc('month', day::timestamp)::date, day, service_id, sp_id,
           kind, owner, delivered, charged, billed, charged_fen, billed_fen, $5, 'open'
      FROM found
    ON CONFLICT (day, service_id, kind) DO UPDATE
       SET delivered = EXCLUDED.delivered, charged = EXCLUDED.charged, billed = EXCLUDED.billed,
           charged_fen = EXCLUDED.charged_fen, billed_fen = EXCLUDED.billed_fen, state = 'open',
           found_at = CASE d.state WHEN 'open' THEN d.found_at ELSE EXCLUDED.found_at END,
           explanation = NULL, explained_at = NULL, explained_by = NULL
     WHERE d.state = 'gone'
        OR (d.delivered, d.charged, d.billed, d.charged_fen, d.billed_fen) IS DISTINCT FROM
           (EXCLUDED.delivered, EXCLUDED.charged, EXCLUDED.billed, EXCLUDED.charged_fen,
            EXCLUDED.billed_fen)
"""
CLOSE = f"""
    WITH {_COMPARED}
    UPDATE reconciliation_difference d
       SET state = 'gone', explanation = NULL, explained_at = NULL, explained_by = NULL
     WHERE d.day >= $1 AND d.day < $2 AND d.state <> 'gone'
       AND NOT EXISTS (SELECT FROM found f WHERE f.day = d.day AND f.service_id = d.service_id
                                             AND f.kind = d.kind)
"""


async def compare(tx: Connection, first: date, until: date, *, now: datetime) -> tuple[int, int]:
    """Compare the days of a range; return how many differences are new or changed, and gone."""
    days = (first, until, start_of_day(first), start_of_day(until))
    return (
        changed(await tx.execute(COMPARE, *days, now)),
        changed(await tx.execute(CLOSE, *days)),
    )  # fmt: skip


NEXT_TOLD = "SELECT min(day) FROM reconciliation_count WHERE day >= $1 AND day < $2"


async def next_told(read: Connection, first: date, until: date) -> date | None:
    """Return the earliest day of a range that any side has told of."""
    day: date | None = await read.fetchval(NEXT_TOLD, first, until)
    return day


# A side that says nothing of a day differs from nobody: that is listed too.
DAYS = """
    SELECT d.day::date AS day,
           EXISTS (SELECT FROM reconciliation_count c
                    WHERE c.source = 'gateway' AND c.day = d.day::date) AS gateway_told,
           EXISTS (SELECT FROM reconciliation_count c
                    WHERE c.source = 'billing' AND c.day = d.day::date) AS billing_told,
           count(o.id) FILTER (WHERE o.state = 'open') AS open,
           count(o.id) FILTER (WHERE o.state = 'explained') AS explained
      FROM generate_series($1::date::timestamp, ($2::date - 1)::timestamp, interval '1 day') AS d (day)
      LEFT JOIN reconciliation_difference o ON o.month = $1 AND o.day = d.day::date
     GROUP BY d.day ORDER BY d.day
"""


async def days(read: Connection, month: date, until: date) -> list[Day]:
    """Load the days from the first of a month on, with who told of them."""
    return many(Day, await read.fetch(DAYS, month, until))


_DIFFERENCE = """
    SELECT d.id, d.day, d.sp_id, s.code AS service_code, d.kind, d.owner, d.delivered, d.charged,
           d.billed, d.charged_fen, d.billed_fen, d.found_at, d.state, d.explanation,
           d.explained_at, d.explained_by
      FROM reconciliation_difference d JOIN service s ON s.id = d.service_id
"""
BY_ID = f"{_DIFFERENCE} WHERE d.id = $1"
PAGE = f"""
    {_DIFFERENCE}
     WHERE d.month = $1 AND ($2::uuid IS NULL OR d.sp_id = $2)
       AND ($3::uuid IS NULL OR d.id > $3)
     ORDER BY d.id LIMIT $4
"""
EXPLAIN = """
    UPDATE reconciliation_difference
       SET state = 'explained', explanation = $2, explained_at = $3, explained_by = $4
     WHERE id = $1 AND state = 'open'
"""


async def difference(read: Connection, difference_id: UUID) -> Difference | None:
    """Load one."""
    return one(Difference, await read.fetchrow(BY_ID, difference_id))


async def page(
    read: Connection, month: date, sp_id: UUID | None, after: UUID | None, limit: int
) -> list[Difference]:
    """List a month's differences: one SP's, or all."""
    return many(Difference, await read.fetch(PAGE, month, sp_id, after, limit))


async def explain(
    tx: Connection, difference_id: UUID, explanation: str, *, now: datetime, actor: str
) -> bool:
    """Keep an explanation; False when it is not open."""
    return changed(await tx.execute(EXPLAIN, difference_id, explanation, now, actor)) == 1
