"""Statements about reservations beside charges. Writes `uncharged_delivery`."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from spms.charging.facts import Item
from spms.charging.model import Delivery, Finding, Kind
from spms.core.db import Connection

# The charge cites the latest decision before it about its relation, of a month or of the 31 days that
# no order outlives. What ended before it landed was seen then.
ENDED_UNUSED = """
    SELECT c.id, c.record_id, c.msisdn, c.service_id, c.kind, c.charged_at, c.price_fen, c.delivery,
           c.sp_id, r.state
      FROM reservation r
      JOIN charge_record c ON c.msisdn = r.msisdn AND c.authorisation_id = r.id
                          AND c.charged_at > r.reserved_at - interval '1 second'
                          AND c.charged_at < r.reserved_at + interval '32 days'
     WHERE r.reserved_at >= $1 AND r.state IN ('released', 'expired')
       AND c.delivery <> 'delivered' AND c.due_fen > 0
       AND NOT EXISTS (SELECT FROM charge_finding f
                        WHERE f.msisdn = c.msisdn AND f.charge_id = c.id
                          AND (f.kind = $2 OR f.due_fen = 0))
       AND NOT EXISTS (SELECT FROM charge_suspicion s
                        WHERE s.msisdn = c.msisdn AND s.charge_id = c.id AND s.kind = $2)
     ORDER BY c.msisdn, c.charged_at, c.id LIMIT $3
"""


async def ended_unused(read: Connection, *, since: datetime, limit: int) -> list[tuple[Item, str]]:
    """Return charges that stand on reservations made since an instant that ended unused."""
    rows = await read.fetch(ENDED_UNUSED, since, Finding.RESERVED_NOT_DELIVERED, limit)
    return [
        (
            Item(
                row["id"], row["record_id"], row["msisdn"], row["service_id"], Kind(row["kind"]),
                row["charged_at"], row["price_fen"], Delivery(row["delivery"]), row["sp_id"],
            ),
            row["state"],
        )
        for row in rows
    ]  # fmt: skip


class Uncharged(NamedTuple):
    """Deliveries of one SP that no charge came for."""

    sp_id: UUID
    charges: int
    fen: int
    examples: list[UUID]


# A charge may be about a use and not cite its decision: it was made in the next month, or on another
# order. So one that is not cited counts only when from it on there are fewer charges of the service than
# deliveries. One that cites an earlier delivery in that one's time is its own, and what was charged again
# is nobody's.
ADD_UNCHARGED = """
    WITH missed AS (
        INSERT INTO uncharged_delivery
            (msisdn, reservation_id, sp_id, service_id, price_fen, captured_at, found_at)
        SELECT r.msisdn, r.id, r.sp_id, r.service_id, r.price_fen, r.closed_at, $4
          FROM reservation r
          CROSS JOIN LATERAL (
               SELECT count(*) - count(DISTINCT q.id) AS charges,
                      COALESCE(bool_or(c.authorisation_id = r.id), false) AS cited
                 FROM charge_record c
                 LEFT JOIN reservation q ON q.msisdn = c.msisdn AND q.id = c.authorisation_id
                      AND q.state = 'captured' AND q.reserved_at < r.reserved_at
                      AND c.charged_at <= q.closed_at + $3
                WHERE c.msisdn = r.msisdn AND c.service_id = r.service_id
                  AND c.charged_at >= r.reserved_at AND c.charged_at <= r.closed_at + $3
                  AND NOT 'duplicate' = ANY(c.findings)) had
         WHERE r.reserved_at >= $1 AND r.reserved_at < $2 AND r.state = 'captured'
           AND NOT had.cited
           AND had.charges < (SELECT count(*) FROM reservation o
                               WHERE o.msisdn = r.msisdn AND o.service_id = r.service_id
                                 AND o.state = 'captured' AND o.reserved_at >= r.reserved_at
                                 AND o.reserved_at <= r.closed_at + $3)
        ON CONFLICT DO NOTHING
        RETURNING sp_id, reservation_id, price_fen
    )
    SELECT sp_id, count(*) AS charges, sum(price_fen)::bigint AS fen,
           (array_agg(reservation_id ORDER BY reservation_id))[1:$5::int] AS examples
      FROM missed GROUP BY sp_id ORDER BY sp_id
"""


async def add_uncharged(
    tx: Connection,
    since: datetime,
    until: datetime,
    *,
    within: timedelta,
    examples: int,
    now: datetime,
) -> list[Uncharged]:
    """Keep what was reserved in a range, delivered, and not charged; return what is new, by SP."""
    rows = await tx.fetch(ADD_UNCHARGED, since, until, within, now, examples)
    return [Uncharged(*row) for row in rows]
