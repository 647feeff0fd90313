"""Which charges that were found right a fact told later makes wrong. Writes nothing."""

from datetime import datetime
from uuid import UUID

from spms.core.db import Connection

# Charges that stand although a fact told later says they should not. Starts from the facts: few.
MADE_WRONG = """
    WITH told AS (
        SELECT e.msisdn, e.effective_at AS since FROM number_event e
         WHERE e.recorded_at >= $1 AND (e.state_after <> 'active' OR e.kind = 'transferred')
        UNION
        SELECT s.msisdn, s.ended_at FROM subscription_event e
          JOIN subscription s ON s.msisdn = e.msisdn AND s.id = e.subscription_id
         WHERE e.at >= $1 AND s.ended_at IS NOT NULL AND s.active_from IS NOT NULL
        UNION  -- history says when it ended; a wish to leave may have lain long before it was settled
        SELECT w.msisdn, w.received_at FROM leave_wish w
         WHERE w.settled_at >= $1 AND w.received_at < $1
    )
    SELECT DISTINCT c.msisdn, c.id
      FROM told
      JOIN charge_record c ON c.msisdn = told.msisdn AND c.charged_at >= told.since
      JOIN subscription s ON s.msisdn = c.msisdn AND s.id = c.consent_id
      LEFT JOIN LATERAL (
           SELECT state_after, epoch_after FROM number_event
            WHERE msisdn = c.msisdn AND effective_at <= c.charged_at
            ORDER BY effective_at DESC LIMIT 1) n ON true
     WHERE c.due_fen > 0
       AND NOT EXISTS (SELECT FROM charge_finding f
                        WHERE f.msisdn = c.msisdn AND f.charge_id = c.id AND f.due_fen = 0)
       AND (n.state_after IS DISTINCT FROM 'active' OR n.epoch_after <> s.epoch
            OR (s.ended_at <= c.charged_at AND s.end_reason IS DISTINCT FROM 'lapsed'))
     LIMIT $2
"""


async def made_wrong(read: Connection, *, since: datetime, limit: int) -> list[tuple[str, UUID]]:
    """Return charges that stand against a number event or an end recorded since an instant."""
    return [tuple(row) for row in await read.fetch(MADE_WRONG, since, limit)]
