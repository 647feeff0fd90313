"""What an SP reads of its own charges. Writes nothing."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from spms.charging.bill_model import BillTotals, Correction
from spms.charging.model import Delivery, Finding, Kind
from spms.charging.own_charge_model import OwnFilter
from spms.core.db import Connection, many, one


class SpLine(msgspec.Struct, frozen=True, kw_only=True):
    """A charge of an SP, still with its number."""

    id: UUID
    msisdn: str
    epoch: int | None
    """Of whoever held the number at the charge, as it was known when the charge came in."""
    record_id: str
    service_id: UUID
    kind: Kind
    charged_at: datetime
    received_at: datetime
    price_fen: int
    due_fen: int
    delivery: Delivery
    findings: Sequence[Finding]
    consent_id: UUID | None
    authorisation_id: UUID | None
    corrections: Sequence[Correction]
    file_id: UUID | None


_WANTED = """($4::text IS NULL OR c.service_id = (SELECT id FROM service WHERE code = $4))
           AND ($5::text IS NULL OR c.kind = $5)
           AND (NOT $6 OR EXISTS (SELECT FROM refund WHERE msisdn = c.msisdn AND charge_id = c.id))"""

# Each line is another number's, so what stands beside it is asked for line by line, after the cut.
OF_SP = f"""
    WITH line AS MATERIALIZED (
        SELECT c.* FROM charge_record c
         WHERE c.sp_id = $1 AND c.charged_at >= $2 AND c.charged_at < $3
           AND (c.charged_at, c.id) < ($7, $8) AND {_WANTED}
         ORDER BY c.charged_at DESC, c.id DESC LIMIT $9
    )
    SELECT c.id, c.msisdn, holder_epoch(c.msisdn, c.charged_at, c.received_at) AS epoch,
           c.record_id, c.service_id, c.kind, c.charged_at, c.received_at,
           c.price_fen, LEAST(c.due_fen, f.due_fen) AS due_fen, c.delivery,
           COALESCE(f.kinds, '{{}}') AS findings, c.consent_id, c.authorisation_id,
           COALESCE(r.corrections, '[]') AS corrections, c.file_id
      FROM line c
     CROSS JOIN LATERAL (
           SELECT min(due_fen) AS due_fen, array_agg(kind ORDER BY found_at, kind) AS kinds
             FROM charge_finding WHERE msisdn = c.msisdn AND charge_id = c.id) f
     CROSS JOIN LATERAL (
           SELECT jsonb_agg(jsonb_build_object('kind', kind, 'amount_fen', amount_fen, 'at', at)
                            ORDER BY at, amount_fen < 0, kind DESC) AS corrections
             FROM bill_correction WHERE msisdn = c.msisdn AND charge_id = c.id) r
     ORDER BY c.charged_at DESC, c.id DESC
"""


async def of_sp(
    read: Connection,
    sp_id: UUID,
    period: tuple[datetime, datetime],
    wanted: OwnFilter,
    *,
    before: tuple[datetime, UUID],
    limit: int,
) -> list[SpLine]:
    """Return an SP's charges in a half-open range of time, newest first, before a key."""
    rows = await read.fetch(OF_SP, sp_id, *period, *_of(wanted), *before, limit)
    return many(SpLine, rows)


def _of(wanted: OwnFilter) -> tuple[str | None, str | None, bool]:
    return wanted.service_code, wanted.kind, wanted.refunded


# What was found and given back is joined as the planner likes: line by line for a few thousand
# charges, by hashing for a million; so is what fraud brought and was taken back. Wrong lines take off what they are not due.
TOTALS = f"""
    WITH line AS MATERIALIZED (
        SELECT c.msisdn, c.id, c.price_fen, c.due_fen FROM charge_record c
         WHERE c.sp_id = $1 AND c.charged_at >= $2 AND c.charged_at < $3 AND {_WANTED}
    ), wrong AS (
        SELECT c.due_fen - LEAST(c.due_fen, min(f.due_fen)) AS fen
          FROM line c JOIN charge_finding f ON f.msisdn = c.msisdn AND f.charge_id = c.id
         GROUP BY c.msisdn, c.id, c.due_fen
    ), given AS (
        SELECT sum(r.amount_fen) FILTER (WHERE r.kind = 'principal') AS refunded_fen,
               sum(r.amount_fen) FILTER (WHERE r.kind = 'compensation') AS compensation_fen
          FROM line c JOIN refund r ON r.msisdn = c.msisdn AND r.charge_id = c.id
    ), taken AS (
        SELECT sum(k.principal_fen) AS refunded_fen, sum(k.compensation_fen) AS compensation_fen
          FROM line c
          JOIN clawback b ON b.msisdn = c.msisdn AND b.charge_id = c.id AND b.state = 'agreed'
          JOIN claim k ON k.msisdn = b.msisdn AND k.id = b.claim_id
    )
    SELECT count(*) AS lines, COALESCE(sum(c.price_fen), 0)::bigint AS charged_fen,
           (COALESCE(sum(c.due_fen), 0) - COALESCE((SELECT sum(fen) FROM wrong), 0))::bigint
               AS due_fen,
           (COALESCE((SELECT refunded_fen FROM given), 0)
               - COALESCE((SELECT refunded_fen FROM taken), 0))::bigint AS refunded_fen,
           (COALESCE((SELECT compensation_fen FROM given), 0)
               - COALESCE((SELECT compensation_fen FROM taken), 0))::bigint AS compensation_fen
      FROM line c
"""


async def totals(
    read: Connection, sp_id: UUID, period: tuple[datetime, datetime], wanted: OwnFilter
) -> BillTotals:
    """Sum up an SP's charges in a half-open range of time."""
    found = one(BillTotals, await read.fetchrow(TOTALS, sp_id, *period, *_of(wanted)))
    assert found is not None  # noqa: S101 - an aggregate always has a row
    return found
