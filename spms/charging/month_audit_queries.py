"""The month audit: everything that stands in a month, looked at again, all at once. Only reads.

The rules judge a charge when it lands, and again when a fact is told late. This asks the other way
round whether what stands can stand, by joining whole tables instead of looking up one charge after
another; so it shares no code with the rules, and finds what they or their facts overlooked.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from spms.authorisation.model import CapRules
from spms.core.db import Connection

# Whole tables are joined by hash, on as many cores as there are.
ROOM = """
    SELECT set_config('work_mem', '256MB', true), set_config('hash_mem_multiplier', '4', true),
           set_config('max_parallel_workers_per_gather', '2', true),
           set_config('statement_timeout', '3600s', true)
"""
STANDING = """
    SELECT c.msisdn, c.charged_at, c.id, c.service_id, c.kind, c.consent_id,
           CASE WHEN f.due_fen < c.due_fen THEN f.due_fen ELSE c.due_fen END AS due_fen
      FROM charge_record c
      LEFT JOIN (SELECT msisdn, charge_id, min(due_fen) AS due_fen FROM charge_finding
                  GROUP BY msisdn, charge_id) f ON f.msisdn = c.msisdn AND f.charge_id = c.id
     WHERE c.charged_at >= $1 AND c.charged_at < $2 AND c.due_fen > 0
"""
# What an order's end says of a charge is its lifetime's business: only an end by the person counts.
POINT = f"""
    WITH spans AS (
        SELECT msisdn, effective_at AS since, state_after, epoch_after,
               lead(effective_at) OVER (PARTITION BY msisdn ORDER BY effective_at) AS until
          FROM number_event
    ), judged AS (
        SELECT s.id,
               CASE WHEN r.id IS NULL OR r.service_id <> s.service_id
                         OR r.active_from > s.charged_at THEN 'no_consent'
                    WHEN e.state_after IS NULL OR e.state_after <> 'active' THEN 'number_not_active'
                    WHEN e.epoch_after <> r.epoch THEN 'after_transfer'
                    WHEN r.ended_at <= s.charged_at AND r.end_reason <> 'lapsed' THEN 'ended'
                    WHEN r.charge_from > s.charged_at THEN 'in_trial'
                    WHEN s.due_fen > r.price_fen THEN 'price_mismatch' END AS kind
          FROM ({STANDING}) s
          LEFT JOIN subscription r ON r.msisdn = s.msisdn AND r.id = s.consent_id
          LEFT JOIN spans e ON e.msisdn = s.msisdn AND e.since <= s.charged_at
                           AND (e.until IS NULL OR e.until > s.charged_at)
         WHERE s.due_fen > 0
    )
    SELECT kind, count(*) AS charges, min(CAST(id AS text)) AS example FROM judged
     WHERE kind IS NOT NULL GROUP BY kind ORDER BY kind
"""
# A month is due once for each service, an order once in it (over its turn the rules alone look); and nothing passes the operator's caps. The
# casts and the two lists are written so that another engine reads them as well.
TOTALS = f"""
    WITH summed AS (
        SELECT s.msisdn, r.epoch, s.service_id, sum(s.due_fen) AS due_fen,
               count(CASE WHEN s.kind = 'monthly' THEN 1 END) AS months, min(CAST(s.id AS text)) AS example
          FROM ({STANDING}) s
          JOIN subscription r ON r.msisdn = s.msisdn AND r.id = s.consent_id
         WHERE s.due_fen > 0
         GROUP BY s.msisdn, r.epoch, s.service_id
    ), found AS (
        SELECT 'duplicate' AS kind, example FROM summed WHERE months > 1
         UNION ALL
        SELECT 'duplicate', min(CAST(s.id AS text)) FROM ({STANDING}) s
         WHERE s.due_fen > 0 AND s.kind = 'on_demand'
         GROUP BY s.msisdn, s.consent_id HAVING count(*) > 1
         UNION ALL
        SELECT 'over_service_cap', example FROM summed WHERE due_fen > $3
         UNION ALL
        SELECT 'over_cap', min(example) FROM summed GROUP BY msisdn, epoch HAVING sum(due_fen) > $4
         UNION ALL
        SELECT 'over_category_cap', min(s.example)
          FROM summed s JOIN service v ON v.id = s.service_id
          JOIN (SELECT unnest(CAST($5 AS text[])) AS category,
                       unnest(CAST($6 AS bigint[])) AS cap_fen) k ON k.category = v.category
         GROUP BY s.msisdn, s.epoch, k.category, k.cap_fen HAVING sum(s.due_fen) > k.cap_fen
    )
    SELECT kind, count(*) AS charges, min(example) AS example FROM found GROUP BY kind ORDER BY kind
"""


def limits(caps: CapRules) -> tuple[int, int, list[str], list[int]]:
    """Return the caps as `TOTALS` takes them, in fen."""
    by_category = caps.category_month_fen
    return (
        caps.service_month_fen, caps.total_month_fen, list(by_category), list(by_category.values()),
    )  # fmt: skip


class Contradiction(NamedTuple):
    """What stands and should not, by kind."""

    kind: str
    charges: int
    """Charges, or holders whose month is wrong."""
    example: UUID


async def contradictions(
    read: Connection, month: tuple[datetime, datetime], caps: CapRules
) -> Sequence[Contradiction]:
    """Return what of a month stands against the facts as they are known now, and the given caps."""
    await read.execute(ROOM)
    rows = await read.fetch(POINT, *month, timeout=3600)
    rows += await read.fetch(TOTALS, *month, *limits(caps), timeout=3600)
    return [Contradiction(row["kind"], row["charges"], UUID(row["example"])) for row in rows]
