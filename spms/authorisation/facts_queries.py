"""What was known about a number at an instant: what an explanation is made of. Writes nothing."""

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from spms.authorisation.dossier import (
    BarRow,
    CapRow,
    MonthRow,
    NumberRow,
    NumberRows,
    RelationRow,
)
from spms.authorisation.standing_queries import decoded
from spms.core.clock import business_month, month_range
from spms.core.db import Connection

FACTS = """
    SELECT
    (SELECT json_agg(n) FROM (
        SELECT asked.msisdn, e.state, e.epoch, e.event_id
          FROM unnest($1::text[]) AS asked (msisdn)
         CROSS JOIN LATERAL (
               SELECT state_after AS state, epoch_after AS epoch, id AS event_id
                 FROM number_event
                WHERE msisdn = asked.msisdn AND effective_at <= $4 AND recorded_at <= $4
                ORDER BY effective_at DESC LIMIT 1) e) n) AS numbers,
    (SELECT json_agg(x) FROM (
        SELECT x.msisdn, x.service_id, x.id, x.epoch, x.price_fen, x.active_from, x.charge_from,
               COALESCE(x.charge_from > $4, false) AS free, x.link_id,
               known.confirmed AS live, c.kind AS consent_kind, c.price_fen AS consent_price_fen,
               u.authorisation_id IS NOT NULL AS used,
               (SELECT min(w.received_at) FROM leave_wish w
                 WHERE w.msisdn = x.msisdn AND w.received_at <= $4
                   AND w.received_at >= COALESCE(x.request_received_at, x.requested_at)
                   AND (w.settled_at IS NULL OR w.settled_at > $4)) AS leave_received_at
          FROM unnest($2::text[], $3::uuid[]) AS asked (msisdn, service_id)
          JOIN subscription x ON x.msisdn = asked.msisdn AND x.service_id = asked.service_id
          LEFT JOIN consent c ON c.msisdn = x.msisdn AND c.subscription_id = x.id
          LEFT JOIN message_in m
                 ON m.msisdn = c.msisdn AND m.received_at = c.message_received_at
                AND m.id = c.message_id
          LEFT JOIN order_use u
                 ON u.msisdn = x.msisdn AND u.subscription_id = x.id AND u.authorisation_id < $6
         CROSS JOIN LATERAL (
               SELECT COALESCE(x.active_from <= $4 AND COALESCE(m.handled_at <= $4, true), false)
                   AS confirmed) known
         WHERE x.requested_at <= $4 AND (x.ended_at IS NULL OR x.ended_at > $4)
           AND (x.free_until IS NULL OR x.free_until > $4)
           AND CASE WHEN known.confirmed THEN x.kind = 'monthly' OR x.active_from > $7
                    ELSE x.confirm_by > $4 END
         ORDER BY x.active_from NULLS LAST, x.id) x) AS relations,
    (SELECT json_agg(m) FROM (
        SELECT k.msisdn, k.epoch, k.by_service, k.turn
          FROM unnest($1::text[]) AS asked (msisdn)
          JOIN month_spend k ON k.msisdn = asked.msisdn AND k.month = $5) m) AS months,
    (SELECT json_agg(b) FROM (
        SELECT b.msisdn, b.epoch, b.id, b.scope, b.target
          FROM unnest($1::text[]) AS asked (msisdn)
          JOIN number_bar b ON b.msisdn = asked.msisdn
         WHERE b.starts_at <= $4 AND (b.ends_at IS NULL OR b.ends_at > $4)
         ORDER BY b.starts_at, b.id) b) AS bars,
    (SELECT json_agg(k) FROM (
        SELECT DISTINCT ON (k.msisdn, k.epoch, k.scope, k.service_id)
               k.msisdn, k.epoch, k.scope, k.service_id, k.limit_fen, k.id
          FROM unnest($1::text[]) AS asked (msisdn)
          JOIN number_cap k ON k.msisdn = asked.msisdn
         WHERE k.starts_at <= $4
         ORDER BY k.msisdn, k.epoch, k.scope, k.service_id, k.starts_at DESC, k.id DESC) k) AS caps
"""


NOTHING_LATER: Final = UUID(int=2**128 - 1)
"""`before` of a decision that is being made: everything on record counts."""


async def gather(
    read: Connection,
    pairs: Collection[tuple[str, UUID | None]],
    *,
    at: datetime,
    orders_since: datetime,
    before: UUID = NOTHING_LATER,
) -> NumberRows:
    """Read every fact about numbers and their relations with services, as of `at`.

    An on-demand order made at `orders_since` or before is over, also where the job that ends it is
    late; so is an SP's own free trial at its end. Of orders used only those count that a decision
    made before the decision `before` used. Number events are dated, so the same statement replays
    a past decision. A number event counts from when it was recorded, a consent from when its
    message was handled: before that nobody could have known. A wish to leave counts against what the
    number had when it came in, from then until it is settled.

    One list per kind of fact, matched outside. Each list starts from the keys asked for and finds
    its rows by index: a prepared plan does not know how many keys there will be, and joining the
    lists in SQL, or filtering by `= ANY`, may then compare every key with every row.
    """
    known = [(msisdn, service_id) for msisdn, service_id in pairs if service_id is not None]
    row = await read.fetchrow(
        FACTS, sorted({msisdn for msisdn, _ in pairs}), [msisdn for msisdn, _ in known],
        [service_id for _, service_id in known], at, business_month(at), before, orders_since,
    )  # fmt: skip
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return NumberRows(
        numbers=decoded(row["numbers"], NumberRow),
        relations=decoded(row["relations"], RelationRow),
        months=decoded(row["months"], MonthRow),
        bars=decoded(row["bars"], BarRow),
        caps=decoded(row["caps"], CapRow),
    )


SPENT_BEFORE = """
    SELECT json_agg(m) FROM (
        SELECT $1::text AS msisdn, epoch, json_object_agg(service_id, fen) AS by_service, 0 AS turn
          FROM (SELECT (d.facts -> 'number' ->> 'epoch')::integer AS epoch, d.service_id,
                       sum(d.price_fen)::bigint AS fen
                  FROM authorisation d
                  LEFT JOIN reservation r ON r.msisdn = d.msisdn AND r.id = d.id
                 WHERE d.msisdn = $1 AND d.decided_at >= $2 AND d.decided_at < $3
                   AND d.allowed AND d.purpose = 'charge' AND d.id < $4
                   AND (r.state IS NULL OR r.state IN ('reserved', 'captured')
                        OR r.closed_at > $5)
                 GROUP BY 1, 2) s
         GROUP BY epoch) m
"""


async def spent_before(
    read: Connection,
    msisdn: str,
    *,
    at: datetime,
    before: UUID,
    until: datetime | None = None,
    open_at: datetime | None = None,
) -> list[MonthRow]:
    """Work out what a number's month had come to just before a decision at `at`.

    `until` leaves out what was decided from then on; what was given back after `open_at` (or `at`)
    still counts.
    """
    start, end = month_range(business_month(at))
    found = await read.fetchval(SPENT_BEFORE, msisdn, start, until or end, before, open_at or at)
    return decoded(found, MonthRow)
