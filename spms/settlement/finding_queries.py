"""Statements on what a settlement's audits make of an SP. Writes nothing."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from spms.core.db import Connection, many
from spms.settlement.model import Report

FLAGGED = """
    SELECT month, sp_id, kind, part, whole, numbers, share_bp, threshold_bp, flagged
      FROM settlement_report
     WHERE month = $1 AND sp_id = ANY($2::uuid[]) AND flagged ORDER BY sp_id, kind
"""


async def flagged(read: Connection, month: date, sp_ids: Sequence[UUID]) -> list[Report]:
    """Load the reports of some SPs that hold a month."""
    return many(Report, await read.fetch(FLAGGED, month, list(sp_ids)))


class Unexplained(msgspec.Struct, frozen=True, kw_only=True):
    """A difference that is the SP's to explain."""

    id: UUID
    day: date
    sp_id: UUID
    service_id: UUID
    kind: str
    delivered: int | None
    charged: int
    found_at: datetime


# A difference that was reported is known by its report.
UNEXPLAINED = """
    SELECT d.id, d.day, d.sp_id, d.service_id, d.kind, d.delivered, d.charged, d.found_at
      FROM reconciliation_difference d
     WHERE d.state = 'open' AND d.owner = 'sp' AND d.found_at < $1
       AND NOT EXISTS (SELECT FROM breach_report r
                        WHERE r.source_kind = 'settlement_audit'
                          AND r.kind = 'settlement_data_false'
                          AND r.source_id = 'difference/' || d.id)
     ORDER BY d.found_at, d.id LIMIT $2
"""


async def unexplained(read: Connection, before: datetime, limit: int) -> list[Unexplained]:
    """List differences found before an instant that nobody explained and nobody reported."""
    return many(Unexplained, await read.fetch(UNEXPLAINED, before, limit))
